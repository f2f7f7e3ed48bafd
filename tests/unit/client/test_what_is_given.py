"""What a program hands to the client by mistake is refused before anything is sent, naming the argument."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from swit_saga import AsyncSagaClient, Saga, SagaClient, Step, exponential, fixed, linear
from swit_saga.filters import saga_filter
from swit_saga.trees import texts, tree

NAN, INF = float("nan"), float("inf")
SELF: list[Any] = []
SELF.append(SELF)


class Colour(StrEnum):
    RED = "red"


class Refusing:
    """Stubs on which nothing is to be called."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


IDS: dict[str, Callable[[Any, Any], Any]] = {
    "start": lambda c, x: c.start("order", saga_id=x),
    "start's definition": lambda c, x: c.start(x),
    "handle": lambda c, x: c.handle(x),
    "get": lambda c, x: c.get(x),
    "cancel": lambda c, x: c.cancel(x),
    "wait": lambda c, x: c.wait(x),
    "result": lambda c, x: c.result(x),
    "watch": lambda c, x: c.watch(x),
    "list's definitions": lambda c, x: c.list(definitions=[x]),
    "definition": lambda c, x: c.definition(x),
    "definitions.get": lambda c, x: c.definitions.get(x),
    "definitions.disable": lambda c, x: c.definitions.disable(x, 1),
    "definitions.enable": lambda c, x: c.definitions.enable(x, 1),
    "operator.retry": lambda c, x: c.operator.retry(x),
    "operator.force_compensation": lambda c, x: c.operator.force_compensation(x),
    "operator.skip_compensation": lambda c, x: c.operator.skip_compensation(x, "s"),
    "operator.skip_compensation's step": lambda c, x: c.operator.skip_compensation("s", x),
    "operator.pause": lambda c, x: c.operator.pause(x),
    "operator.resume": lambda c, x: c.operator.resume(x),
    "operator.edit_step_input": lambda c, x: c.operator.edit_step_input(x, "s", {}),
    "operator.edit_step_input's step": lambda c, x: c.operator.edit_step_input("s", x, {}),
    "operator.delete": lambda c, x: c.operator.delete(x),
}
TAKES_AN_ID = {"saga_id", "definition_id", "step_id"}


async def call(given_: Callable[[Any, Any], Any], client: Any, value: Any) -> None:
    made = given_(client, value)
    if isinstance(made, Coroutine):
        await made


@pytest.mark.parametrize("asked", IDS.values(), ids=IDS)
@pytest.mark.parametrize(
    ("value", "error"), [("", ValueError), ("\ud800", ValueError), (b"o-1", TypeError), (7, TypeError)], ids=repr
)
async def test_an_id_that_was_not_meant_is_refused(asked, value, error):
    async with AsyncSagaClient(stubs=Refusing()) as client:
        if asked is IDS["start's definition"] and not isinstance(value, str):
            return
        with pytest.raises(error, match=r"saga_id|step_id|definition"):
            await call(asked, client, value)


def test_every_method_that_takes_an_id_is_tried():
    """By name, so that a new one is not forgotten. ``list``'s id may be empty: it then lists all."""
    client = AsyncSagaClient(stubs=Refusing())
    parts = {"": client, "definitions.": client.definitions, "operator.": client.operator}
    takes = {
        prefix + name
        for prefix, part in parts.items()
        for name in dir(part)
        if not name.startswith("_") and callable(getattr(part, name))
        if TAKES_AN_ID & set(getattr(getattr(part, name), "__annotations__", ()))
    }
    assert takes - {"definitions.list"} == {name.partition("'")[0] for name in IDS} - {"list"}


def test_the_synchronous_client_refuses_the_same():
    with SagaClient("127.0.0.1:1") as client:
        for asked in (client.get, client.cancel, client.wait, client.result, client.watch, client.definition):
            with pytest.raises(ValueError, match="is empty"):
                asked("")
        with pytest.raises(ValueError, match="saga_id is empty"):
            client.start("order", saga_id="")


TIMES = ("created_from", "created_to", "updated_from", "updated_to")


@pytest.mark.parametrize("name", TIMES)
def test_a_time_without_a_timezone_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} has no timezone.*datetime.now\\(UTC\\)"):
        saga_filter(**{name: datetime(2026, 11, 28)})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=f"{name} must be a datetime, not date"):
        saga_filter(**{name: date(2026, 11, 28)})  # type: ignore[arg-type]


def test_a_time_with_a_timezone_is_that_moment():
    east = timezone(timedelta(hours=14))
    wanted = saga_filter(
        created_from=datetime(2026, 1, 1, 14, tzinfo=east), created_to=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert wanted.created_from == wanted.created_to


@pytest.mark.parametrize(
    "asked",
    [
        lambda c, x: c.start("order", timeout=x),
        lambda c, x: c.wait("o-1", timeout=x),
        lambda c, x: c.result("o-1", timeout=x),
        lambda c, x: c.list(overdue_by=x),
        lambda c, x: c.register(Saga("d", [Step("s", "p", timeout=x)])),
        lambda c, x: c.register(Saga("d", [Step("s", "p", delay=x)], timeout=x)),
        lambda c, x: AsyncSagaClient(stubs=Refusing(), timeout=x),
    ],
)
@pytest.mark.parametrize("value", [timedelta(seconds=-1), timedelta.max, "3000000d", "-1s", "nans", 1.5, NAN], ids=repr)
async def test_a_length_of_time_that_is_none_is_refused(asked, value):
    async with AsyncSagaClient(stubs=Refusing()) as client:
        with pytest.raises(ValueError, match=r"negative|too long|is not a duration"):
            await call(asked, client, value)


# ---- metadata and labels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "error", "where"),
    [
        ({"a": NAN}, ValueError, r"metadata\[a\] is nan"),
        ({"a": [1, INF]}, ValueError, r"metadata\[a\[1\]\] is inf"),
        ({"a": {"b": 10**400}}, ValueError, r"metadata\[a.b\] is a whole number"),
        ({"a": 2**53 + 1}, ValueError, r"metadata\[a\] is a whole number.*as text"),
        ({"a": "\ud800"}, ValueError, r"metadata\[a\]: .*no Unicode"),
        ({"\ud800": 1}, ValueError, "metadata: .*no Unicode"),
        ({1: "a"}, TypeError, "metadata: the key 1 must be text"),
        ({"a": {None: 1}}, TypeError, r"metadata\[a\]: the key None"),
        ({"a": b"x"}, TypeError, r"metadata\[a\] is a bytes"),
        ({"a": type}, TypeError, r"metadata\[a\] is a type"),
        ({"a": {1, 2}}, TypeError, r"metadata\[a\] is a set"),
        ({"a": datetime(2026, 1, 1)}, TypeError, r"metadata\[a\] is a datetime"),
        ({"a": 1 + 2j}, TypeError, r"metadata\[a\] is a complex"),
        ({"a": SELF}, ValueError, "contains itself"),
        ([("a", 1)], TypeError, "metadata must be a mapping, not list"),
    ],
    ids=lambda x: repr(x)[:40],
)
async def test_metadata_that_cannot_be_sent_is_refused_naming_where(values, error, where):
    steps = [Step("s", "p")]
    async with AsyncSagaClient(stubs=Refusing()) as client:
        for asked in (
            lambda: client.start("order", metadata=values),
            lambda: client.register(Saga("d", steps, metadata=values)),
            lambda: client.register(Saga("d", [Step("s", "p", metadata=values)])),
            lambda: client.list(metadata=values),
        ):
            with pytest.raises(error, match=where):
                await call(lambda _c, _x, asked=asked: asked(), None, None)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("labels", "error", "where"),
    [
        ({"a": 1}, TypeError, r"labels\[a\] must be text, not int"),
        ({"a": None}, TypeError, r"labels\[a\] must be text"),
        ({1: "a"}, TypeError, "labels: the key 1 must be text"),
        ({"a": "\ud800"}, ValueError, r"labels\[a\]: .*no Unicode"),
        (["a"], TypeError, "labels must be a mapping"),
    ],
    ids=repr,
)
async def test_labels_that_cannot_be_sent_are_refused_naming_which(labels, error, where):
    async with AsyncSagaClient(stubs=Refusing()) as client:
        with pytest.raises(error, match=where):
            await client.start("order", labels=labels)
        with pytest.raises(error, match=where):
            client.list(labels=labels)


scalars = st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
numbers = st.integers(-(2**53), 2**53)


values_ = st.recursive(scalars | numbers, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=9)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), values_))
def test_what_is_sent_is_what_was_given(values):
    assert MessageToDict(tree(values)) == values


def test_kinds_of_values_that_are_like_the_plain_ones():
    assert tree({"a": (1, 2), "b": Colour.RED, "c": OrderedDict(d=1)}) == tree({"a": [1, 2], "b": "red", "c": {"d": 1}})
    assert texts({"a": Colour.RED}, "labels") == {"a": "red"}


TEXTS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "correlation_id": ("correlation_id", lambda c, x: c.start("order", correlation_id=x)),
    "reason": ("reason", lambda c, x: c.cancel("s", x)),
    "order_by": ("order_by", lambda c, x: c.list(order_by=x)),
    "definitions.list": ("definition_id", lambda c, x: c.definitions.list(x)),
    "operator": ("operator", lambda c, x: c.operator.retry("s", operator=x)),
    "operator's reason": ("reason", lambda c, x: c.operator.pause("s", x)),
    "request_id": ("request_id", lambda c, x: c.operator.delete("s", request_id=x)),
}
NUMBERS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "version": ("version", lambda c, x: c.start("order", version=x)),
    "page_size": ("page_size", lambda c, x: c.list(page_size=x)),
    "after": ("after", lambda c, x: c.watch("s", after=x)),
    "definitions.get": ("version", lambda c, x: c.definitions.get("order", x)),
    "definitions.disable": ("version", lambda c, x: c.definitions.disable("order", x)),
    "definitions.list": ("page_size", lambda c, x: c.definitions.list(page_size=x)),
    "max_attempts": ("max_attempts", lambda c, x: exponential("1s", max_attempts=x)),
    "max_attempts of fixed": ("max_attempts", lambda c, x: fixed("1s", max_attempts=x)),
    "max_attempts of linear": ("max_attempts", lambda c, x: linear("1s", max_attempts=x)),
}


async def begun(asked: Callable[[Any, Any], Any], client: Any, value: Any) -> None:
    made = asked(client, value)
    if isinstance(made, Coroutine):
        await made
    elif isinstance(made, AsyncIterator):
        await anext(made)


async def refused(asked: Callable[[Any, Any], Any], value: Any) -> Exception:
    """What comes of a value before anything is sent."""
    with pytest.raises((ValueError, TypeError)) as wrong:
        await begun(asked, AsyncSagaClient(stubs=Refusing()), value)
    assert not isinstance(wrong.value, UnicodeError)
    return wrong.value


@pytest.mark.parametrize(("name", "asked"), TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("value", ["\ud800", 5, b"x", True, None, []], ids=repr)
async def test_what_is_no_text_is_refused_by_its_name(name, asked, value):
    assert str(await refused(asked, value)).startswith(f"{name} ")


@pytest.mark.parametrize(("name", "asked"), NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("value", [-1, 2**64, 10**400, 1.0, NAN, INF, "5", True, None], ids=lambda v: repr(v)[:9])
async def test_what_is_no_whole_number_in_range_is_refused_by_its_name(name, asked, value):
    assert str(await refused(asked, value)).startswith(f"{name} ")


@pytest.mark.parametrize("multiplier", [0, 0.5, -2.0, NAN])
def test_growth_that_is_none_is_not_taken_for_the_default(multiplier):
    with pytest.raises(ValueError, match="multiplier"):
        exponential("1s", multiplier=multiplier)


@pytest.mark.parametrize("make", [exponential, fixed, linear])
def test_no_attempts_are_not_taken_for_the_default(make):
    with pytest.raises(ValueError, match="max_attempts is 0"):
        make("1s", max_attempts=0)


@pytest.mark.parametrize("state", ["bogus", "", "unspecified", 5, None, [], "\ud800"], ids=repr)
async def test_a_state_that_is_none_is_refused_with_those_there_are(state):
    for asked in (lambda c, x: c.list(states=[x]), lambda c, x: c.wait("s", states=[x])):
        assert "step_completed" in str(await refused(asked, state))
