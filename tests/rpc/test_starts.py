"""StartSagas: every item as StartSaga would have answered it, many at once, over drains, cuts and slow readers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status

from swit_saga import AsyncSagaClient, NotFoundError, OverloadedError, Payload, Saga, Step, UnavailableError
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, definition_pb2, error_pb2
from swit_saga_server.config import SagaConfig
from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.units import SECOND
from swit_saga_server.rpc import item_stream
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.start_items import StartItems
from swit_saga_server.service.starting import QueuedStart
from tests.support.rpc.serve import ORDER, Served, serve
from tests.support.waiting import eventually, turn

WAITING = Saga("waiting", [Step("reserve", "shop", delay="1h")])
ROOM = 1 << 20
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def messages(requests: Sequence[pb.StartSagaRequest], **more: Any) -> pb.StartSagasRequest:
    items = [pb.StartSagasRequest.Item(item_id=n, start=r, **more) for n, r in enumerate(requests, 1)]
    return pb.StartSagasRequest(items=items)


def start(n: int, **more: Any) -> pb.StartSagaRequest:
    return pb.StartSagaRequest(saga_id=f"s-{n}", definition_id="waiting", **more)


class Stream:
    """A raw call of StartSagas."""

    def __init__(self, s: Served) -> None:
        self.call: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel).StartSagas()

    async def send(self, *requests: pb.StartSagaRequest, **more: Any) -> None:
        await self.call.write(messages(requests, **more))

    async def answers(self, count: int) -> dict[int, Any]:
        """The next ``count`` answers by item id."""
        found: dict[int, Any] = {}
        async with asyncio.timeout(10):
            while len(found) < count:
                for item in (await self.call.read()).items:
                    assert item.item_id not in found, "answered twice"
                    found[item.item_id] = item
        return found

    async def end(self) -> None:
        await self.call.done_writing()
        assert await self.call.read() is grpc.aio.EOF
        assert await self.call.code() is grpc.StatusCode.OK


@asynccontextmanager
async def streaming(folder: Path, **server: Any) -> AsyncIterator[tuple[Served, Stream]]:
    async with serve(folder, **server) as s:
        await s.client.register(WAITING)
        yield s, Stream(s)


@pytest.fixture
def gate(monkeypatch) -> asyncio.Event:
    """While it is closed, no commit gets to the store."""
    opened = asyncio.Event()
    opened.set()

    def behind(commit: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def late(*args: Any) -> Any:
            await opened.wait()
            return await commit(*args)

        return late

    from swit_saga_server.store.sqlite import SqliteStore

    monkeypatch.setattr(SqliteStore, "commit", behind(SqliteStore.commit))
    return opened


async def test_many_at_once_are_all_started_and_run(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.register(ORDER)
        order = [
            pb.StartSagaRequest(definition_id="order", initial_data=Payload(content_type="application/json", text="{}"))
            for _ in range(300)
        ]
        await stream.send(*order)
        answers = await stream.answers(300)
        assert all(a.created and a.status.code == 0 for a in answers.values())
        ids = {a.saga.id for a in answers.values()}
        assert len(ids) == 300
        assert all(not a.saga.step_states for a in answers.values()), "the basic view"
        await eventually(lambda: len(s.shop.calls) == 600)
        await stream.end()
        assert {x.id async for x in s.client.list(page_size=1000)} == ids


async def test_an_answer_shows_what_was_asked_for(tmp_path):
    """And asking for more or less of it starts nothing else."""
    async with streaming(tmp_path) as (s, stream):
        views = [
            pb.SAGA_VIEW_UNSPECIFIED,
            pb.SAGA_VIEW_BASIC,
            pb.SAGA_VIEW_FULL,
            pb.SAGA_VIEW_RESULT,
            pb.SAGA_VIEW_HEAD,
        ]
        await stream.send(*(start(1, view=view) for view in views))
        answers = await stream.answers(len(views))
        assert sum(a.created for a in answers.values()) == 1
        *basic, head = (answers[n].saga for n in range(1, len(views) + 1))
        assert all(saga.HasField("created_at") and not saga.step_states for saga in basic)
        stub: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        for view, shown in ((pb.SAGA_VIEW_FULL, 1), (pb.SAGA_VIEW_BASIC, 0)):
            assert len((await stub.StartSaga(start(1, view=view))).saga.step_states) == shown
        for response in ((await stub.StartSaga(start(1, view=pb.SAGA_VIEW_HEAD))).saga, head):
            said = {field.name for field, _ in response.ListFields()}
            assert said == {"id", "definition_id", "definition_version", "state", "version"}
            assert (response.id, response.definition_id) == (basic[0].id, "waiting")
        await stream.end()


async def test_the_same_twice_is_one_saga_and_another_one_is_refused(tmp_path):
    """Invariant 13, within one message and over messages."""
    async with streaming(tmp_path) as (_, stream):
        await stream.send(start(1), start(1), start(1, labels={"a": "b"}))
        answers = await stream.answers(3)
        assert sorted(a.created for a in answers.values()) == [False, False, True]
        assert [answers[n].status.code for n in (1, 2, 3)] == [0, 0, code_pb2.ALREADY_EXISTS]
        await stream.send(start(1))
        assert not (await stream.answers(1))[1].created
        await stream.end()


async def _unary(s: Served, request: pb.StartSagaRequest) -> Any:
    stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.StartSaga(request)
    return rpc_status.from_call(refused.value)  # type: ignore[arg-type]


REFUSED = {
    "nothing": pb.StartSagaRequest(),
    "id": pb.StartSagaRequest(definition_id="waiting", saga_id="a/b"),
    "long id": pb.StartSagaRequest(definition_id="waiting", saga_id="x" * 201),
    "labels": pb.StartSagaRequest(definition_id="waiting", labels={str(i): "" for i in range(9)}),
    "payload": pb.StartSagaRequest(definition_id="waiting", initial_data=Payload(text="x")),
    "too large": pb.StartSagaRequest(
        definition_id="waiting", initial_data=Payload(content_type="text/plain", text="x" * ((1 << 20) + 1))
    ),
    "no definition": pb.StartSagaRequest(definition_id="nope"),
    "no version": pb.StartSagaRequest(definition_id="waiting", definition_version=7),
    "disabled": pb.StartSagaRequest(definition_id="off", definition_version=1),
    "both": pb.StartSagaRequest(definition_id="waiting", definition=WAITING.to_proto()),
    "invalid definition": pb.StartSagaRequest(definition=definition_pb2.SagaDefinition(id="x")),
    "unsupported": pb.StartSagaRequest(definition_id="waiting", mode=definition_pb2.COORDINATOR_MODE_HYBRID),
    "exists": pb.StartSagaRequest(definition_id="waiting", saga_id="s-1", correlation_id="another"),
}


async def test_refusals_are_those_of_a_call_of_its_own(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.register(Saga("off", WAITING.steps))
        await s.runtime.service.definitions.disable("off", 1, True)
        await s.client.start("waiting", saga_id="s-1", correlation_id="one")
        await stream.send(start(2), *REFUSED.values(), start(3))
        answers = await stream.answers(len(REFUSED) + 2)
        assert answers[1].created
        assert answers[len(REFUSED) + 2].created
        for n, (name, request) in enumerate(REFUSED.items(), 2):
            alone = await _unary(s, request)
            item = answers[n].status
            assert (item.code, item.message, list(item.details)) == (alone.code, alone.message, list(alone.details)), (
                name
            )
            assert item.code not in (code_pb2.OK, code_pb2.INTERNAL), name
        assert {x.id async for x in s.client.list()} == {"s-1", "s-2", "s-3"}, "the refused left nothing"


async def test_what_was_not_raised_on_purpose_meets_its_item_only(tmp_path, monkeypatch):
    async with streaming(tmp_path) as (s, stream):
        offer = s.runtime.engine.offer

        def broken(saga: Any, *more: Any) -> None:
            if saga.id == "s-2":
                raise KeyError("the customer's card number")
            offer(saga, *more)

        monkeypatch.setattr(s.runtime.engine, "offer", broken)
        await stream.send(start(1), start(2), start(3))
        answers = await stream.answers(3)
        assert [answers[n].status.code for n in (1, 2, 3)] == [0, code_pb2.INTERNAL, 0]
        assert "card" not in str(answers[2])
        await stream.end()


async def test_a_store_that_does_not_answer_is_asked_once_for_all(tmp_path, monkeypatch):
    async with streaming(tmp_path) as (s, stream):
        asked: list[str] = []

        async def away(definition_id: str, version: int, digest: str) -> None:
            asked.append(definition_id)
            raise StoreUnavailable

        monkeypatch.setattr(s.runtime.engine.store, "definition", away)
        await stream.send(*(start(n) for n in range(50)))
        answers = await stream.answers(50)
        assert {a.status.code for a in answers.values()} == {code_pb2.UNAVAILABLE}
        assert asked == ["waiting"]


async def test_no_task_per_saga(tmp_path, gate):
    async with streaming(tmp_path) as (s, stream):
        gate.clear()
        before = len(asyncio.all_tasks())
        for block in range(4):
            await stream.send(*(start(100 * block + n) for n in range(100)))
        engine, queue = s.runtime.engine, s.runtime.service.starts
        await eventually(lambda: engine.context.working_set.busy + engine.starts_waiting + len(queue) == 400)
        assert (await s.client.metrics()).queued_starts > 0
        assert len(asyncio.all_tasks()) < before + 10
        gate.set()
        assert len(await stream_all(stream, 400)) == 400


async def stream_all(stream: Stream, count: int) -> list[Any]:
    """The next answers, whose item ids come more than once."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += (await stream.call.read()).items
    return found


async def test_each_item_is_answered_in_time_whatever_the_others_do(tmp_path, gate, monkeypatch):
    usual = SagaConfig.engine_options
    monkeypatch.setattr(SagaConfig, "engine_options", lambda self: replace(usual(self), answer_timeout=SECOND // 5))
    async with streaming(tmp_path) as (s, stream):
        gate.clear()
        await stream.send(start(1), pb.StartSagaRequest())
        assert (await stream.answers(1))[2].status.code == code_pb2.INVALID_ARGUMENT, "at once"
        late = (await stream.answers(1))[1].status
        info = error_details_pb2.ErrorInfo()
        assert late.details[0].Unpack(info)
        assert (late.code, info.reason) == (code_pb2.UNAVAILABLE, "COORDINATOR_UNAVAILABLE")
        gate.set()
        await eventually(lambda: s.runtime.engine.is_quiet)
        await stream.send(start(1))
        assert not (await stream.answers(1))[1].created, "it was started all the same"
        await stream.end()


def is_full(s: Served) -> bool:
    """Whether the engine has all it takes while nothing can be committed."""
    engine = s.runtime.engine
    return (
        engine.context.working_set.busy > engine.options.round_size
        and not engine.context.mailbox.ready_for_starts.is_set()
    )


async def test_nobody_waits_for_ever_for_an_engine_that_takes_nothing(tmp_path, gate, monkeypatch):
    monkeypatch.setattr("swit_saga_server.service.admission_queue.LOOK_S", 0.05)
    async with streaming(tmp_path) as (s, stream):
        engine, queue = s.runtime.engine, s.runtime.service.starts
        gate.clear()
        await stream.send(*(start(n) for n in range(1000)))
        await eventually(lambda: is_full(s))
        waiting = len(queue)
        engine.options = replace(engine.options, answer_timeout=SECOND // 5)
        async with asyncio.timeout(3):  # Less than what those may take that the engine has.
            answers = await stream.answers(waiting)
        assert {a.status.code for a in answers.values()} == {code_pb2.UNAVAILABLE}
        assert min(answers) == 1000 - waiting + 1
        gate.set()


async def test_what_only_waits_is_forgotten_with_its_caller(tmp_path, gate):
    async with streaming(tmp_path) as (s, stream):
        engine, queue = s.runtime.engine, s.runtime.service.starts
        gate.clear()
        await stream.send(*(start(n) for n in range(1000)))
        await eventually(lambda: is_full(s))
        waiting = len(queue)
        stream.call.cancel()
        await eventually(lambda: not s.server.coordinator.streams)
        gate.set()
        await eventually(lambda: engine.is_quiet and not queue)
        assert (await s.client.metrics()).total_sagas == 1000 - waiting


async def test_a_call_of_its_own_that_only_waits_is_forgotten_with_its_caller(tmp_path, gate, monkeypatch):
    cancelled, cancel = [], QueuedStart.cancel

    def noted(queued: QueuedStart) -> None:
        cancelled.append(queued.saga_id)
        cancel(queued)

    monkeypatch.setattr(QueuedStart, "cancel", noted)
    async with streaming(tmp_path) as (s, stream):
        engine, queue = s.runtime.engine, s.runtime.service.starts
        gate.clear()
        await stream.send(*(start(n) for n in range(1000)))
        await eventually(lambda: is_full(s))
        waiting = len(queue)
        async with AsyncSagaClient(channel=s.channel, batch_starts=False) as client:
            starting = asyncio.create_task(client.start("waiting", saga_id="alone"))
            await eventually(lambda: len(queue) == waiting + 1)
            starting.cancel()
            await eventually(lambda: len(cancelled) == 1)
        gate.set()
        assert len(await stream.answers(1000)) == 1000
        await eventually(lambda: engine.is_quiet and not queue)
        with pytest.raises(NotFoundError):
            await s.client.get("alone")


async def test_calls_of_their_own_share_the_reading_of_the_definition(tmp_path, monkeypatch):
    from swit_saga_server.store.sqlite import SqliteStore

    read: list[int] = []
    let, original = asyncio.Event(), SqliteStore.definition

    async def definition(self: SqliteStore, definition_id: str, version: int, digest: str) -> Any:
        read.append(version)
        await let.wait()
        return await original(self, definition_id, version, digest)

    async with serve(tmp_path, batch=False) as s:
        await s.client.register(WAITING)
        monkeypatch.setattr(SqliteStore, "definition", definition)
        starting = [asyncio.create_task(s.client.start("waiting")) for _ in range(20)]
        await eventually(lambda: len(s.runtime.service.starts) == 20)
        let.set()
        handles = await asyncio.gather(*starting)
        assert all(handle.created for handle in handles)
    assert read.count(0) <= 2, "the latest: by the first, and by all that came meanwhile"


async def test_a_load_that_lasts_is_refused(tmp_path, gate):
    async with streaming(tmp_path, coordinator={"max_queue_wait": "200ms"}) as (s, stream):
        gate.clear()
        await stream.send(*(start(n) for n in range(1000)))
        await eventually(lambda: s.runtime.service.starts)
        await eventually(lambda: s.runtime.service.starts.refusal("") is not None)
        with pytest.raises(OverloadedError, match=r"would wait for more than 0\.2 s"):
            await s.client.start("waiting")
        gate.set()
        assert len(await stream.answers(1000)) == 1000
        await s.client.start("waiting")


async def test_a_caller_that_goes_leaves_its_starts_to_be_made(tmp_path, gate):
    async with streaming(tmp_path) as (s, stream):
        gate.clear()
        await stream.send(*(start(n) for n in range(20)))
        await eventually(lambda: s.runtime.engine.context.working_set.busy == 20)
        stream.call.cancel()
        await eventually(lambda: not s.server.coordinator.streams)
        gate.set()
        await eventually(lambda: s.runtime.engine.is_quiet)
        assert len([x async for x in s.client.list()]) == 20


async def test_each_item_has_the_trace_it_brings(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await stream.send(start(1), traceparent=TRACEPARENT, tracestate="a=b")
        await stream.answers(1)
        await stream.send(start(2))
        await stream.answers(1)
        traced, other = (await s.client.get("s-1")).proto, (await s.client.get("s-2")).proto
        assert (traced.trace_id, traced.parent_span_id) == (TRACEPARENT[3:35], TRACEPARENT[36:52])
        assert other.trace_id not in ("", traced.trace_id)


async def test_draining_refuses_each_item_and_then_ends_the_streams(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        stream, idle = Stream(s), Stream(s)
        await idle.send(start(0))
        await idle.answers(1)
        s.runtime.service.begin_stop()
        await stream.send(start(1))
        refused = (await stream.answers(1))[1].status
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert refused.details[0].Unpack(info)
        assert refused.details[1].Unpack(retry)
        assert (refused.code, info.reason) == (code_pb2.UNAVAILABLE, "COORDINATOR_STOPPING")
        assert retry.retry_delay.ToSeconds() == 1
        began = time.monotonic()
        await s.server.drain()
        assert time.monotonic() - began < 0.9, "idle streams are not waited for"
        for call in (stream.call, idle.call):
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK


async def test_what_was_taken_before_the_drain_is_answered(tmp_path, gate):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        stream = Stream(s)
        gate.clear()
        await stream.send(*(start(n) for n in range(50)))
        await eventually(lambda: s.runtime.engine.context.working_set.busy == 50)
        draining = asyncio.create_task(s.server.drain())
        await eventually(lambda: s.runtime.service.starts.refusal("") is not None)
        gate.set()
        answers = await stream.answers(50)
        assert all(a.created for a in answers.values())
        await draining


async def test_a_client_goes_on_over_a_drain(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        async with AsyncSagaClient(s.address, timeout="300ms") as other:
            await other.start("waiting")
            await s.server.drain()
            with pytest.raises(UnavailableError):
                await other.start("waiting")


# ---- a caller that does not read -------------------------------------------------------------------------------------


async def test_no_more_is_taken_than_is_answered_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(item_stream, "MAX_OPEN", 5)
    monkeypatch.setattr(StartItems, "max_message_items", 4)
    async with streaming(tmp_path) as (s, _):
        stream = StartItems(s.runtime.service.starts, Caller(), lambda: (1, (0,)), ROOM)
        async with asyncio.timeout(10):
            await stream.take(messages([start(n) for n in range(5)]))
            taking = asyncio.create_task(stream.take(messages([start(n) for n in range(5, 10)])))
            await eventually(lambda: stream.unread == 10)
            assert not taking.done(), "all is answered, nothing is read"
            first = await stream.answers()
            assert first is not None
            assert len(first.items) == 4
            await turn()
            assert not taking.done()
            assert await stream.answers() is not None
            await taking
            assert await stream.answers() is not None
            stream.end()
            assert await stream.answers() is None


async def test_messages_are_no_larger_than_their_largest_saga(tmp_path):
    async with streaming(tmp_path) as (_, stream):
        for n in range(30):
            large = start(n)
            large.metadata["fill"] = "x" * 60_000
            await stream.send(large)
        found: list[str] = []
        while len(found) < 30:
            response = await stream.call.read()
            assert response.ByteSize() <= item_stream.MESSAGE_BYTES
            found += [i.saga.id for i in response.items]
        assert sorted(found) == sorted(f"s-{n}" for n in range(30))
        await stream.end()


async def test_ending_frees_a_caller_that_waits_for_room(tmp_path, monkeypatch):
    monkeypatch.setattr(item_stream, "MAX_OPEN", 1)
    async with streaming(tmp_path) as (s, _):
        stream = StartItems(s.runtime.service.starts, Caller(), lambda: (1, (0,)), ROOM)
        taking = asyncio.create_task(stream.take(messages([start(n) for n in range(5)])))
        await eventually(lambda: stream.unread == 5)
        stream.end()
        async with asyncio.timeout(5):
            await taking
            response = await stream.answers()
            assert response is not None
            assert len(response.items) == 5
            assert await stream.answers() is None


async def test_callers_hear_what_is_driven_here_at_first_and_when_it_changed(tmp_path):
    async with streaming(tmp_path) as (s, _):
        held = [(64, (1, 2)), (64, (1, 2)), (64, (2,))]
        stream = StartItems(s.runtime.service.starts, Caller(), lambda: held.pop(0), ROOM)
        sent = []
        for n in range(3):
            await stream.take(messages([start(n)]))
            response = await stream.answers()
            assert response is not None
            sent.append((response.partitions.total, list(response.partitions.held)))
        assert sent == [(64, [1, 2]), (0, []), (64, [2])]


async def test_the_whole_truth_is_told(tmp_path):
    async with streaming(tmp_path) as (s, _):
        await s.client.start("waiting")
        total, held = s.runtime.service.sagas.partitions()
        assert len(held) == total
        assert (s.client._ids._total, sorted(s.client._ids._held)) == (total, list(held))


def test_an_unset_status_is_ok():
    assert error_pb2.ItemStatus().code == code_pb2.OK
