"""Mistakes that newcomers make are named where they are made: the argument, what it was, what to write instead."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from swit_saga import (
    AsyncSagaClient,
    CodecError,
    Codecs,
    Compensation,
    Participant,
    Saga,
    SagaClient,
    Step,
    exponential,
    fixed,
    linear,
)

SHOP = Participant("shop")
DEFINED: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "a step's timeout": (lambda x: Step("a", "p", timeout=x(5)), ValueError, "step 'a': timeout: 5 is not a duration"),
    "in other words": (lambda x: Step("a", "p", total_timeout="5sec"), ValueError, "step 'a': total_timeout: '5sec'"),
    "a delay": (lambda x: Step("a", "p", delay="soon"), ValueError, "step 'a': delay: 'soon'"),
    "retries by number": (lambda x: Step("a", "p", retry=x(3)), TypeError, r"step 'a': retry .*exponential\(\.\.\.\)"),
    "retries by name": (lambda x: Saga("s", [], retry=x("fixed")), TypeError, "saga 's': retry must be a RetryPolicy"),
    "no compensation": (lambda x: Step("a", "p", compensation=x(None)), TypeError, "True or False"),
    "how to retry it": (lambda x: Step("a", "p", compensation=x(fixed("1s"))), TypeError, "Compensation\\(retry="),
    "a participant itself": (lambda x: Step("a", x(SHOP)), TypeError, "step 'a': participant must be text, not Part"),
    "an action": (lambda x: Step("a", "p", x(print)), TypeError, "step 'a': action must be text"),
    "a number for an id": (lambda x: Step(x(1), "p"), TypeError, "a step: id must be text, not int: 1"),
    "one status": (lambda x: Step("a", "p", rejected_status_codes="NOT_FOUND"), TypeError, "must be a list of names"),
    "a saga's id": (lambda x: Saga(x(1), []), TypeError, "a saga: id must be text, not int: 1"),
    "one step": (
        lambda x: Saga("s", x(Step("a", "p"))),
        TypeError,
        "saga 's': steps must be a list of steps, not Step",
    ),
    "steps by name": (lambda x: Saga("s", x(["a"])), TypeError, r"saga 's': steps\[0\] must be a Step, not str"),
    "a saga's timeout": (lambda x: Saga("s", [], timeout=x(30)), ValueError, "saga 's': timeout: 30"),
    "of a compensation": (lambda x: Compensation(timeout=x(1)), ValueError, "compensation: timeout: 1"),
    "attempts": (lambda x: exponential("1s", max_attempts=x("3")), TypeError, "max_attempts must be a whole number"),
    "no attempts": (lambda x: fixed("1s", max_attempts=0), ValueError, "max_attempts is 0; it must be at least 1"),
    "yes attempts": (lambda x: linear("1s", max_attempts=True), TypeError, "max_attempts must be a whole number"),
    "a multiplier": (lambda x: exponential("1s", multiplier=0), ValueError, "multiplier is 0; it must be at least 1"),
    "endless": (lambda x: exponential("1s", multiplier=float("inf")), ValueError, "multiplier is inf"),
    "a first delay": (lambda x: exponential(x(1)), ValueError, "initial: 1 is not a duration"),
}
OPTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "timeout": ({"timeout": 5}, ValueError, "timeout: 5 is not a duration"),
    "credentials": ({"credentials": "hidden"}, TypeError, "credentials must be a ChannelCredentials, not str"),
    "codecs": ({"codecs": "json"}, TypeError, "codecs must be a Codecs, not str"),
    "service": ({"service": 1}, TypeError, "service must be text"),
    "metadata": ({"metadata": [("a", "b")]}, TypeError, "metadata must be a mapping of text to text, not list"),
    "a key": ({"metadata": {1: "b"}}, TypeError, "the key 1 must be text"),
    "a value": ({"metadata": {"a": 1}}, TypeError, r"metadata\[a\] must be text, not int"),
    "capitals": ({"metadata": {"Authorization": "hidden"}}, ValueError, "'Authorization' .*; write 'authorization'"),
    "gRPC's": ({"metadata": {"grpc-timeout": "1"}}, ValueError, "gRPC's own"),
    "characters": ({"metadata": {"authorization": "hidden\n"}}, ValueError, r"metadata\[authorization\] may have"),
    "bytes": ({"metadata": {"a-bin": "hidden"}}, TypeError, r"metadata\[a-bin\] must be bytes"),
}
CALLS: dict[str, tuple[Callable[[AsyncSagaClient], Any], type[Exception], str]] = {
    "a step alone": (lambda c: c.start(Step("a", "p")), TypeError, "definition must be a Saga .*, not Step"),  # type: ignore[arg-type]
    "an id to register": (lambda c: c.register("s"), TypeError, "definition must be a Saga .*, not str"),  # type: ignore[arg-type]
    "a version": (lambda c: c.start("s", version="1"), TypeError, "version must be a whole number"),  # type: ignore[arg-type]
    "a correlation": (lambda c: c.start("s", correlation_id=1), TypeError, "correlation_id must be text"),  # type: ignore[arg-type]
    "of a start": (lambda c: c.start("s", timeout="5"), ValueError, "timeout: '5' is not a duration"),
    "a reason": (lambda c: c.cancel("s", 5), TypeError, "reason must be text"),  # type: ignore[arg-type]
    "after": (lambda c: c.watch("s", after=-1), ValueError, "after is -1"),
    "an event": (lambda c: c.watch("s", after="1"), TypeError, "after must be a whole number"),  # type: ignore[arg-type]
    "a state": (
        lambda c: c.list(states=["runing"]),
        ValueError,
        "states: 'runing' is no state; there are pending, runn",
    ),
    "one state": (lambda c: c.list(states="running"), TypeError, r"write states=\['running'\]"),
    "a state to wait for": (lambda c: c.wait("s", states=["runing"]), ValueError, "'runing' is no state"),
    "one to wait for": (lambda c: c.wait("s", states="running"), TypeError, r"write states=\['running'\]"),
    "a wait": (lambda c: c.wait("s", timeout=5), ValueError, "timeout: 5"),  # type: ignore[arg-type]
    "one definition": (lambda c: c.list(definitions="order"), TypeError, r"write definitions=\['order'\]"),
    "overdue": (lambda c: c.list(overdue_by=5), ValueError, "overdue_by: 5"),  # type: ignore[arg-type]
    "a page": (lambda c: c.list(page_size="5"), TypeError, "page_size must be a whole number"),  # type: ignore[arg-type]
    "of definitions": (lambda c: c.definitions.list(page_size=0), ValueError, "page_size is 0"),
    "a version of them": (lambda c: c.definitions.get("s", "1"), TypeError, "version must be"),  # type: ignore[arg-type]
    "none to disable": (lambda c: c.definitions.disable("s", 0), ValueError, "version is 0"),
}


def anything(value: Any) -> Any:
    """What a type checker would have refused."""
    return value


@pytest.mark.parametrize("case", DEFINED)
def test_what_defines_nothing_is_refused_where_it_is_written(case):
    make, kind, says = DEFINED[case]
    with pytest.raises(kind, match=says):
        make(anything)


@pytest.mark.parametrize("client", [AsyncSagaClient, SagaClient])
@pytest.mark.parametrize("case", OPTIONS)
def test_options_are_looked_at_when_the_client_is_made(client, case):
    options, kind, says = OPTIONS[case]
    with pytest.raises(kind, match=says) as refused:
        client("localhost:1", **options)
    assert "hidden" not in str(refused.value)


class Refusing:
    """Stubs on which nothing is to be called."""

    def __getattr__(self, name: str) -> Any:
        return self if name != "_invoke" else None

    def __call__(self, *given: Any, **named: Any) -> Any:
        raise AssertionError("it was sent")


@pytest.mark.parametrize("case", CALLS)
def test_arguments_are_named_and_nothing_is_sent(case):
    call, kind, says = CALLS[case]

    async def attempt() -> None:
        made = call(AsyncSagaClient(stubs=Refusing(), batch_starts=False, batch_waits=False))
        await (made if asyncio.iscoroutine(made) else anext(made))

    with pytest.raises(kind, match=says):
        asyncio.run(attempt())


class Answering:
    """A coordinator that has no sagas."""

    @property
    def coordinator(self) -> Any:
        return self

    async def ListSagas(self, request: Any, **how: Any) -> Any:
        from swit_saga.v1.coordinator_service_pb2 import ListSagasResponse

        return ListSagasResponse()

    async def close(self) -> None: ...


def test_a_client_used_in_another_loop_says_so():
    client = AsyncSagaClient(stubs=Answering())  # type: ignore[arg-type]

    async def use() -> None:
        assert [saga async for saga in client.list()] == []

    asyncio.run(use())
    with pytest.raises(RuntimeError, match=r"another event loop before.*make a client in each asyncio.run"):
        asyncio.run(use())


@dataclass
class Order:
    product: str
    count: int
    note: str = ""


class Receipt(BaseModel):
    paid: int
    by: str


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (Order, {}, "not an Order: product, count missing"),
        (Order, {"product": "apple", "count": "hidden"}, "count: expected int, got str"),
        (list[Order], [{"product": "apple", "count": 1}, {"product": "hidden"}], "not an Order: count missing"),
        (Receipt, {"paid": "hidden"}, "not a Receipt: paid: Input should be a valid integer.*; by: Field required"),
        ("dict", {}, "'dict' is text, no type"),
    ],
)
def test_what_cannot_be_read_is_said_by_field_and_without_the_values(kind, value, says):
    with pytest.raises(CodecError, match=says) as refused:
        Codecs().decode(Codecs().encode(value), kind)
    assert "hidden" not in str(refused.value)
    assert not re.search("__init__|http|\n", str(refused.value))
