"""Which way a coordinator goes is its configuration's say; what comes of the sagas is the same."""

import asyncio
from collections import Counter
from typing import Any

import grpc.aio
import pytest

from swit_saga import Participant, Reject, Saga, Step, fixed
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator


class Asked(grpc.aio.ServerInterceptor):
    """Counts the calls a server gets."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.calls[details.method.rsplit("/", 1)[1]] += 1
        return await continuation(details)


def shop() -> Participant:
    made, tries = Participant("shop"), Counter[str]()

    @made.step("reserve")
    async def reserve(product: str) -> str:
        return f"hold of {product}"

    @reserve.compensate
    async def release(product: str, hold: str) -> None:
        assert hold == f"hold of {product}"

    @made.step("pay")
    async def pay(hold: str) -> str:
        tries[hold] += 1
        if "pears" in hold:
            raise Reject("NO_FUNDS", "too dear")
        if tries[hold] == 1:
            raise ConnectionError("the bank is away")
        return f"paid for {hold}"

    return made


@pytest.mark.parametrize(
    ("option", "asked"),
    [
        ({}, {"Stream": 1, "Describe": 1}),
        ({"stream": True}, {"Stream": 1, "Describe": 1}),
        ({"stream": False}, {"Execute": 5, "Compensate": 1, "Describe": 1}),
    ],
    ids=["default", "stream", "calls"],
)
async def test_sagas(tmp_path, option, asked):
    seen = Asked()
    server = grpc.aio.server(interceptors=[seen])
    streams = shop().add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    config = SagaConfig.load(
        overrides={
            "storage": {"connection": str(tmp_path / "saga.db")},
            "participants": {"shop": {"address": f"127.0.0.1:{port}", **option}},
        }
    )
    steps = [Step("reserve", "shop"), Step("pay", "shop", compensation=False)]
    saga = Saga("s", steps, retry=fixed("10ms", max_attempts=3))
    async with Coordinator.open(config) as coordinator:
        apples = await (await coordinator.start(saga, "apples")).wait(timeout="15s")
        pears = await (await coordinator.start(saga, "pears")).wait(timeout="15s")
        streams.end()
        async with asyncio.timeout(5):
            await server.stop(60)  # The coordinator is still connected; its stream is no reason to wait.
    assert (apples.state, pears.state) == ("completed", "compensated")
    assert pears.error is not None
    assert (pears.error.code, pears.error.message) == ("NO_FUNDS", "too dear")
    assert seen.calls == asked
