"""What a handler does, as the coordinator is told: completed, rejected, or anything else, which is unknown."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest

from swit_saga import Participant, Payload, Reject, StepContext
from swit_saga.v1 import error_pb2
from tests.support.participant.commands import CODECS, compensate, execute
from tests.support.participant.serve import trace_of


@dataclass
class Order:
    product: str


async def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "raised",
    [ValueError("broken"), TimeoutError("slow"), PermissionError(13, "denied"), asyncio.CancelledError()],
    ids=repr,
)
async def test_anything_raised_but_reject_is_unknown(serve, raised):
    """Invariant 11: only the participant's own answer counts as rejected."""
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve() -> None:
        await _raise(raised)

    @reserve.compensate
    async def release() -> None:
        await _raise(raised)

    async with serve(shop) as stub:
        for call in (stub.Execute(execute()), stub.Compensate(compensate())):
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await call
            assert unknown.value.code() is grpc.StatusCode.UNKNOWN
            name = "HandlerCancelled" if isinstance(raised, asyncio.CancelledError) else type(raised).__name__
            assert (unknown.value.details() or "").startswith(name)
            assert trace_of(unknown.value)[-1].split(": ")[0].endswith(name)


async def test_a_plain_handler_may_raise_stop_iteration(serve):
    shop = Participant("shop")

    @shop.step("reserve")
    def reserve() -> Any:
        return next(iter([]))

    async with serve(shop) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Execute(execute(), timeout=5)
        assert unknown.value.code() is grpc.StatusCode.UNKNOWN


async def test_a_long_traceback_is_cut_to_what_headers_carry(serve):
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve() -> None:
        raise ValueError("ü" * 100_000)

    async with serve(shop) as stub:
        for _ in range(20):  # Between two limits of gRPC it is chance whether headers are taken.
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await stub.Execute(execute())
            assert unknown.value.code() is grpc.StatusCode.UNKNOWN
            assert (unknown.value.details() or "").startswith("ValueError: ü")
            assert len(unknown.value.details() or "") <= 500
            assert 100 < sum(len(line) for line in trace_of(unknown.value)) <= 3_000
            headers = unknown.value.trailing_metadata()
            assert headers is not None
            size = sum(len(k) + len(v) * 4 // 3 for k, v in headers) + 3 * len((unknown.value.details() or "").encode())
            assert size < 7_500


async def test_what_utf8_cannot_say_is_passed_on_escaped(serve):
    """File names and broken input make such texts; the command must be answered all the same."""
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve() -> None:
        raise ValueError("\ud800")

    async with serve(shop) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Execute(execute(), timeout=5)
        assert unknown.value.code() is grpc.StatusCode.UNKNOWN
        assert unknown.value.details() == "ValueError: \\ud800"
        assert trace_of(unknown.value)[-1] == "ValueError: \\ud800"


async def test_reject(serve):
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve() -> None:
        details = {"missing": Decimal("5.1"), "since": datetime(2026, 1, 1, tzinfo=UTC), "shelves": (1, {"a": None})}
        raise Reject("OUT_OF_STOCK", "nothing left", details=details)

    @reserve.compensate
    def release() -> None:
        raise Reject("STUCK", type="compensation")

    async with serve(shop) as stub:
        error = (await stub.Execute(execute())).rejected.error
        assert (error.code, error.message, error.type) == (
            "OUT_OF_STOCK",
            "nothing left",
            error_pb2.ERROR_TYPE_BUSINESS,
        )
        assert dict(error.details)["missing"] == "5.1", "what is not JSON-like is text; it does not become unknown"
        assert dict(error.details)["since"] == "2026-01-01 00:00:00+00:00"
        error = (await stub.Compensate(compensate())).rejected.error
        assert (error.code, error.type) == ("STUCK", error_pb2.ERROR_TYPE_COMPENSATION)


def test_reject_with_an_unknown_type_is_a_rejection_all_the_same(caplog):
    sent = Reject("X", type="personal").to_proto()  # type: ignore[arg-type]
    assert (sent.code, sent.type) == ("X", error_pb2.ERROR_TYPE_BUSINESS)
    assert "a type that there is not" in caplog.text


@pytest.mark.parametrize(
    ("make", "code", "type_"),
    [
        (partial(execute, "dance"), "UNKNOWN_ACTION", error_pb2.ERROR_TYPE_VALIDATION),
        (partial(compensate, "dance"), "UNKNOWN_ACTION", error_pb2.ERROR_TYPE_VALIDATION),
        (partial(execute, "reserve", ["no order"]), "UNDECODABLE_INPUT", error_pb2.ERROR_TYPE_DATA),
        (partial(compensate, "reserve", ["no order"]), "UNDECODABLE_INPUT", error_pb2.ERROR_TYPE_DATA),
        (partial(compensate, "reserve", {"product": "a"}, "no hold"), "UNDECODABLE_INPUT", error_pb2.ERROR_TYPE_DATA),
        (partial(compensate, "mail"), "NO_COMPENSATION", error_pb2.ERROR_TYPE_COMPENSATION),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
async def test_what_no_handler_is_called_for_is_rejected(serve, make, code, type_):
    called: list[Any] = []
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(order: Order) -> None:
        called.append(order)

    @reserve.compensate
    async def release(order: Order, hold: dict[str, str]) -> None:
        called.append(order)

    @shop.step("mail")
    async def mail() -> None:
        called.append("mail")

    call = make()  # Now: it has a not-after time.

    async with serve(shop) as stub:
        answer = await (stub.Compensate(call) if hasattr(call, "reason") else stub.Execute(call))
        assert (answer.rejected.error.code, answer.rejected.error.type) == (code, type_)
        assert called == []
        if code == "UNKNOWN_ACTION":
            assert "mail, reserve" in answer.rejected.error.message


@pytest.mark.parametrize(
    ("kind", "sent", "received"),
    [
        (Order, {"product": "a"}, Order("a")),
        (Order | None, None, None),
        (dict, {"a": 1}, {"a": 1}),
        (str, "text", "text"),
        (bytes, b"\x00", b"\x00"),
        (Payload, "text", CODECS.encode("text")),
        (None, [1], [1]),
    ],
    ids=str,
)
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_values_are_as_annotated(serve, kind, sent, received, plain):
    seen: list[Any] = []
    shop = Participant("shop")

    async def later(value: Any) -> Any:
        seen.append(value)
        return value

    def now(value: Any) -> Any:
        seen.append(value)
        return value

    handler: Any = now if plain else later
    handler.__annotations__ = {} if kind is None else {"value": kind}
    shop.step("reserve")(handler)
    async with serve(shop) as stub:
        answer = await stub.Execute(execute("reserve", sent))
    assert seen == [received]
    assert answer.WhichOneof("answer") == "completed"
    assert answer.completed.HasField("output") == (sent is not None)
    assert CODECS.decode(answer.completed.output) == sent


async def test_what_the_handlers_are_told(serve):
    calls: list[tuple[Any, StepContext]] = []
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(step: StepContext, order: Order) -> str:
        calls.append((order, step))
        return "held"

    @reserve.compensate
    async def release(order: Order, hold: str | None, step: StepContext) -> None:
        calls.append((hold, step))

    async with serve(shop) as stub:
        await stub.Execute(execute("reserve", {"product": "a"}))
        await stub.Compensate(compensate("reserve", {"product": "a"}, "held"))
        answer = await stub.Compensate(compensate("reserve", {"product": "a"}))
        assert answer.WhichOneof("answer") == "completed"
    (order, did), (hold, undid), (nothing, unsure) = calls
    assert (order, hold, nothing) == (Order("a"), "held", None)
    for step in (did, undid, unsure):
        assert (step.saga_id, step.step_id, step.action, step.attempt, step.resend) == (
            "o-1",
            "reserve",
            "reserve",
            2,
            1,
        )
        assert (step.labels, step.metadata, step.correlation_id) == ({"region": "eu"}, {"shelf": 7}, "c-1")
        assert step.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert timedelta(0) < step.time_left <= timedelta(seconds=30)
        assert step.not_after.tzinfo is UTC
        assert step.execute_key == "o-1/reserve"
    assert (did.key, did.certainty, did.reason, did.initial_data()) == ("o-1/reserve", "", "", None)
    assert (undid.key, undid.certainty, undid.reason) == ("o-1/reserve/undo", "completed", "no money")
    assert unsure.certainty == "unknown"
    assert undid.initial_data(dict) == {"initial": True}
    assert repr(did) == "<o-1/reserve attempt 2>"


def test_registering():
    shop = Participant("shop")

    @shop.step("reserve")
    def reserve(order: Order) -> str:
        """Reserve it."""
        return order.product

    assert reserve(Order("a")) == "a", "still a plain function, for tests of it"
    assert (getattr(reserve, "__name__", ""), reserve.__doc__) == ("reserve", "Reserve it.")
    assert shop.actions == {"reserve"}
    with pytest.raises(ValueError, match="already has a handler for 'reserve'"):
        shop.step("reserve")(lambda: None)
    with pytest.raises(TypeError, match="takes 2 values"):

        @shop.step("pay")
        def pay(order: Order, more: int) -> None: ...

    with pytest.raises(TypeError, match="takes 3 values"):

        @reserve.compensate
        def release(order: Order, hold: str, more: int) -> None: ...

    assert shop.actions == {"reserve"}
