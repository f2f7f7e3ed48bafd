"""A coordinator within a program: the specification's first usage example, its seven operations, and a restart."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from swit_saga import (
    AlreadyExistsError,
    AlreadyFinishedError,
    CallError,
    ClientClosed,
    InvalidRequestError,
    NotFoundError,
    Participant,
    Reject,
    Saga,
    SagaCancelled,
    Step,
    UnavailableError,
    exponential,
)
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.core.errors import StoreRefused
from tests.support.rpc.serve import ORDER, Shop, serve
from tests.support.waiting import eventually

SLOW = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1h")])


def config(folder: Path) -> SagaConfig:
    return SagaConfig.load(
        overrides={
            "coordinator": {"mode": "orchestration", "default_timeout": "30m"},
            "storage": {"type": "sqlite", "connection": str(folder / "saga.db")},
        }
    )


# ---- the specification's example: basic use ------------------------------------------------------------------------


@dataclass
class OrderItem:
    product_id: str
    quantity: int


@dataclass
class OrderData:
    customer_id: str
    items: list[OrderItem]


@dataclass
class Placed:
    order_id: str
    data: OrderData


DEFINITION = Saga(
    "order-processing",
    name="Order Processing",
    description="Processes customer orders with inventory and payment",
    steps=[
        Step("create-order", "order", timeout="10s"),
        Step("reserve-inventory", "inventory", timeout="15s"),
        Step("process-payment", "payment", timeout="20s"),
        Step("confirm-order", "order", timeout="5s"),
    ],
    timeout="30m",
    retry=exponential("1s", max_delay="30s", multiplier=2.0, max_attempts=5),
)
ORDER_DATA = OrderData("customer-123", [OrderItem("product-1", 2), OrderItem("product-2", 1)])


class Business:
    """Three services, in memory."""

    def __init__(self, *, funds: bool = True) -> None:
        self.log: list[str] = []
        order, inventory, payment = (Participant(name) for name in ("order", "inventory", "payment"))
        self.participants = [order, inventory, payment]

        def undoing(step: Any) -> None:
            def undo() -> None:
                self.log.append(f"undo {step.action}")

            step.compensate(undo)

        @order.step("create-order")
        async def create(data: OrderData) -> Placed:
            self.log.append("create-order")
            return Placed("o-1", data)

        @inventory.step("reserve-inventory")
        def reserve(placed: Placed) -> Placed:
            self.log.append(f"reserve {sum(i.quantity for i in placed.data.items)}")
            return placed

        @payment.step("process-payment")
        async def pay(placed: Placed) -> Placed:
            if not funds:
                raise Reject("NO_FUNDS", placed.data.customer_id)
            self.log.append("process-payment")
            return placed

        @order.step("confirm-order")
        async def confirm(placed: Placed) -> str:
            self.log.append("confirm-order")
            return f"confirmed {placed.order_id}"

        for step in (create, reserve, pay, confirm):
            undoing(step)


async def test_the_example_of_the_specification(tmp_path):
    business = Business()
    async with Coordinator.open(config(tmp_path), business.participants) as coordinator:
        instance = await coordinator.start(DEFINITION, ORDER_DATA)

        async def terminal() -> bool:
            return (await coordinator.get(instance.id)).is_terminal

        await eventually(terminal)
        saga = await coordinator.get(instance.id)
        assert (saga.state, saga.result_data(str)) == ("completed", "confirmed o-1")
        assert saga.initial_data(OrderData) == ORDER_DATA
        assert [(s.id, s.state) for s in saga.steps] == [(s.id, "completed") for s in DEFINITION.steps]
        assert [s.proto.max_attempts for s in saga.steps] == [5] * 4
    assert business.log == ["create-order", "reserve 3", "process-payment", "confirm-order"]


async def test_the_example_of_the_specification_when_the_payment_is_rejected(tmp_path):
    business = Business(funds=False)
    async with Coordinator.open(config(tmp_path), business.participants) as coordinator:
        saga = await (await coordinator.start(DEFINITION, ORDER_DATA)).wait()
    assert saga.state == "compensated"
    assert saga.error is not None
    assert (saga.error.code, saga.error.message) == ("NO_FUNDS", "customer-123")
    assert business.log == ["create-order", "reserve 3", "undo reserve-inventory", "undo create-order"]


# ---- the seven operations ------------------------------------------------------------------------------------------


async def refused(work: Any) -> tuple[type[CallError], str, grpc.StatusCode, dict[str, str], tuple[Any, ...]]:
    with pytest.raises(CallError) as error:
        await work
    e = error.value
    return type(e), e.reason, e.code, e.fields, e.violations


async def listed(client: Any, **wanted: Any) -> list[str]:
    return [s.id async for s in client.list(**wanted)]


async def refusals(client: Any) -> dict[str, Any]:
    """The same misuse of any client."""
    await (await client.start(ORDER, {}, saga_id="done")).wait()

    async def watched(saga_id: str, after: int = 0) -> None:
        async for _ in client.watch(saga_id, after=after):
            pass

    return {
        "start: other data": await refused(client.start(ORDER, {"other": 1}, saga_id="done")),
        "start: unknown definition": await refused(client.start("nope")),
        "start: unknown participant": await refused(client.start(Saga("x", [Step("a", "nobody")]))),
        "start: bad id": await refused(client.start(ORDER, saga_id="a/b")),
        "start: too large": await refused(client.start(ORDER, "x" * (1 << 21))),
        "get": await refused(client.get("nope")),
        "cancel": await refused(client.cancel("nope")),
        "cancel: over": await refused(client.cancel("done")),
        "wait": await refused(client.wait("nope")),
        "list": await refused(listed(client, order_by="name")),
        "watch": await refused(watched("nope")),
        "watch: beyond": await refused(watched("done", after=99)),
        "definition": await refused(client.definition("nope")),
    }


async def test_the_same_refusals_as_over_the_network(tmp_path):
    async with Coordinator.open(config(tmp_path), [Shop().participant]) as coordinator:
        embedded = await refusals(coordinator)
    (tmp_path / "served").mkdir()
    async with serve(tmp_path / "served") as s:
        assert await refusals(s.client) == embedded
    assert {name: kind for name, (kind, *_) in embedded.items()} == {
        "start: other data": AlreadyExistsError,
        "start: unknown definition": NotFoundError,
        "start: unknown participant": InvalidRequestError,
        "start: bad id": InvalidRequestError,
        "start: too large": InvalidRequestError,
        "get": NotFoundError,
        "cancel": NotFoundError,
        "cancel: over": AlreadyFinishedError,
        "wait": NotFoundError,
        "list": InvalidRequestError,
        "watch": NotFoundError,
        "watch: beyond": InvalidRequestError,
        "definition": NotFoundError,
    }


async def test_the_seven_operations(tmp_path):
    shop = Shop()
    async with Coordinator.open(config(tmp_path), [shop.participant]) as c:
        await c.health()
        handle = await c.start(SLOW, {}, labels={"region": "eu"})
        assert (await handle.wait(states=["step_completed"])).state == "step_completed"
        assert (await c.get(handle.id)).labels == {"region": "eu"}
        active = ("running", "step_completed", "compensating")
        assert await listed(c, states=active, labels={"region": "eu"}) == [handle.id]
        assert await listed(c, states=active, labels={"region": "us"}) == []
        await c.cancel(handle.id, "changed my mind")
        with pytest.raises(SagaCancelled):
            await handle.result()
        assert [name for name, _ in shop.calls] == ["reserve", "release"]
        async with aclosing(c.watch(handle.id)) as events:  # type: ignore[type-var]
            types = [e.type async for e in events]
        assert types[-1] == "saga.cancelled"
        metrics = await c.metrics()
        assert (metrics.total_sagas, metrics.cancelled_sagas, metrics.active_sagas) == (1, 1, 0)
        await c.close()
        await c.close()
        for work in (c.health(),):
            with pytest.raises(UnavailableError):
                await work
        with pytest.raises(ClientClosed):
            await c.start(SLOW, {})


async def test_closing_ends_who_waits_and_watches(tmp_path):
    async with Coordinator.open(config(tmp_path), [Shop().participant]) as c:
        handle = await c.start(Saga("later", [Step("reserve", "shop", delay="1h")]), {})
        working = [asyncio.create_task(handle.wait()), asyncio.create_task(_events(handle))]
        await eventually(lambda: c.runtime.engine.feed.is_watched(handle.id))
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*working, return_exceptions=True)
    assert [type(e) for e in ended] == [ClientClosed, ClientClosed]


async def _events(handle: Any) -> list[Any]:
    return [e async for e in handle.watch()]


# ---- restarts ------------------------------------------------------------------------------------------------------


async def test_a_restart_on_the_same_file_resumes(tmp_path):
    first, second = Shop(), Shop()
    saga = Saga("s", [Step("reserve", "shop"), Step("pay", "shop", delay="300ms")])
    async with Coordinator.open(config(tmp_path), [first.participant]) as c:
        handle = await c.start(saga, {"n": 1}, saga_id="o-1")
        await handle.wait(states=["step_completed"])
        c.runtime.stop = _at_once(c.runtime.stop)  # type: ignore[method-assign]
    assert [name for name, _ in first.calls] == ["reserve"]
    async with Coordinator.open(config(tmp_path), [second.participant]) as c:
        assert not (await c.start(saga, {"n": 1}, saga_id="o-1")).created
        assert await c.handle("o-1").result(dict) == {"paid": True}
        sequences = [e.sequence async for e in c.watch("o-1")]
        assert sequences == list(range(1, len(sequences) + 1))
    assert [name for name, _ in second.calls] == ["pay"]


def _at_once(stop: Any) -> Any:
    async def stopping(grace_s: float) -> None:
        await stop(0.0)

    return stopping


async def test_a_second_coordinator_on_the_same_file_is_refused(tmp_path):
    async with Coordinator.open(config(tmp_path)):
        with pytest.raises(StoreRefused):
            async with Coordinator.open(config(tmp_path)):
                pass


async def test_a_local_participant_that_cancels_itself_is_asked_again(tmp_path):
    shop, asked = Participant("shop"), 0

    @shop.step("reserve")
    async def reserve() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise asyncio.CancelledError
        return "held"

    saga = Saga("s", [Step("reserve", "shop", timeout="30s", compensation=False)], retry=exponential("10ms"))
    async with Coordinator.open(config(tmp_path), [shop]) as c:
        handle = await c.start(saga)
        assert (await handle.wait(timeout="5s")).state == "completed"
    assert asked == 2
