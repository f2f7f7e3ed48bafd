"""The client's waits: the same over a shared stream as by calls of their own, whatever goes wrong."""

import asyncio
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2

from swit_saga import (
    AsyncSagaClient,
    CallError,
    ClientClosed,
    NotFoundError,
    Saga,
    SagaClient,
    Step,
    TimedOutError,
    UnavailableError,
    WaitTimeout,
)
from swit_saga import waits as waits_of_client
from swit_saga.channel import ChannelStubs
from swit_saga.streams import MESSAGE_ITEMS, Metadata, Shared, StreamCall
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import error_pb2, saga_pb2
from swit_saga.waits import WAITS
from swit_saga_server.rpc import item_stream
from tests.support.rpc.fake import BUSY, Cut, Fake, Waited, faking, refusal
from tests.support.rpc.serve import ORDER, serve
from tests.support.waiting import eventually, turn

both = pytest.mark.parametrize("batch", [False, True], ids=["unary", "stream"])

SLOW = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1h")])
RUNNING, COMPLETED = saga_pb2.SAGA_STATE_RUNNING, saga_pb2.SAGA_STATE_COMPLETED


def waited(state: "saga_pb2.SagaState.ValueType", *, done: bool) -> pb.WaitSagaResponse:
    return pb.WaitSagaResponse(saga=saga_pb2.Saga(id="o-1", state=state), done=done)


NOT_YET, DONE = waited(RUNNING, done=False), waited(COMPLETED, done=True)


# ---- either way ------------------------------------------------------------------------------------------------------


@both
async def test_it_asks_again_until_there_is_an_outcome(monkeypatch, batch):
    monkeypatch.setattr("swit_saga.waiting.ANSWER_S", 0.2)
    monkeypatch.setattr("swit_saga.waiting.WAIT_SLICE_S", 0.1)
    fake = Fake(NOT_YET, BUSY, NOT_YET, None, waited(saga_pb2.SAGA_STATE_FAILED, done=True))
    async with faking(fake, batch_waits=batch) as client:
        assert (await client.wait("o-1")).state == "failed", "and does not raise on an outcome"
    assert len(fake.requests) >= 5
    assert len(fake.items) == (len(fake.requests) if batch else 0)


@both
async def test_it_gives_up_when_its_time_is_over(monkeypatch, batch):
    monkeypatch.setattr("swit_saga.waiting.ANSWER_S", 0.2)
    async with faking(Fake(NOT_YET), batch_waits=batch) as client:
        assert (await client.wait("o-1", timeout="100ms")).state == "running"
        with pytest.raises(WaitTimeout, match="still running"):
            await client.handle("o-1").result(timeout="100ms")
    either = (UnavailableError, TimedOutError)  # By whether the last attempt had any time left.
    for answer, error in ((BUSY, either), (None, TimedOutError)):
        async with faking(Fake(answer), batch_waits=batch) as client:
            with pytest.raises(error):
                async with asyncio.timeout(5):
                    await client.wait("o-1", timeout="100ms")


@both
async def test_it_does_not_hide_a_definite_error(batch):
    fake = Fake(BUSY, refusal(code_pb2.NOT_FOUND, "SAGA_NOT_FOUND"))
    async with faking(fake, batch_waits=batch) as client:
        with pytest.raises(NotFoundError):
            await client.wait("o-1")
    assert len(fake.requests) == 2


@both
async def test_what_is_asked_is_the_same(batch):
    fake = Fake(DONE)
    async with faking(fake, metadata={"tenant": "t"}, batch_waits=batch) as client:
        saga = await client.wait("o-1", timeout="5s", states=["running"])
    assert (saga.id, saga.state) == ("o-1", "completed")
    (request,) = fake.requests
    assert (request.saga_id, list(request.states), request.view) == ("o-1", [RUNNING], pb.SAGA_VIEW_FULL)
    assert 4 < request.timeout.ToTimedelta().total_seconds() <= 5
    assert fake.metadata[0]["tenant"] == "t"


@both
async def test_nobody_there(batch):
    async with AsyncSagaClient("127.0.0.1:1", timeout="300ms", batch_waits=batch) as client:
        with pytest.raises((UnavailableError, TimedOutError)):
            await client.wait("o-1", timeout="200ms")


@both
async def test_closing_the_client_ends_what_is_under_way(batch):
    fake = Fake(None)
    async with faking(fake, batch_waits=batch) as client:
        waiting = [asyncio.create_task(client.wait("o-1")) for _ in range(3)]
        await eventually(lambda: len(fake.requests) == 3)
        await client.close()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(e) for e in ended] == [ClientClosed] * 3
        with pytest.raises(ClientClosed):
            await client.wait("o-1")


@both
async def test_a_wait_given_up_is_given_up_by_the_server(tmp_path, batch):
    async with serve(tmp_path) as s, AsyncSagaClient(s.address, batch_waits=batch) as client:
        handle = await client.start(SLOW, {})
        other = await client.start(SLOW, {})
        keeps = asyncio.create_task(other.wait())
        given_up = asyncio.create_task(handle.wait())
        feed = s.runtime.engine.feed
        await eventually(lambda: feed.is_watched(handle.id) and feed.is_watched(other.id))
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await eventually(lambda: not feed.is_watched(handle.id))
        assert feed.is_watched(other.id)
        await other.cancel()
        assert (await keeps).state == "cancelled"


@both
async def test_a_client_that_is_gone_waits_no_more(tmp_path, batch):
    async with serve(tmp_path) as s:
        client = AsyncSagaClient(s.address, batch_waits=batch)
        handle = await client.start(SLOW, {})
        waiting = asyncio.create_task(handle.wait())
        await eventually(lambda: s.runtime.engine.feed.is_watched(handle.id))
        await client.close()
        await eventually(lambda: not len(s.runtime.engine.waits))
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], ClientClosed)


# ---- the stream ------------------------------------------------------------------------------------------------------


class Echo(Fake):
    """Every saga it is asked for is over; odd ones it does not know."""

    async def WaitSagas(self, requests: Any, context: Any) -> Any:
        messages: list[int] = []
        self.messages.append(messages)
        async for message in requests:
            messages.append(len(message.items))
            answers = []
            for item in reversed(message.items):
                self.items.append(item)
                saga_id = item.wait.saga_id
                if int(saga_id) % 2:
                    status = error_pb2.ItemStatus(code=code_pb2.NOT_FOUND, message=saga_id)
                    answers.append(Waited(item_id=item.item_id, status=status))
                else:
                    saga = saga_pb2.Saga(id=saga_id, state=COMPLETED)
                    answers.append(Waited(item_id=item.item_id, saga=saga, done=True))
            yield pb.WaitSagasResponse(items=answers)


async def test_waits_of_one_moment_share_messages_and_are_answered_each():
    fake, many = Echo(), 2 * MESSAGE_ITEMS + 10
    async with faking(fake) as client:
        answers = await asyncio.gather(*(client.wait(str(n)) for n in range(many)), return_exceptions=True)
    for n, answer in enumerate(answers):
        if n % 2:
            assert isinstance(answer, NotFoundError)
            assert str(answer) == str(n)
        else:
            assert not isinstance(answer, BaseException)
            assert (answer.id, answer.state) == (str(n), "completed")
    assert fake.messages == [[MESSAGE_ITEMS, MESSAGE_ITEMS, 10]]


async def test_what_is_given_up_is_withdrawn_once():
    fake = Fake(None)
    async with faking(fake) as client:
        waiting = [asyncio.create_task(client.wait(str(n))) for n in range(4)]
        await eventually(lambda: len(fake.items) == 4)
        for task in (waiting[1], waiting[3]):
            task.cancel()
        gone = await asyncio.gather(waiting[1], waiting[3], return_exceptions=True)
        assert [type(g) for g in gone] == [asyncio.CancelledError] * 2
        await eventually(lambda: len(fake.withdrawn) == 2)
        fake.answers = [DONE]
        assert (await client.wait("o-1")).state == "completed"
        assert [i.item_id for i in fake.items if i.wait.saga_id in "13"] == sorted(fake.withdrawn)
        assert len(fake.messages) == 1, "the stream lives"
        assert len(fake.withdrawn) == 2, "and not what was answered"
        for task in (waiting[0], waiting[2]):
            assert not task.done()
            task.cancel()


async def test_what_is_given_up_unsent_is_not_sent():
    class Slow:
        """A call that takes one message at a time, when the test lets it."""

        def __init__(self) -> None:
            self.messages: list[pb.WaitSagasRequest] = []
            self.begun = 0
            self.room = asyncio.Semaphore(1)

        async def write(self, message: pb.WaitSagasRequest) -> None:
            self.begun += 1
            await self.room.acquire()
            self.messages.append(message)

        async def read(self) -> Any:
            await asyncio.Event().wait()

        async def done_writing(self) -> None: ...

        def cancel(self) -> None: ...

        def open_stream(self, rpc: str, metadata: Any) -> "Slow":
            return self

    def ask(shared: Shared, saga_id: str) -> asyncio.Task[Any]:
        return asyncio.create_task(shared(pb.WaitSagaRequest(saga_id=saga_id)))

    call = Slow()
    shared = Shared(WAITS, call, call.write, lambda _: None)
    tasks = [ask(shared, "1")]
    await eventually(lambda: len(call.messages) == 1)
    tasks.append(ask(shared, "2"))
    await eventually(lambda: call.begun == 2)  # The second message is being written.
    tasks += [ask(shared, "3"), ask(shared, "4")]
    await turn()
    for n in (0, 2):
        tasks[n].cancel()
    await asyncio.wait([tasks[0], tasks[2]])
    for _ in range(2):
        call.room.release()
    await eventually(lambda: len(call.messages) == 3)
    assert [[i.wait.saga_id for i in m.items] for m in call.messages] == [["1"], ["2"], ["4"]]
    assert list(call.messages[2].withdrawn) == [1]
    await shared.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_wait_on_a_stream_that_was_left_can_still_be_given_up(monkeypatch):
    monkeypatch.setattr("swit_saga.streams.LIFE_S", 0.0)
    fake = Fake(None, DONE)
    async with faking(fake) as client:
        old = asyncio.create_task(client.wait("old"))
        await eventually(lambda: fake.items)
        assert (await client.wait("new")).state == "completed"
        assert len(fake.messages) == 2, "on another stream"
        old.cancel()
        await eventually(lambda: fake.withdrawn)
        await eventually(lambda: fake.open_streams == 1)


class Counting(ChannelStubs):
    """Knows which streams are open."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel, owned=False)
        self.open: defaultdict[str, set[StreamCall]] = defaultdict(set)

    def open_stream(self, rpc: str, metadata: Metadata) -> StreamCall:
        call = Counted(super().open_stream(rpc, metadata), self.open[rpc])
        self.open[rpc].add(call)
        return call


class Counted:
    """A call that leaves the set it is in when it is let go of."""

    def __init__(self, call: StreamCall, among: set[StreamCall]) -> None:
        self.call, self.among = call, among
        self.write, self.read, self.done_writing = call.write, call.read, call.done_writing

    def cancel(self) -> None:
        self.call.cancel()
        self.among.discard(self)


async def test_a_stream_that_was_left_ends_with_its_last_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("swit_saga.streams.LIFE_S", 0.0)
    async with serve(tmp_path) as s, AsyncSagaClient(stubs=(stubs := Counting(s.channel))) as client:
        streams = stubs.open["WaitSagas"]
        handle = await client.start(SLOW, {})
        old = asyncio.create_task(handle.wait())
        await eventually(lambda: s.runtime.engine.feed.is_watched(handle.id))
        assert (await handle.wait(states=["step_completed"])).state == "step_completed"
        assert len(streams) == 2
        await handle.cancel()
        assert (await old).state == "cancelled"
        await eventually(lambda: len(streams) == 1)


async def test_a_full_stream_is_joined_by_another(monkeypatch):
    assert waits_of_client.MAX_OPEN < item_stream.MAX_OPEN
    monkeypatch.setattr("swit_saga.waiting.WAITS", replace(WAITS, max_open=4))
    fake = Fake(None)
    async with faking(fake) as client:
        waiting = [asyncio.create_task(client.wait(str(n))) for n in range(10)]
        await eventually(lambda: len(fake.items) == 10)
        assert sorted(sum(stream) for stream in fake.messages) == [2, 4, 4]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await eventually(lambda: len(fake.withdrawn) == 10)


@pytest.mark.parametrize("status", [BUSY, None, refusal(code_pb2.INTERNAL), refusal(code_pb2.CANCELLED)], ids=str)
async def test_a_stream_cut_in_mid_flight_leaves_no_wait_behind(status):
    fake = Fake(None, None, Cut(status), DONE)
    async with faking(fake) as client:
        sagas = await asyncio.gather(*(client.wait(str(n)) for n in range(3)))
    assert [s.state for s in sagas] == ["completed"] * 3
    asked = [r.saga_id for r in fake.requests]
    assert sorted(asked[:3]) == sorted(asked[3:])


async def test_what_cuts_every_stream_is_asked_alone():
    """As an answer too large for the caller does: it is the end of one wait, not of all."""
    fake = Fake(*[Cut(refusal(code_pb2.RESOURCE_EXHAUSTED))] * 2, refusal(code_pb2.RESOURCE_EXHAUSTED), DONE)
    async with faking(fake) as client:
        with pytest.raises(CallError) as large:
            await client.wait("large")
        assert large.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await client.wait("small")).state == "completed"
    assert [len(stream) for stream in fake.messages] == [1, 1, 1]


async def test_a_server_without_the_stream_is_remembered():
    fake = Fake(Cut(refusal(code_pb2.UNIMPLEMENTED)), DONE)
    async with faking(fake) as client:
        for _ in range(3):
            assert (await client.wait("o-1")).state == "completed"
        assert fake.messages == [[1]], "it was asked once"
        assert len(fake.requests) == 4
        fake.answers = [pb.StartSagaResponse(saga=saga_pb2.Saga(id="o-2"))]
        await client.start("order")
        assert fake.messages == [[1], [1]], "of starts, nothing is known by that"


# ---- the synchronous client ------------------------------------------------------------------------------------------


async def test_sync_waits_from_many_threads_share_a_stream():
    before = set(threading.enumerate())
    fake = Echo()
    async with faking(fake):

        def wait(sagas: SagaClient, n: int) -> Any:
            try:
                return sagas.wait(str(n)).id
            except CallError as refused:
                return refused.code

        def use() -> list[Any]:
            with SagaClient(fake.address) as sagas, ThreadPoolExecutor(8) as threads:
                return list(threads.map(lambda n: wait(sagas, n), range(20)))

        found = await asyncio.to_thread(use)
    assert found == [grpc.StatusCode.NOT_FOUND if n % 2 else str(n) for n in range(20)]
    assert len(fake.messages) == 1
    await eventually(lambda: not [t for t in set(threading.enumerate()) - before if "asyncio" not in t.name])


@pytest.mark.parametrize(
    "cut", [Cut(BUSY), Cut(refusal(code_pb2.UNIMPLEMENTED)), Cut(None)], ids=["busy", "unimplemented", "unsaid"]
)
async def test_a_sync_wait_outlives_its_stream(cut):
    fake = Fake(cut, DONE)
    async with faking(fake):

        def use() -> str:
            with SagaClient(fake.address) as sagas:
                return sagas.wait("o-1").state

        assert await asyncio.to_thread(use) == "completed"
    assert len(fake.requests) == 2


async def test_a_sync_server_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("swit_saga.waiting.ANSWER_S", 0.2)
    fake = Fake(None)
    async with faking(fake):

        def use() -> None:
            with SagaClient(fake.address) as sagas, pytest.raises(TimedOutError):
                sagas.wait("o-1", timeout="100ms")

        await asyncio.to_thread(use)


async def test_many_sagas_are_run_and_waited_for_at_once(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(ORDER)
        handles = await asyncio.gather(*(s.client.start("order", {"n": n}) for n in range(200)))
        results = await asyncio.gather(*(h.result(dict, timeout="20s") for h in handles))
        assert results == [{"paid": True}] * 200
        assert not len(s.runtime.engine.waits)
