"""Who asks goes down with what is asked, and is shown with what it led to; nobody does without authentication."""

import asyncio

from swit_saga import Saga, Step
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.coordinator_service import CoordinatorHandlers
from tests.support.rpc.serve import serve

WAITING = Saga("waiting", [Step("reserve", "shop", delay="1h")])
ALICE, BOB = (Caller(principal=Principal(f"key:{name}")) for name in ("alice", "bob"))


def start(saga_id: str) -> pb.StartSagaRequest:
    return pb.StartSagaRequest(saga_id=saga_id, definition_id="waiting")


async def test_a_call_has_no_principal_without_authentication(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        await s.client.start("waiting", saga_id="s")
        assert (await s.client.get("s")).proto.started_by == ANONYMOUS == ""


async def test_a_saga_shows_who_started_it(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        handlers = CoordinatorHandlers(s.runtime.service)
        started = await handlers.start_saga(start("alone"), ALICE)
        assert started.saga.started_by == "key:alice"
        again = await handlers.start_saga(start("alone"), BOB)
        assert (again.created, again.saga.started_by) == (False, "key:alice"), "who asks is no part of what is asked"


async def test_a_saga_of_a_stream_shows_who_opened_the_stream(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        handlers = CoordinatorHandlers(s.runtime.service)
        with handlers.start_sagas(ALICE) as stream:
            await stream.take(pb.StartSagasRequest(items=[pb.StartSagasRequest.Item(item_id=1, start=start("one"))]))
            async with asyncio.timeout(10):
                response = await stream.answers()
            assert response is not None
            assert response.items[0].saga.started_by == "key:alice"


async def test_an_event_shows_who_cancelled(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(WAITING)
        await s.client.start("waiting", saga_id="s")
        await CoordinatorHandlers(s.runtime.service).cancel_saga(pb.CancelSagaRequest(saga_id="s"), ALICE)
        events = [event.proto async for event in s.client.watch("s")]
        assert [e.type for e in events if e.principal == "key:alice"] == ["saga.cancelled"]
        assert {e.principal for e in events} == {"key:alice", ANONYMOUS}
