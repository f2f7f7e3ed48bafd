"""Many sagas whose participant is not there: a few lines, not one for each attempt."""

import asyncio

import pytest

from swit_saga import Saga, Step, fixed
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.logs import logged
from tests.support.redis_server import free_port

SAGAS, ATTEMPTS = 100, 5


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "calls"])
async def test_a_few_lines(tmp_path, stream):
    config = SagaConfig.load(
        overrides={
            "storage": {"connection": str(tmp_path / "saga.db")},
            "participants": {"pay": {"address": f"127.0.0.1:{free_port()}", "stream": stream}},
        }
    )
    retry = fixed("1ms", max_attempts=ATTEMPTS)
    saga = Saga("pay", [Step("pay", "pay", timeout="200ms", compensation=False)], retry=retry)
    with logged(level=20) as lines:
        async with Coordinator.open(config) as coordinator:
            await coordinator.register(saga)
            handles = await asyncio.gather(*(coordinator.start("pay", {}) for _ in range(SAGAS)))
            await asyncio.gather(*(handle.wait(timeout="20s") for handle in handles))
    told = [line for line in lines if line["event"] in ("step_in_doubt", "stream_broken")]
    assert 1 <= len(told) <= 8, [line["event"] for line in lines]
    assert len(lines) <= 20
