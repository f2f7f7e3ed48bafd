"""Over the network: a handler's Reject is a certain no, whatever is in it; so is input that is not there or wrong."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from swit_saga import CodecError, Participant, Reject, Saga, SagaView, Step
from tests.support.rpc.serve import serve
from tests.unit.client.test_reject import ODD


@dataclass
class Order:
    product: str


async def outcome_of(tmp_path: Any, participant: Participant, data: Any = None) -> SagaView:
    async with serve(tmp_path, [participant]) as s:
        handle = await s.client.start(Saga("odd", [Step("sell", participant.name, compensation=False)]), data)
        return await handle.wait(timeout="20s")


@pytest.mark.parametrize(
    "name", ["exception", "surrogate", "longest int", "inf", "loop", "deep mapping", "huge", "broken"]
)
async def test_it_arrives_and_is_not_tried_again(tmp_path, name):
    market = Participant("market")

    @market.step("sell")
    async def sell() -> None:
        raise Reject("NO_STOCK", ODD[name], details={"a": ODD[name], "b": [ODD[name], Decimal("1.1")]})

    saga = await outcome_of(tmp_path, market)
    assert saga.state == "compensated"
    assert saga.error is not None
    assert (saga.error.code, saga.error.type) == ("NO_STOCK", "business")
    assert (saga.steps[0].attempts, saga.steps[0].effect) == (1, "none")


@pytest.mark.parametrize("data", [None, "text", {"prodct": "apple"}], ids=["nothing", "text", "misspelt"])
async def test_a_handler_is_not_called_with_what_is_no_order(tmp_path, data):
    market = Participant("market")
    called: list[Any] = []

    @market.step("sell")
    async def sell(order: Order) -> None:
        called.append(order)

    saga = await outcome_of(tmp_path, market, data)
    assert not called
    assert saga.state == "compensated"
    assert saga.error is not None
    assert saga.error.type == "data"
    assert "Order" in saga.error.message
    assert (saga.steps[0].attempts, saga.steps[0].effect) == (1, "none")


@pytest.mark.parametrize("kind", [Order | None, Any, object, None], ids=str)
async def test_nothing_is_none_where_that_may_be(tmp_path, kind):
    market = Participant("market")
    called: list[Any] = []

    async def sell(order):
        called.append(order)

    if kind is not None:
        sell.__annotations__["order"] = kind
    market.step("sell")(sell)
    saga = await outcome_of(tmp_path, market)
    assert (saga.state, called) == ("completed", [None])
    assert saga.result_data(Order) is None


async def test_a_result_that_is_not_there(tmp_path):
    market = Participant("market")

    @market.step("sell")
    async def sell() -> None: ...

    async with serve(tmp_path, [market]) as s:
        handle = await s.client.start(Saga("odd", [Step("sell", "market", compensation=False)]))
        assert await handle.result() is None
        assert await handle.result(Order | None) is None
        with pytest.raises(CodecError, match="expected Order, got no value"):
            await handle.result(Order)


async def test_a_compensation_is_called_with_none_whatever_is_annotated(tmp_path):
    market = Participant("market")
    undone: list[Any] = []

    @market.step("sell")
    async def sell() -> None: ...

    @sell.compensate
    async def unsell(data: Order, output: Order) -> None:
        undone.append((data, output))

    @market.step("pay")
    async def pay() -> None:
        raise Reject

    async with serve(tmp_path, [market]) as s:
        handle = await s.client.start(Saga("odd", [Step("sell", "market"), Step("pay", "market", compensation=False)]))
        assert (await handle.wait(timeout="20s")).state == "compensated"
    assert undone == [(None, None)]
