"""The server as such: limits, reflection, deadlines, and a drain in the right order."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from swit_saga import AsyncSagaClient, InvalidRequestError, Participant, Saga, Step, StepContext, UnavailableError
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, payload_pb2
from swit_saga_server.rpc.listening import CannotListen
from swit_saga_server.rpc.server import Server
from swit_saga_server.rpc.serving import SERVICES
from swit_saga_server.runtime import open_runtime
from tests.support.rpc.serve import ORDER, config, serve

MIB = 1 << 20


async def _listed(channel: Any) -> set[str]:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for response in stub.ServerReflectionInfo(iter([request]), timeout=5):
        return {s.name for s in response.list_services_response.service}
    raise AssertionError("no answer")


async def test_reflection_lists_every_service(tmp_path):
    async with serve(tmp_path) as s:
        assert {d.full_name for d in SERVICES} | {"grpc.health.v1.Health"} <= await _listed(s.channel)


async def test_reflection_can_be_switched_off(tmp_path):
    async with serve(tmp_path, reflection=False) as s:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _listed(s.channel)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_too_large_is_our_error_up_to_twice_the_limit_and_grpcs_beyond(tmp_path):
    async with serve(tmp_path) as s:
        largest = await s.client.start(ORDER, "x" * (MIB - 2))
        assert largest.created, "with its two quotes it is just the limit"
        with pytest.raises(InvalidRequestError) as ours:
            await s.client.start(ORDER, "x" * (2 * MIB - 1000))
        assert ours.value.reason == "PAYLOAD_TOO_LARGE"
        wordy = [Step(f"s-{n}", "shop", action="pay", description="x" * 4_000) for n in range(MIB // 4_000)]
        with pytest.raises(InvalidRequestError) as definition:
            await s.client.register(Saga("wordy", wordy))
        assert definition.value.reason == "PAYLOAD_TOO_LARGE"
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        with pytest.raises(grpc.aio.AioRpcError) as theirs:
            await stub.CancelSaga(pb.CancelSagaRequest(saga_id="x", reason="x" * 3 * MIB))
        assert theirs.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_start_whose_deadline_passes_is_whole_and_can_be_sent_again(tmp_path, monkeypatch):
    """Invariants 1 and 13: the write is not torn by the deadline; the same request then gets the same saga."""
    async with serve(tmp_path) as s:
        store, held, asked = s.runtime.engine.store, asyncio.Event(), asyncio.Event()
        commit = store.commit

        async def slow(*args: Any, **kwargs: Any) -> Any:
            asked.set()
            await held.wait()
            return await commit(*args, **kwargs)

        await s.client.register(ORDER)
        monkeypatch.setattr(store, "commit", slow)
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        data = payload_pb2.Payload(content_type="application/json", text="{}")
        request = pb.StartSagaRequest(saga_id="o-1", definition_id="order", initial_data=data)
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await stub.StartSaga(request, timeout=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert asked.is_set(), "it was under way when the deadline passed"
        with pytest.raises(grpc.aio.AioRpcError) as unseen:
            await stub.GetSaga(pb.GetSagaRequest(saga_id="o-1"), timeout=5)
        assert unseen.value.code() is grpc.StatusCode.NOT_FOUND, "what is not durable is not shown"
        held.set()
        again = await stub.StartSaga(request, timeout=5)
        assert (again.created, again.saga.id) == (False, "o-1")
        assert (await s.client.wait("o-1")).state == "completed"
        assert [name for name, _ in s.shop.calls] == ["reserve", "pay"]


async def test_keepalive_and_limits_are_what_the_configuration_says(tmp_path, monkeypatch):
    options: dict[str, int] = {}
    build = grpc.aio.server

    def noted(**how: Any) -> grpc.aio.Server:
        options.update(how["options"])
        return build(**how)

    monkeypatch.setattr(grpc.aio, "server", noted)
    keepalive = {"time": "7s", "timeout": "3s", "min_client_interval": "2s"}
    async with serve(tmp_path, max_concurrent_streams=77, keepalive=keepalive):
        pass
    assert options["grpc.keepalive_time_ms"] == 7_000
    assert options["grpc.keepalive_timeout_ms"] == 3_000
    assert options["grpc.http2.min_ping_interval_without_data_ms"] == 2_000
    assert options["grpc.max_concurrent_streams"] == 77


@pytest.mark.parametrize("batch", [False, True], ids=["unary", "stream"])
async def test_the_drain_goes_in_order(tmp_path, batch):
    """NOT_SERVING, then nothing new, then those under way to their end, then closed."""
    slow, reached, hold = Participant("slow"), asyncio.Event(), asyncio.Event()

    @slow.step("pay")
    async def pay(order: Any, step: StepContext) -> dict[str, Any]:
        reached.set()
        await hold.wait()
        return {"paid": True}

    @pay.compensate
    async def refund(order: Any, output: Any, step: StepContext) -> None:
        raise AssertionError("nothing is to be undone")

    async with serve(tmp_path, [slow], batch=batch, drain_timeout="10s") as s:
        handle = await s.client.start(Saga("slow", [Step("pay", "slow")]), {})
        waiting = asyncio.create_task(handle.wait(timeout="10s"))
        await reached.wait()
        health: Any = health_pb2_grpc.HealthStub(s.channel)
        said = aiter(health.Watch(health_pb2.HealthCheckRequest(), timeout=10))
        assert (await anext(said)).status == health_pb2.HealthCheckResponse.SERVING
        draining = asyncio.create_task(s.server.drain())
        assert (await anext(said)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        async with AsyncSagaClient(s.address, timeout="200ms") as other:
            with pytest.raises(UnavailableError) as refused:
                await other.start(ORDER, {})
            assert refused.value.reason == "COORDINATOR_STOPPING"
            assert (await other.get(handle.id)).state == "running", "reading goes on"
        assert not draining.done()
        assert not waiting.done()
        hold.set()
        assert (await waiting).state == "completed"
        await draining
        async with grpc.aio.insecure_channel(s.address) as late:
            stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(late)
            with pytest.raises(grpc.aio.AioRpcError) as closed:
                await stub.GetSaga(pb.GetSagaRequest(saga_id=handle.id), timeout=5)
            assert closed.value.code() is grpc.StatusCode.UNAVAILABLE
        await s.server.drain()


async def test_a_port_in_use_is_refused(tmp_path):
    """Two coordinators on one port would share its calls by chance."""
    async with serve(tmp_path) as s:
        (tmp_path / "other").mkdir()
        other = config(tmp_path / "other", listen=s.address)
        async with open_runtime(other) as runtime:
            with pytest.raises(CannotListen, match=rf"{s.address}: the address is in use"):
                Server(other, runtime)
