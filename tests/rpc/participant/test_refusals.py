"""What the SDK says no to before a handler is called: certain, in words, and nothing was started."""

from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from swit_saga import Participant, Payload
from swit_saga.v1 import command_pb2, error_pb2
from tests.support.participant.commands import compensate, execute

T = TypeVar("T")


@dataclass
class Order:
    product: str


def annotated(kind: Any, called: list[Any]) -> Any:
    async def handler(value: Any) -> None:
        called.append(value)

    handler.__annotations__ = {} if kind is None else {"value": kind}
    return handler


@pytest.mark.parametrize("kind", [Order, dict, dict[str, int], str, bytes, int, list[Order], Payload], ids=str)
async def test_a_saga_without_data_and_a_handler_that_needs_some(serve, kind):
    called: list[Any] = []
    shop = Participant("shop")
    shop.step("reserve")(annotated(kind, called))
    async with serve(shop) as stub:
        answer = await stub.Execute(execute())
    assert (answer.rejected.error.code, answer.rejected.error.type) == ("NO_INPUT", error_pb2.ERROR_TYPE_DATA)
    assert kind.__name__ in answer.rejected.error.message
    assert "| None" in answer.rejected.error.message
    assert called == []


@pytest.mark.parametrize("kind", [None, Any, object, Order | None, dict[str, int] | str | None, T], ids=str)
async def test_one_that_does_without(serve, kind):
    called: list[Any] = []
    shop = Participant("shop")
    shop.step("reserve")(annotated(kind, called))
    async with serve(shop) as stub:
        answer = await stub.Execute(execute())
    assert answer.WhichOneof("answer") == "completed"
    assert called == [None]


async def test_what_is_to_be_undone_and_cannot_be(serve, caplog):
    called: list[str] = []
    shop = Participant("shop")

    @shop.step("reserve")
    async def take() -> None:
        called.append("reserve")

    @shop.step("pay")
    async def pay() -> None:
        called.append("pay")

    @pay.compensate
    async def refund() -> None: ...

    async with serve(shop) as stub:
        refused = await stub.Execute(execute("reserve", compensatable=True, key="1"))
        error = refused.rejected.error
        assert (error.code, error.type) == ("NO_COMPENSATION", error_pb2.ERROR_TYPE_VALIDATION)
        assert "@take.compensate" in error.message
        assert called == []
        assert "@take.compensate" in caplog.text
        for action, compensatable in (("reserve", False), ("pay", True), ("pay", False)):
            answer = await stub.Execute(execute(action, compensatable=compensatable, key=f"{action}{compensatable}"))
            assert answer.WhichOneof("answer") == "completed"
    assert called == ["reserve", "pay", "pay"]


async def test_an_older_coordinator_does_not_say_what_is_to_be_undone(serve):
    assert not command_pb2.CommandContext().compensatable
    shop = Participant("shop")
    shop.step("reserve")(lambda: None)
    async with serve(shop) as stub:
        assert (await stub.Execute(execute())).WhichOneof("answer") == "completed"


async def test_a_compensation_is_given_none_where_nothing_is_known(serve):
    """A rejected Compensate would end the saga as failed: it is called, whatever its annotations say."""
    called: list[Any] = []
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(order: Order) -> str:
        return order.product

    @reserve.compensate
    async def release(order: Order, hold: str) -> None:
        called.append((order, hold))

    async with serve(shop) as stub:
        answer = await stub.Compensate(compensate())
    assert answer.WhichOneof("answer") == "completed"
    assert called == [(None, None)]
