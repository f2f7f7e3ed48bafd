"""The client over lost connections, restarts and refusals; and the synchronous client."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2

from swit_saga import (
    AsyncSagaClient,
    CallError,
    ClientClosed,
    NotFoundError,
    Saga,
    SagaCancelled,
    SagaClient,
    Step,
    TimedOutError,
    UnavailableError,
    WaitTimeout,
)
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import event_pb2
from swit_saga_server.rpc.server import serving
from swit_saga_server.runtime import Runtime
from tests.support.rpc.fake import BUSY, GOT, Fake, faking, refusal
from tests.support.rpc.serve import ORDER, Shop, config, serve
from tests.support.waiting import eventually

both = pytest.mark.parametrize("batch", [False, True], ids=["unary", "stream"])
CUT = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)
"""What proxies say, see test_cut; the coordinator's own come with a reason."""
SLOW = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1h")])


def event(sequence: int) -> pb.WatchSagaResponse:
    return pb.WatchSagaResponse(event=event_pb2.SagaEvent(sequence=sequence, type="state.changed"))


# ---- unary calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "exactly one"),
        ({"target": "x:1", "stubs": object()}, "exactly one"),
        ({"target": "x:1", "timeout": "1"}, "1"),
    ],
)
def test_options_that_make_no_sense(given, says):
    with pytest.raises(ValueError, match=says):
        AsyncSagaClient(**given)


async def test_what_the_server_cancels_is_tried_again():
    """So gRPC says that more calls came than a server takes up."""
    fake = Fake(refusal(code_pb2.CANCELLED), GOT)
    async with faking(fake) as client:
        assert (await client.get("o-1")).id == "o-1"
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "code",
    [c for c in grpc.StatusCode if c not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, *CUT)],
    ids=lambda c: c.name,
)
async def test_a_definite_error_is_not_tried_again(code):
    fake = Fake(refusal(code.value[0]), GOT)
    async with faking(fake) as client:
        with pytest.raises(CallError) as refused:
            await client.get("o-1")
    assert refused.value.code is code
    assert len(fake.requests) == 1


async def test_the_servers_wish_to_be_left_alone_is_heard():
    fake = Fake(refusal(code_pb2.UNAVAILABLE, "COORDINATOR_STOPPING", retry_s=0.4), GOT)
    async with faking(fake) as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.get("o-1")
        assert loop.time() - began >= 0.4


async def test_within_the_timeout_only():
    fake = Fake(BUSY)
    async with faking(fake, timeout="400ms") as client:
        with pytest.raises(UnavailableError) as refused:
            async with asyncio.timeout(2):
                await client.get("o-1")
    assert refused.value.reason == "COORDINATOR_UNAVAILABLE"
    assert len(fake.requests) > 1


async def test_a_server_that_does_not_answer():
    async with faking(Fake(None), timeout="200ms") as client:
        with pytest.raises(TimedOutError):
            await client.get("o-1")


async def test_nobody_there():
    async with AsyncSagaClient("127.0.0.1:1", timeout="300ms") as client:
        with pytest.raises(UnavailableError):
            await client.get("o-1")
        await client.close()


async def test_a_channel_of_the_callers_own_is_left_open():
    fake = Fake(GOT)
    async with faking(fake), grpc.aio.insecure_channel(fake.address) as channel:
        async with AsyncSagaClient(channel=channel) as client:
            await client.get("o-1")
        async with AsyncSagaClient(channel=channel) as client:
            assert (await client.get("o-1")).id == "o-1"


# ---- watch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        BUSY,
        refusal(code_pb2.UNAVAILABLE),
        refusal(code_pb2.DEADLINE_EXCEEDED),
        refusal(code_pb2.ABORTED, "SLOW_WATCHER"),
        refusal(code_pb2.CANCELLED),
    ],
    ids=["busy", "unavailable", "deadline", "slow", "cancelled"],
)
async def test_a_broken_watch_resumes_after_the_last_event_seen(broken):
    """Invariant 15."""
    fake = Fake([event(3), event(4), broken], [broken], [event(4), event(5)])
    async with faking(fake) as client:
        assert [e.sequence async for e in client.watch("o-1", after=2)] == [3, 4, 5], "the repeated one is left out"
    assert [r.after_sequence for r in fake.requests] == [2, 4, 4]


async def test_a_watch_that_falls_silent_is_taken_up_again(monkeypatch):
    monkeypatch.setattr("swit_saga.watching.SILENCE_S", 0.2)
    fake = Fake([event(1), None], [event(2)])
    async with faking(fake) as client:
        assert [e.sequence async for e in client.watch("o-1")] == [1, 2]
    assert [r.after_sequence for r in fake.requests] == [0, 1]


async def test_heartbeats_are_not_events():
    fake = Fake([pb.WatchSagaResponse(heartbeat=pb.Heartbeat(last_sequence=0)), event(1)])
    async with faking(fake) as client:
        assert [e.sequence async for e in client.watch("o-1")] == [1]
    assert fake.requests[0].heartbeat_interval.ToSeconds() == 15


@pytest.mark.parametrize(
    "refused",
    [refusal(code_pb2.NOT_FOUND), refusal(code_pb2.INTERNAL, "SAGA_QUARANTINED"), refusal(code_pb2.PERMISSION_DENIED)],
    ids=["not found", "internal", "denied"],
)
async def test_a_watch_ends_with_a_definite_error(refused):
    fake = Fake([event(1), refused], [event(2)])
    async with faking(fake) as client:
        watching = client.watch("o-1")
        assert (await anext(watching)).sequence == 1
        with pytest.raises(CallError):
            await anext(watching)
    assert len(fake.requests) == 1


async def test_a_watch_left_early_is_ended_on_the_server(tmp_path):
    async with serve(tmp_path) as s:
        handle = await s.client.start(SLOW, {})
        watching: Any = handle.watch()
        assert (await anext(watching)).sequence == 1
        assert s.runtime.engine.feed.is_watched(handle.id)
        await watching.aclose()
        await eventually(lambda: not s.runtime.engine.feed.is_watched(handle.id))


async def test_closing_the_client_ends_its_watches(tmp_path):
    async with serve(tmp_path) as s:
        client = AsyncSagaClient(s.address)
        handle = await client.start(SLOW, {})
        watching = asyncio.create_task(_last(handle.watch()))
        await eventually(lambda: s.runtime.engine.feed.is_watched(handle.id))
        await client.close()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(watching, return_exceptions=True)
        assert isinstance(ended[0], ClientClosed)
        with pytest.raises(ClientClosed):
            await client.get(handle.id)


async def _last(events: AsyncIterator[Any]) -> Any:
    return [e async for e in events][-1]


@both
async def test_watch_wait_and_start_go_on_over_a_restart(tmp_path, batch):
    """The same port and the same file: the saga goes on, and so does who looks at it."""
    shop = Shop()

    async def up(stack: AsyncExitStack, port: int) -> int:
        made = config(tmp_path, listen=f"127.0.0.1:{port}", drain_timeout="100ms")
        runtime = Runtime(made, [shop.participant], None, None)
        await runtime.start()
        return (await stack.enter_async_context(serving(made, runtime))).port

    seen: list[int] = []
    async with AsyncExitStack() as first:
        port = await up(first, 0)
        client = AsyncSagaClient(f"127.0.0.1:{port}", timeout="15s", batch_starts=batch, batch_waits=batch)
        slow = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1500ms")])
        handle = await client.start(slow, {"n": 1}, saga_id="o-1")

        async def watch() -> str:
            last = ""
            async for e in client.watch(handle.id):
                seen.append(e.sequence)
                last = e.type
            return last

        watching, waiting = asyncio.create_task(watch()), asyncio.create_task(handle.wait())
        await eventually(lambda: len(seen) >= 3)
    before = len(seen)
    assert not watching.done()
    assert not waiting.done()
    again = asyncio.create_task(client.start(slow, {"n": 1}, saga_id="o-1"))
    async with AsyncExitStack() as second:
        await up(second, port)
        assert not (await again).created, "the same start under the same id"
        assert await watching == "saga.completed"
        assert (await waiting).state == "completed"
        assert seen == list(range(1, len(seen) + 1)), "no gap and no duplicate"
        assert len(seen) > before
        await client.close()
    assert [name for name, _ in shop.calls] == ["reserve", "pay"]


# ---- the synchronous client ------------------------------------------------------------------------------------------


@both
async def test_sync_client(tmp_path, batch):
    async with serve(tmp_path) as s:

        def use() -> None:
            with SagaClient(s.address, timeout="10s", batch_starts=batch, batch_waits=batch) as sagas:
                assert sagas.register(ORDER) == 1
                with pytest.raises(NotFoundError):
                    sagas.get("nope")
                with pytest.raises(NotFoundError):
                    list(sagas.watch("nope"))
                assert sagas.start("order", {"n": 1}, saga_id="o-1", labels={"region": "eu"}) == "o-1"
                assert sagas.wait("o-1").state == "completed"
                assert sagas.result("o-1", dict) == {"paid": True}
                assert [e.sequence for e in sagas.watch("o-1", after=4)] == [5, 6]
                slow = sagas.start(SLOW, {})
                for e in sagas.watch(slow):
                    if e.type == "saga.step.completed":
                        break  # A stream left early.
                assert sagas.wait(slow, timeout="50ms").state == "step_completed"
                with pytest.raises(WaitTimeout):
                    sagas.result(slow, timeout="50ms")
                sagas.cancel(slow, "changed my mind")
                with pytest.raises(SagaCancelled):
                    sagas.result(slow)
                assert [x.id for x in sagas.list(labels={"region": "eu"})] == ["o-1"]
                assert len(list(sagas.list(page_size=1))) == 2
                assert sagas.metrics().total_sagas == 2
            sagas.close()

        await asyncio.to_thread(use)


async def test_sync_client_from_many_threads(tmp_path):
    async with serve(tmp_path) as s:
        with SagaClient(s.address) as sagas:

            def one(i: int) -> Any:
                return sagas.result(sagas.start(ORDER, {"n": i}))

            found = await asyncio.gather(*(asyncio.to_thread(one, i) for i in range(8)))
    assert found == [{"paid": True}] * 8


@both
async def test_closing_the_sync_client_frees_other_threads(tmp_path, batch):
    async with serve(tmp_path) as s:
        sagas = SagaClient(s.address, batch_waits=batch)
        saga_id = await asyncio.to_thread(sagas.start, SLOW, {})
        waiting = asyncio.create_task(asyncio.to_thread(sagas.wait, saga_id))
        watching = sagas.watch(saga_id)
        assert (await asyncio.to_thread(next, watching)).sequence == 1
        await eventually(lambda: s.shop.calls)
        await asyncio.to_thread(sagas.close)
        watching.close()  # type: ignore[attr-defined] # It is a generator.
        async with asyncio.timeout(5):
            with pytest.raises(ClientClosed):
                await waiting
        with pytest.raises(ClientClosed):
            sagas.get(saga_id)
        assert "swit-saga" not in {t.name for t in threading.enumerate()}


@pytest.mark.parametrize("options", [{"timeout": "soon"}, {"channel": object()}])
def test_a_sync_client_that_cannot_be_made_leaves_no_thread(options):
    before = threading.active_count()
    with pytest.raises((ValueError, TypeError), match=r"duration|channel"):
        SagaClient("127.0.0.1:1", **options)
    assert threading.active_count() == before
