"""WaitSagas: every item as WaitSaga would have answered it, many at once, over drains, cuts and slow readers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from swit_saga import Participant, Saga, Step, StepContext
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, saga_pb2
from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.rpc import item_stream
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.views import Views
from swit_saga_server.rpc.wait_items import WaitItems
from tests.support.rpc.serve import ORDER, Served, serve
from tests.support.waiting import eventually

SLOW = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1h")])


def ask(saga_id: str, timeout_s: float | None = None, **more: Any) -> pb.WaitSagaRequest:
    request = pb.WaitSagaRequest(saga_id=saga_id, **more)
    if timeout_s is not None:
        request.timeout.FromMicroseconds(round(timeout_s * 1e6))
    return request


def message(*requests: pb.WaitSagaRequest, first: int = 1) -> pb.WaitSagasRequest:
    items = [pb.WaitSagasRequest.Item(item_id=n, wait=r) for n, r in enumerate(requests, first)]
    return pb.WaitSagasRequest(items=items)


class Stream:
    """A raw call of WaitSagas."""

    def __init__(self, s: Served, **how: Any) -> None:
        self.call: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel).WaitSagas(**how)

    async def send(self, *requests: pb.WaitSagaRequest, first: int = 1) -> None:
        await self.call.write(message(*requests, first=first))

    async def answers(self, count: int) -> dict[int, Any]:
        """The next ``count`` answers by item id."""
        found: dict[int, Any] = {}
        async with asyncio.timeout(10):
            while len(found) < count:
                for item in (await self.call.read()).items:
                    assert item.item_id not in found, "answered twice"
                    found[item.item_id] = item
        assert len(found) == count
        return found

    async def end(self) -> None:
        await self.call.done_writing()
        async with asyncio.timeout(10):
            assert await self.call.read() is grpc.aio.EOF
            assert await self.call.code() is grpc.StatusCode.OK


@asynccontextmanager
async def streaming(folder: Path, **server: Any) -> AsyncIterator[tuple[Served, Stream]]:
    async with serve(folder, **server) as s:
        await s.client.register(ORDER)
        yield s, Stream(s)


async def _unary(s: Served, request: pb.WaitSagaRequest) -> pb.WaitSagaResponse | status_pb2.Status:
    stub: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
    try:
        answered: pb.WaitSagaResponse = await stub.WaitSaga(request, timeout=20)
    except grpc.aio.AioRpcError as refused:
        status = rpc_status.from_call(refused)  # type: ignore[arg-type]
        assert status is not None
        return status
    return answered


ASKED = {
    "outcome": ask("done"),
    "another outcome": ask("done", states=[saga_pb2.SAGA_STATE_FAILED]),
    "state": ask("slow", states=[saga_pb2.SAGA_STATE_STEP_COMPLETED, saga_pb2.SAGA_STATE_FAILED]),
    "basic view": ask("done", view=pb.SAGA_VIEW_BASIC),
    "result view": ask("done", view=pb.SAGA_VIEW_RESULT),
    "result view of another outcome": ask("undone", view=pb.SAGA_VIEW_RESULT),
    "result view, not yet": ask("slow", 0.05, view=pb.SAGA_VIEW_RESULT),
    "not yet": ask("slow", 0.05),
    "at once": ask("slow", 0),
    "no such saga": ask("nope"),
    "less than no time": ask("slow", -1),
    "no id": ask(""),
    "bad id": ask("a/b"),
    "long id": ask("x" * 201),
    "bad state": ask("done", states=[99]),
}


async def test_every_answer_is_wait_sagas(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start("order", {"n": 1}, saga_id="done")
        await s.client.start(SLOW, {"n": 1}, saga_id="slow")
        await s.client.start("order", {"pay": "rejected"}, saga_id="undone")
        await s.client.wait("done")
        await s.client.wait("undone")
        await s.client.wait("slow", states=["step_completed"])
        alone = [await _unary(s, request) for request in ASKED.values()]
        await stream.send(*ASKED.values())
        shared = await stream.answers(len(ASKED))
        for n, (name, expected) in enumerate(zip(ASKED, alone, strict=True), 1):
            item = shared[n]
            if isinstance(expected, status_pb2.Status):
                status = status_pb2.Status(
                    code=item.status.code, message=item.status.message, details=item.status.details
                )
                assert status == expected, name
                assert not item.HasField("saga")
            else:
                assert (item.status.code, item.saga, item.done) == (0, expected.saga, expected.done), name
        await stream.end()
        wanted = [*[1] * 9, code_pb2.NOT_FOUND, *[code_pb2.INVALID_ARGUMENT] * 5]
        assert [1 if isinstance(a, pb.WaitSagaResponse) else a.code for a in alone] == wanted


async def test_the_result_view_is_the_full_one_but_of_a_completed_saga(tmp_path):
    async with streaming(tmp_path) as (s, _):
        await (await s.client.start("order", {"n": 1}, saga_id="done")).wait()
        await (await s.client.start("order", {"pay": "rejected"}, saga_id="undone")).wait()
        full, result, undone_full, undone_result = [
            (await _unary(s, ask(saga_id, view=view))).saga
            for saga_id in ("done", "undone")
            for view in (pb.SAGA_VIEW_FULL, pb.SAGA_VIEW_RESULT)
        ]
        assert undone_result == undone_full
        given = {field.name: value for field, value in result.ListFields()}
        assert given == {field.name: value for field, value in full.ListFields() if field.name in given}
        assert set(given) == {
            *("id", "definition_id", "definition_version", "name", "state", "version"),
            *("created_at", "updated_at", "started_at", "completed_at", "result_data"),
        }


async def test_each_is_answered_as_its_saga_gets_there(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        for n in range(3):
            await s.client.start(SLOW, {"n": n}, saga_id=f"s-{n}")
        await stream.send(*(ask(f"s-{n}") for n in range(3)))
        for n in (1, 0, 2):
            await s.client.cancel(f"s-{n}")
            ((item_id, item),) = (await stream.answers(1)).items()
            assert (item_id, item.saga.id, item.done) == (n + 1, f"s-{n}", True)
            assert item.saga.state == saga_pb2.SAGA_STATE_CANCELLED
        await stream.end()


async def test_many_at_once_without_a_task_each(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await s.client.wait("slow", states=["step_completed"])
        before = len(asyncio.all_tasks())
        for block in range(4):
            await stream.send(*(ask("slow") for _ in range(500)), first=1 + 500 * block)
        await eventually(lambda: len(s.runtime.engine.waits) == 2_000)
        assert len(asyncio.all_tasks()) < before + 10
        await s.client.cancel("slow")
        answers = await stream.answers(2_000)
        assert all(a.done for a in answers.values())
        await stream.end()


async def test_the_default_time(tmp_path, monkeypatch):
    monkeypatch.setattr("swit_saga_server.rpc.requests.DEFAULT_WAIT_S", 0.1)
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await stream.send(ask("slow"))
        assert not (await stream.answers(1))[1].done


async def test_the_streams_own_deadline_ends_its_waits_a_little_before(tmp_path):
    async with streaming(tmp_path) as (s, _):
        await s.client.start(SLOW, {}, saga_id="slow")
        stream = Stream(s, timeout=0.9)
        began = time.monotonic()
        await stream.send(ask("slow", 20))
        assert not (await stream.answers(1))[1].done
        assert 0.3 < time.monotonic() - began < 0.9


async def test_what_is_withdrawn_is_not_answered(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await stream.send(*(ask("slow") for _ in range(4)))
        await eventually(lambda: len(s.runtime.engine.waits) == 4)
        await stream.call.write(pb.WaitSagasRequest(withdrawn=[1, 3, 3, 77]))
        await eventually(lambda: len(s.runtime.engine.waits) == 2)
        await s.client.cancel("slow")
        assert set(await stream.answers(2)) == {2, 4}
        await stream.call.write(pb.WaitSagasRequest(withdrawn=[2]))
        await stream.end()


async def test_an_id_may_be_used_again_when_its_wait_is_over(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await stream.send(ask("slow"))
        await stream.send(ask("slow"))
        refused = (await stream.answers(1))[1].status
        assert refused.code == code_pb2.INVALID_ARGUMENT
        await s.client.cancel("slow")
        assert (await stream.answers(1))[1].done
        await stream.send(ask("slow"))
        assert (await stream.answers(1))[1].done
        await stream.end()


async def test_no_more_are_open_than_may(tmp_path, monkeypatch):
    monkeypatch.setattr(item_stream, "MAX_OPEN", 3)
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await stream.send(*(ask("slow") for _ in range(5)))
        refused = await stream.answers(2)
        assert {a.status.code for a in refused.values()} == {code_pb2.RESOURCE_EXHAUSTED}
        assert set(refused) == {4, 5}
        await stream.call.write(pb.WaitSagasRequest(withdrawn=[1]))
        await stream.send(ask("slow", 0.05), first=6)
        assert not (await stream.answers(1))[6].done, "there is room again"
        await s.client.cancel("slow")
        assert set(await stream.answers(2)) == {2, 3}


async def test_what_is_open_when_no_more_comes_is_still_answered(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await stream.send(ask("slow"))
        await stream.call.done_writing()
        await s.client.cancel("slow")
        assert (await stream.answers(1))[1].done
        await stream.end()


async def test_a_caller_that_goes_leaves_nothing_behind(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start(SLOW, {}, saga_id="slow")
        await stream.send(*(ask("slow") for _ in range(20)))
        await eventually(lambda: len(s.runtime.engine.waits) == 20)
        stream.call.cancel()
        await eventually(lambda: not len(s.runtime.engine.waits))
        assert not s.runtime.engine.feed.watched
        assert not any(isinstance(open_, WaitItems) for open_ in s.server.coordinator.streams)


async def test_no_more_is_taken_than_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(item_stream, "MAX_UNREAD", 4)
    monkeypatch.setattr(WaitItems, "max_message_items", 3)
    async with streaming(tmp_path) as (s, _):
        await s.client.start(SLOW, {}, saga_id="slow")
        stream = WaitItems(s.runtime.service, Views(s.runtime.service), Caller())
        async with asyncio.timeout(10):
            await stream.take(message(*(ask("slow", 0) for _ in range(4))))
            taking = asyncio.create_task(stream.take(message(ask("slow", 0), first=5)))
            await eventually(lambda: stream.unread == 5)
            assert not taking.done()
            first = await stream.answers()
            assert first is not None
            assert [i.item_id for i in first.items] == [1, 2, 3]
            await taking
            more = message(*(ask("slow", 0) for _ in range(9)), first=6)
            taking = asyncio.create_task(stream.take(more))
            await eventually(lambda: stream.unread == 11)
            assert not taking.done()
            stream.end()
            await taking
            found = []
            while (response := await stream.answers()) is not None:
                found += [i.item_id for i in response.items]
            assert found == [*range(4, 15)]


async def test_messages_are_no_larger_than_their_largest_saga(tmp_path):
    async with streaming(tmp_path) as (s, stream):
        fill = "x" * 100_000
        for n in range(8):
            await s.client.start("order", {"fill": fill}, saga_id=f"s-{n}")
            await s.client.wait(f"s-{n}")
        size = (await _unary(s, ask("s-0"))).ByteSize()
        assert 3 * size > item_stream.MESSAGE_BYTES > size
        await stream.send(*(ask(f"s-{n}") for n in range(8)))
        found: list[str] = []
        while len(found) < 8:
            response = await stream.call.read()
            assert response.ByteSize() < item_stream.MESSAGE_BYTES + size
            found += [i.saga.id for i in response.items]
        assert found == [f"s-{n}" for n in range(8)]
        await stream.end()


async def test_a_definition_that_cannot_be_read_fails_its_own_wait(tmp_path, monkeypatch):
    async with streaming(tmp_path) as (s, stream):
        await s.client.start("order", {}, saga_id="done")
        await s.client.wait("done")

        async def away(saga: Any) -> Any:
            raise StoreUnavailable

        monkeypatch.setattr(s.runtime.service.definitions, "of", away)
        await stream.send(ask("done"), ask("done", view=pb.SAGA_VIEW_BASIC))
        answers = await stream.answers(2)
        assert [answers[n].status.code for n in (1, 2)] == [code_pb2.UNAVAILABLE, 0]
        assert answers[2].done


async def test_the_drain_is_waited_for_and_then_nobody_waits_in_vain(tmp_path):
    """As by WaitSaga: what comes to its end while the coordinator stops is heard, and what does not is said."""
    slow, reached, hold = Participant("slow"), asyncio.Event(), asyncio.Event()

    @slow.step("pay")
    async def pay(order: Any, step: StepContext) -> dict[str, Any]:
        reached.set()
        await hold.wait()
        return {"paid": True}

    async with serve(tmp_path, [slow], drain_timeout="10s") as s:
        await s.client.start(Saga("paid", [Step("pay", "slow", compensation=False)]), {}, saga_id="paid")
        await s.client.start(SLOW, {}, saga_id="later")
        await reached.wait()
        stream, idle = Stream(s), Stream(s)
        await stream.send(ask("paid"), ask("later"))
        await idle.send(ask("later", 0))
        await idle.answers(1)
        alone = [asyncio.create_task(_unary(s, ask(saga_id))) for saga_id in ("paid", "later")]
        await eventually(lambda: len(s.runtime.engine.waits) == 4)
        draining = asyncio.create_task(s.server.drain())
        await eventually(lambda: s.runtime.service.starts.refusal("") is not None)
        hold.set()
        answers = await stream.answers(2)
        assert answers[1].done
        refused = status_pb2.Status(
            code=answers[2].status.code, message=answers[2].status.message, details=answers[2].status.details
        )
        info = error_details_pb2.ErrorInfo()
        assert refused.details[0].Unpack(info)
        assert (refused.code, info.reason) == (code_pb2.UNAVAILABLE, "COORDINATOR_STOPPING")
        paid, later = await asyncio.gather(*alone)
        assert isinstance(paid, pb.WaitSagaResponse)
        assert paid.done
        assert later == refused
        for call in (stream.call, idle.call):
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK
        await draining
