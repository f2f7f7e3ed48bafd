"""A real server in this process, on a free port, with a participant in it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from swit_saga import AsyncSagaClient, Participant, Reject, Saga, Step, StepContext, fixed
from swit_saga_server.config import SagaConfig
from swit_saga_server.rpc.server import Server, serving
from swit_saga_server.runtime import Runtime

RETRY = fixed("20ms", max_attempts=3)
ORDER = Saga(
    "order",
    name="Order",
    description="An order",
    retry=RETRY,
    compensation_retry=RETRY,
    metadata={"team": "shop"},
    steps=[
        Step("reserve", "shop", timeout="5s", metadata={"shelf": 7}),
        Step("pay", "shop", timeout="5s"),
    ],
)


class Shop:
    """A participant whose steps do as the order says."""

    def __init__(self) -> None:
        self.participant = Participant("shop")
        self.calls: list[tuple[str, StepContext]] = []

        @self.participant.step("reserve")
        async def reserve(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            self.calls.append(("reserve", step))
            return order

        @reserve.compensate
        async def release(order: dict[str, Any], output: Any, step: StepContext) -> None:
            self.calls.append(("release", step))
            if order.get("release") == "rejected":
                raise Reject("STUCK", "cannot be put back", details={"shelf": 7})
            if order.get("release") == "flaky" and step.attempt == 1:
                raise RuntimeError("flaky")

        @self.participant.step("pay")
        async def pay(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            self.calls.append(("pay", step))
            if order.get("pay") == "rejected":
                raise Reject("NO_FUNDS", "no money", details={"missing": 5})
            if order.get("pay") == "flaky" and step.attempt == 1:
                raise RuntimeError("flaky")
            if order.get("pay") == "broken":
                raise RuntimeError("broken")
            return {"paid": True}

        @pay.compensate
        async def refund(order: dict[str, Any], output: Any, step: StepContext) -> None:
            self.calls.append(("refund", step))


@dataclass
class Served:
    """A running server and a client of it."""

    server: Server
    runtime: Runtime
    client: AsyncSagaClient
    channel: grpc.aio.Channel
    shop: Shop

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"


def config(folder: Path, coordinator: Mapping[str, Any] | None = None, **server: Any) -> SagaConfig:
    return SagaConfig.load(
        overrides={
            "coordinator": {"name": "here", **(coordinator or {})},
            "storage": {"connection": str(folder / "saga.db")},
            "server": {"listen": "127.0.0.1:0", "drain_timeout": "2s", **server},
        }
    )


@asynccontextmanager
async def serve(
    folder: Path,
    participants: Sequence[Participant] = (),
    *,
    batch: bool = True,
    coordinator: Mapping[str, Any] | None = None,
    **server: Any,
) -> AsyncIterator[Served]:
    """Serve while the context lasts; ``batch`` says whether the client's starts and waits share streams."""
    made, shop = config(folder, coordinator, **server), Shop()
    runtime = Runtime(made, [shop.participant, *participants], None, None)
    await runtime.start()
    async with (
        serving(made, runtime) as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel,
        AsyncSagaClient(
            channel=channel, service="tests", timeout="10s", batch_starts=batch, batch_waits=batch
        ) as client,
    ):
        yield Served(running, runtime, client, channel, shop)
