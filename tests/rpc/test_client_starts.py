"""The client's starts: the same over a shared stream as by calls of their own, whatever goes wrong."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from opentelemetry import propagate, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from swit_saga import AsyncSagaClient, CallError, ClientClosed, SagaClient, TimedOutError, UnavailableError
from swit_saga.streams import MESSAGE_BYTES, MESSAGE_ITEMS
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import error_pb2, saga_pb2
from tests.support.rpc.fake import BUSY, STARTED, Answer, Cut, Fake, faking, refusal
from tests.support.waiting import eventually

both = pytest.mark.parametrize("batch", [False, True], ids=["unary", "stream"])


@both
async def test_unavailable_is_tried_again_with_the_very_same_request(batch):
    fake = Fake(BUSY, refusal(code_pb2.UNAVAILABLE), STARTED)
    async with faking(fake, metadata={"tenant": "t"}, service="tests", batch_starts=batch) as client:
        handle = await client.start("order", {"n": 1})
    assert (handle.id, handle.created) == ("o-1", True)
    assert len(fake.requests) == 3
    assert fake.requests[0] == fake.requests[1] == fake.requests[2]
    assert len(fake.requests[0].saga_id) == 32, "an id was made up, so that the repetitions start one saga"
    assert fake.requests[0].service == "tests"
    assert [m["tenant"] for m in fake.metadata] == ["t"] * 3
    assert len(fake.items) == (3 if batch else 0)


@both
@pytest.mark.parametrize(
    "code",
    [c for c in grpc.StatusCode if c not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)],
    ids=lambda c: c.name,
)
async def test_a_definite_error_is_not_tried_again(batch, code):
    fake = Fake(refusal(code.value[0], "SOME_REASON"), STARTED)
    async with faking(fake, batch_starts=batch) as client:
        with pytest.raises(CallError) as refused:
            await client.start("order")
    assert (refused.value.code, refused.value.reason) == (code, "SOME_REASON")
    assert len(fake.requests) == 1
    assert len(fake.items) == (1 if batch else 0)


@both
async def test_the_servers_wish_to_be_left_alone_is_heard(batch):
    fake = Fake(refusal(code_pb2.UNAVAILABLE, "COORDINATOR_STOPPING", retry_s=0.4), STARTED)
    async with faking(fake, batch_starts=batch) as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.start("order")
        assert loop.time() - began >= 0.4


@both
async def test_within_the_timeout_only(batch):
    fake = Fake(BUSY)
    async with faking(fake, timeout="400ms", batch_starts=batch) as client:
        with pytest.raises(UnavailableError) as refused:
            async with asyncio.timeout(2):
                await client.start("order")
    assert refused.value.reason == "COORDINATOR_UNAVAILABLE"
    assert len(fake.requests) > 1


@both
async def test_a_server_that_does_not_answer(batch):
    async with faking(Fake(None), timeout="200ms", batch_starts=batch) as client:
        with pytest.raises(TimedOutError) as silent:
            await client.start("order")
    assert silent.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


@both
async def test_nobody_there(batch):
    async with AsyncSagaClient("127.0.0.1:1", timeout="300ms", batch_starts=batch) as client:
        with pytest.raises(UnavailableError):
            await client.start("order")
        await client.close()


@both
async def test_closing_the_client_ends_what_is_under_way(batch):
    fake = Fake(None)
    async with faking(fake, batch_starts=batch) as client:
        starting = [asyncio.create_task(client.start("order")) for _ in range(3)]
        await eventually(lambda: len(fake.requests) == 3)
        await client.close()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*starting, return_exceptions=True)
        assert [type(e) for e in ended] == [ClientClosed] * 3
        with pytest.raises(ClientClosed):
            await client.start("order")


@both
async def test_a_start_given_up_disturbs_no_other(batch):
    fake = Fake(None)
    async with faking(fake, batch_starts=batch) as client:
        given_up = asyncio.create_task(client.start("order"))
        await eventually(lambda: fake.requests)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        fake.answers = [STARTED]
        assert (await client.start("order")).id == "o-1"
    assert len(fake.messages) == (1 if batch else 0), "the stream lives"


@both
async def test_the_trace_goes_with_each_start(batch):
    fake = Fake(STARTED)
    async with faking(fake, batch_starts=batch) as client:
        for n in (1, 2):
            span = NonRecordingSpan(SpanContext(n, n, False, TraceFlags(1)))
            with trace.use_span(span):
                await client.start("order")
    sent = [i.traceparent for i in fake.items] if batch else [m["traceparent"] for m in fake.metadata]
    assert sent == [f"00-{n:032x}-{n:016x}-01" for n in (1, 2)]
    assert len(fake.messages) == (1 if batch else 0)


# ---- the stream ------------------------------------------------------------------------------------------------------


class Echo(Fake):
    """Starts what it is asked to, under its id; refuses odd ones."""

    async def StartSagas(self, requests: Any, context: Any) -> Any:
        messages: list[int] = []
        self.messages.append(messages)
        async for message in requests:
            messages.append(len(message.items))
            answers = []
            for item in reversed(message.items):
                self.items.append(item)
                saga_id = item.start.saga_id
                if int(saga_id) % 2:
                    status = error_pb2.ItemStatus(code=code_pb2.NOT_FOUND, message=saga_id)
                    answers.append(Answer(item_id=item.item_id, status=status))
                else:
                    answers.append(Answer(item_id=item.item_id, saga=saga_pb2.Saga(id=saga_id), created=True))
            yield pb.StartSagasResponse(items=answers)


async def test_starts_of_one_moment_share_messages_and_are_answered_each():
    fake, many = Echo(), 2 * MESSAGE_ITEMS + 10
    async with faking(fake) as client:
        starts = [client.start("order", saga_id=str(n)) for n in range(many)]
        answers = await asyncio.gather(*starts, return_exceptions=True)
    for n, answer in enumerate(answers):
        if n % 2:
            assert isinstance(answer, CallError)
            assert (answer.code, str(answer)) == (grpc.StatusCode.NOT_FOUND, str(n))
        else:
            assert not isinstance(answer, BaseException)
            assert (answer.id, answer.created) == (str(n), True)
    assert fake.messages == [[MESSAGE_ITEMS, MESSAGE_ITEMS, 10]]


async def test_messages_are_not_too_large():
    fake = Echo()
    async with faking(fake) as client:
        await asyncio.gather(*(client.start("order", "x" * 10_000, saga_id=str(2 * n)) for n in range(20)))
    assert fake.messages == [[9, 9, 2]]


async def test_a_large_start_goes_by_itself():
    fake = Fake(STARTED)
    async with faking(fake) as client:
        await client.start("order", "x" * MESSAGE_BYTES)
    assert not fake.messages
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [BUSY, None, refusal(code_pb2.INTERNAL), refusal(code_pb2.CANCELLED)], ids=str)
async def test_a_stream_cut_in_mid_flight_leaves_no_start_behind(status):
    """The very same requests again, by another stream or each by itself: they are idempotent by saga id."""
    fake = Fake(None, None, Cut(status), STARTED)
    async with faking(fake) as client:
        handles = await asyncio.gather(*(client.start("order", {"n": n}) for n in range(3)))
    assert [h.id for h in handles] == ["o-1"] * 3
    asked = [r.saga_id for r in fake.requests]
    assert sorted(asked[:3]) == sorted(asked[3:])
    assert {r.SerializeToString(deterministic=True) for r in fake.requests[:3]} == {
        r.SerializeToString(deterministic=True) for r in fake.requests[3:]
    }


async def test_a_server_without_the_stream_is_remembered():
    fake = Fake(Cut(refusal(code_pb2.UNIMPLEMENTED)), STARTED)
    async with faking(fake) as client:
        for _ in range(3):
            assert (await client.start("order")).id == "o-1"
    assert fake.messages == [[1]], "it was asked once"
    assert len(fake.requests) == 4


async def test_a_server_without_the_stream_is_asked_again_some_time(monkeypatch):
    monkeypatch.setattr("swit_saga.streams.FORGET_S", 0.0)
    fake = Fake(Cut(refusal(code_pb2.UNIMPLEMENTED)), STARTED)
    async with faking(fake) as client:
        for _ in range(2):
            await client.start("order")
    assert len(fake.messages) == 2


async def test_an_idle_stream_ends_and_the_next_start_opens_another(monkeypatch):
    monkeypatch.setattr("swit_saga.streams.IDLE_S", 0.05)
    fake = Fake(STARTED)
    async with faking(fake) as client:
        await client.start("order")
        await eventually(lambda: not fake.open_streams)
        await client.start("order")
    assert fake.messages == [[1], [1]]


async def test_a_stream_in_use_is_not_idle(monkeypatch):
    monkeypatch.setattr("swit_saga.streams.IDLE_S", 0.05)
    fake = Fake(None)
    async with faking(fake, timeout="400ms") as client:
        with pytest.raises(TimedOutError):
            await client.start("order")
    assert fake.messages == [[1]]


async def test_a_stream_is_replaced_in_the_course_of_time(monkeypatch):
    monkeypatch.setattr("swit_saga.streams.LIFE_S", 0.0)
    fake = Fake(STARTED)
    async with faking(fake) as client:
        for _ in range(2):
            await client.start("order")
    assert fake.messages == [[1], [1]]


async def test_after_silence_the_next_start_takes_another_stream():
    fake = Fake(None)
    async with faking(fake, timeout="200ms") as client:
        with pytest.raises(TimedOutError):
            await client.start("order")
        fake.answers = [STARTED]
        await client.start("order")
    assert fake.messages == [[1], [1]]


async def test_other_headers_are_not_lost(monkeypatch):
    """What a proxy or an interceptor is to see of one call cannot be sent on a stream that others opened."""
    fake = Fake(STARTED)
    async with faking(fake, metadata={"tenant": "a"}) as client:
        await client.start("order")
        monkeypatch.setattr(propagate, "inject", lambda carrier: carrier.update(baggage="k=v"))
        await client.start("order")
    assert [m.get("baggage") for m in fake.metadata] == [None, "k=v"]
    assert fake.messages == [[1]]


# ---- the synchronous client ------------------------------------------------------------------------------------------


async def test_sync_starts_from_many_threads_share_a_stream(tmp_path):
    before = set(threading.enumerate())
    fake = Echo()
    async with faking(fake):

        def start(sagas: SagaClient, n: int) -> Any:
            try:
                return sagas.start("order", saga_id=str(n))
            except CallError as refused:
                return refused.code

        def use() -> list[Any]:
            with SagaClient(fake.address) as sagas, ThreadPoolExecutor(8) as threads:
                return list(threads.map(lambda n: start(sagas, n), range(20)))

        found = await asyncio.to_thread(use)
    assert found == [grpc.StatusCode.NOT_FOUND if n % 2 else str(n) for n in range(20)]
    assert len(fake.messages) == 1
    await eventually(lambda: not [t for t in set(threading.enumerate()) - before if "asyncio" not in t.name])


@pytest.mark.parametrize(
    "cut", [Cut(BUSY), Cut(refusal(code_pb2.UNIMPLEMENTED)), Cut(None)], ids=["busy", "unimplemented", "unsaid"]
)
async def test_a_sync_start_outlives_its_stream(cut):
    fake = Fake(cut, STARTED)
    async with faking(fake):

        def use() -> str:
            with SagaClient(fake.address) as sagas:
                return sagas.start("order")

        assert await asyncio.to_thread(use) == "o-1"
    assert len(fake.requests) == 2
    assert fake.requests[0] == fake.requests[1]


async def test_a_sync_server_that_does_not_answer():
    fake = Fake(None)
    async with faking(fake):

        def use() -> None:
            with SagaClient(fake.address, timeout="200ms") as sagas, pytest.raises(TimedOutError):
                sagas.start("order")

        await asyncio.to_thread(use)
