"""A proxy named in the environment is for the web: neither coordinators nor participants are asked for there."""

import asyncio
import socket
from typing import Any

import pytest

from swit_saga import AsyncSagaClient, Participant, Saga, SagaClient, Step
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.rpc.serve import ORDER, serve


@pytest.fixture(params=["http_proxy", "https_proxy", "grpc_proxy"])
def proxy(request, monkeypatch):
    """One that nobody answers at."""
    for name in ("no_proxy", "no_grpc_proxy", "http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv(request.param, f"http://127.0.0.1:{taken.getsockname()[1]}")
        yield


@pytest.mark.parametrize("stream", [False, True], ids=["calls", "stream"])
async def test_participants_are_reached_directly(tmp_path, proxy, stream):
    pay = Participant("pay")

    @pay.step("pay")
    async def paid(order: Any) -> str:
        return "paid"

    async with pay.serve("127.0.0.1:0") as serving:
        config = SagaConfig.load(
            overrides={
                "storage": {"connection": str(tmp_path / "saga.db")},
                "participants": {"pay": {"address": f"localhost:{serving.port}", "stream": stream}},
            }
        )
        saga = Saga("pay", [Step("pay", "pay", timeout="5s", compensation=False)], timeout="10s")
        async with Coordinator.open(config) as coordinator:
            assert (await (await coordinator.start(saga, {})).wait()).state == "completed"


async def test_coordinators_are_reached_directly(tmp_path, proxy):
    async with serve(tmp_path) as s, AsyncSagaClient(f"localhost:{s.server.port}", timeout="5s") as client:
        await client.register(ORDER)
        with SagaClient(f"localhost:{s.server.port}", timeout="5s") as blocking:
            assert (await asyncio.to_thread(blocking.definition, "order")).id == "order"
