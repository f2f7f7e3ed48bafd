"""Health, definitions and the operator's actions: the same over grpc.aio, over blocking channels and in process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from swit_saga import (
    AsyncSagaClient,
    CallError,
    ClientClosed,
    DefinitionDisabledError,
    NotFoundError,
    Saga,
    SagaClient,
    Step,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)
from swit_saga.health import SERVICE
from swit_saga.v1 import coordinator_service_pb2_grpc, operator_service_pb2, operator_service_pb2_grpc, saga_pb2
from swit_saga_server.coordinator import Coordinator
from tests.support.rpc.fake import BUSY, Fake
from tests.support.rpc.serve import ORDER, Shop, config, serve

SLOW = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1h")])


class InThread:
    """A synchronous client as the tests use clients: each call in a thread, iterators read to their end."""

    def __init__(self, sync: Any) -> None:
        self._sync = sync

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._sync, name)
        if not callable(found):
            return InThread(found)
        if name == "list":
            return lambda *args, **more: _each(lambda: found(*args, **more))
        return lambda *args, **more: asyncio.to_thread(found, *args, **more)


async def _each(items: Callable[[], Iterator[Any]]) -> AsyncIterator[Any]:
    for item in await asyncio.to_thread(lambda: list(items())):
        yield item


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Any]:
    async with serve(folder) as s:
        yield s.client


@asynccontextmanager
async def synchronous(folder: Path) -> AsyncIterator[Any]:
    async with serve(folder) as s:
        sagas = SagaClient(s.address, timeout="10s")
        yield InThread(sagas)
        await asyncio.to_thread(sagas.close)


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Any]:
    async with Coordinator.open(config(folder), [Shop().participant]) as coordinator:
        yield coordinator


everywhere = pytest.mark.parametrize("client_of", [served, synchronous, embedded], ids=lambda f: f.__name__)


# ---- definitions -----------------------------------------------------------------------------------------------------


@everywhere
async def test_definitions(tmp_path, client_of):
    changed = Saga("order", ORDER.steps, description="changed")
    async with client_of(tmp_path) as sagas:
        known = sagas.definitions
        assert [await known.register(d) for d in (ORDER, changed, SLOW)] == [1, 2, 1]
        assert await sagas.register(ORDER) == 1, "the short form is the same"
        assert (await known.get("order", 1)).description == "An order"
        assert await known.get("order", 1) == await sagas.definition("order", 1)
        assert [(d.id, d.version) async for d in known.list()] == [("order", 2), ("slow", 1)]
        assert [(d.id, d.version) async for d in known.list("order", page_size=1)] == [("order", 1), ("order", 2)]
        assert (await known.disable("order", 2)).disabled
        assert (await known.get("order")).version == 1
        assert [d.version async for d in known.list("order")] == [1]
        assert [d.version async for d in known.list("order", include_disabled=True)] == [1, 2]
        with pytest.raises(DefinitionDisabledError):
            await sagas.start("order", {}, version=2)
        assert not (await known.enable("order", 2)).disabled
        assert (await known.get("order")).version == 2
        for unknown in (known.get("nope"), known.disable("order", 9)):
            with pytest.raises(NotFoundError):
                await unknown


@everywhere
async def test_validate_says_what_is_wrong_and_registers_nothing(tmp_path, client_of):
    bad = Saga("bad", [Step("a", "shop"), Step("a", "shop", timeout="0s")])
    unsupported = ORDER.to_proto()
    unsupported.steps[0].depends_on.append("pay")
    async with client_of(tmp_path) as sagas:
        assert await sagas.definitions.validate(ORDER) == ()
        assert {f for f, _ in await sagas.definitions.validate(bad)} == {"steps[1].id", "steps[1].timeout"}
        unknown = Saga("unknown", [Step("a", participant="nobody")])
        assert [f for f, _ in await sagas.definitions.validate(unknown)] == ["steps[0].participant"]
        assert [f for f, _ in await sagas.definitions.validate(unsupported)] == ["steps[0].depends_on"]
        assert [d async for d in sagas.definitions.list()] == []


# ---- sagas under way -------------------------------------------------------------------------------------------------


@everywhere
async def test_active_sagas_are_those_under_way(tmp_path, client_of):
    async with client_of(tmp_path) as sagas:
        await sagas.start(SLOW, {}, saga_id="between-steps")
        await sagas.wait("between-steps", states=["step_completed"])
        await sagas.start(ORDER, {}, saga_id="done")
        assert (await sagas.wait("done")).is_terminal
        assert [(s.id, s.is_active) async for s in sagas.list(active=True)] == [("between-steps", True)]
        assert [s.id async for s in sagas.list(active=True, definitions=["order"])] == []
        with pytest.raises(ValueError, match="not both"):
            [s async for s in sagas.list(active=True, states=["failed"])]


# ---- the operator ----------------------------------------------------------------------------------------------------

ACTIONS: dict[str, tuple[Any, ...]] = {
    "retry": ("o-1",),
    "force_compensation": ("o-1",),
    "skip_compensation": ("o-1", "pay"),
    "pause": ("o-1",),
    "resume": ("o-1",),
    "edit_step_input": ("o-1", "pay", {"amount": 1}),
    "delete": ("o-1",),
}
RPCS = {
    "retry": "RetrySaga",
    "force_compensation": "ForceCompensation",
    "skip_compensation": "SkipCompensation",
    "pause": "PauseSaga",
    "resume": "ResumeSaga",
    "edit_step_input": "EditStepInput",
    "delete": "DeleteSaga",
}


@everywhere
async def test_an_action_that_the_coordinator_does_not_have_is_unsupported(tmp_path, client_of):
    async with client_of(tmp_path) as sagas:
        for name, given in ACTIONS.items():
            with pytest.raises(UnsupportedError) as refused:
                await getattr(sagas.operator, name)(*given)
            assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
            assert refused.value.fields["rpc"] == f"OperatorService/{RPCS[name]}"


@pytest.mark.parametrize("name", ACTIONS)
async def test_an_action_is_the_rpc_of_its_name(name):
    """A coordinator that has them; the first answer is lost, and the action is asked for again under its own id."""
    answer = getattr(operator_service_pb2, f"{RPCS[name]}Response")
    done = answer() if name == "delete" else answer(saga=saga_pb2.Saga(id="o-1", state=saga_pb2.SAGA_STATE_RUNNING))
    fake, server = Fake(BUSY, done), grpc.aio.server()
    operator_service_pb2_grpc.add_OperatorServiceServicer_to_server(fake, server)  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AsyncSagaClient(f"127.0.0.1:{port}") as client:
            act = getattr(client.operator, name)
            saga = await act(*ACTIONS[name], "because", operator="ann")
            assert saga is None if name == "delete" else (saga.id, saga.state) == ("o-1", "running")
            await act(*ACTIONS[name], request_id="mine")
    finally:
        await server.stop(None)
    first, again, other = fake.requests
    assert type(first) is getattr(operator_service_pb2, f"{RPCS[name]}Request")
    assert first == again
    assert (first.saga_id, first.action.reason, first.action.operator) == ("o-1", "because", "ann")
    assert len(first.action.request_id) == 32
    assert (other.action.reason, other.action.request_id) == ("", "mine")
    if name in ("skip_compensation", "edit_step_input"):
        assert first.step_id == "pay"
    if name == "edit_step_input":
        assert first.input.text == '{"amount":1}'


# ---- health ----------------------------------------------------------------------------------------------------------


@everywhere
async def test_a_coordinator_that_drives_sagas_is_healthy(tmp_path, client_of):
    async with client_of(tmp_path) as sagas:
        assert await sagas.health() is None


@asynccontextmanager
async def health_server(*statuses: Any) -> AsyncIterator[str]:
    """One that has only the health service, if that."""
    server = grpc.aio.server()
    coordinator_service_pb2_grpc.add_CoordinatorServiceServicer_to_server(Fake(None), server)  # type: ignore[arg-type]
    if statuses:
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        await servicer.set(SERVICE, statuses[0])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def both_ask(address: str) -> list[BaseException | None]:
    """What each client raises."""

    def plainly() -> None:
        with SagaClient(address, timeout="500ms") as sagas:
            sagas.health()

    async with AsyncSagaClient(address, timeout="500ms") as client:
        asked = await asyncio.gather(client.health(), asyncio.to_thread(plainly), return_exceptions=True)
    return list(asked)


async def test_a_server_that_is_serving():
    async with health_server(health_pb2.HealthCheckResponse.SERVING) as address:
        assert await both_ask(address) == [None, None]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (health_pb2.HealthCheckResponse.NOT_SERVING, "NOT_SERVING"),
        (health_pb2.HealthCheckResponse.UNKNOWN, "UNKNOWN"),
        (4_711, "4711"),
    ],
)
async def test_a_server_that_says_it_is_not(status, says):
    async with health_server(status) as address:
        for error in await both_ask(address):
            assert isinstance(error, UnavailableError)
            assert str(error) == f"the coordinator's health is {says}"
            assert error.code is grpc.StatusCode.UNAVAILABLE


async def test_a_server_without_a_health_service():
    async with health_server() as address:
        assert [type(error) for error in await both_ask(address)] == [UnsupportedError] * 2


async def test_nobody_there_is_found_out_at_once():
    """A health check that tried again would hide what it is to show."""
    async with AsyncSagaClient("127.0.0.1:1", timeout="30s") as client, asyncio.timeout(5):
        with pytest.raises(UnavailableError):
            await client.health()


async def test_a_server_that_does_not_answer_is_not_healthy():
    class Silent(health_pb2_grpc.HealthServicer):
        async def Check(self, request: Any, context: Any) -> Any:
            await asyncio.Event().wait()

    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(Silent(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert [type(error) for error in await both_ask(f"127.0.0.1:{port}")] == [TimedOutError] * 2
    finally:
        await server.stop(None)


async def test_a_closed_client_asks_nobody():
    client = AsyncSagaClient("127.0.0.1:1")
    await client.close()
    for work in (client.health(), client.definitions.get("order"), client.operator.retry("o-1")):
        with pytest.raises(ClientClosed):
            await work
    assert not issubclass(ClientClosed, CallError)
