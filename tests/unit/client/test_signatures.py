"""The two clients take the same arguments and pass them on; nothing public takes what it does not name."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args, get_origin, get_overloads

import pytest

import swit_saga
from swit_saga import AsyncSagaClient, Codecs, SagaClient
from swit_saga.definitions import Definitions
from swit_saga.handle import SagaHandle
from swit_saga.operator import Operator
from swit_saga.sync import client as sync_client
from swit_saga.sync.definitions import SyncDefinitions
from swit_saga.sync.operator import SyncOperator

PAIRS = [(AsyncSagaClient, SagaClient), (Definitions, SyncDefinitions), (Operator, SyncOperator)]
ASYNC_ONLY = {(AsyncSagaClient, "handle")}
"""A synchronous client has no handles: its ``start`` returns the id, and every call takes it."""


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


METHODS = [
    pytest.param(one, other, name, id=f"{other.__name__}.{name}")
    for one, other in PAIRS
    for name in sorted(public(one))
    if (one, name) not in ASYNC_ONLY
]


def parameters(function: Any, *, leave_out: tuple[str, ...] = ("self",)) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.name not in leave_out]


def in_sync(result: Any) -> Any:
    """What the synchronous twin of a method returns."""
    if result is SagaHandle:
        return str
    if get_origin(result) is AsyncIterator:
        (item,) = get_args(result)
        return Iterator[item]  # type: ignore[valid-type]
    return result


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_both_have_the_same_methods(one, other):
    assert public(other) == public(one) - {name for kind, name in ASYNC_ONLY if kind is one}


@pytest.mark.parametrize(("one", "other", "name"), METHODS)
def test_both_take_and_return_the_same(one, other, name):
    awaited, plain = getattr(one, name), getattr(other, name)
    assert parameters(plain) == parameters(awaited), "names, order, kinds, defaults and annotations"
    assert inspect.signature(plain).return_annotation == in_sync(inspect.signature(awaited).return_annotation)
    # As text, for each module has a type variable of its own.
    overloads = [[str(inspect.signature(f)) for f in get_overloads(of)] for of in (awaited, plain)]
    assert overloads[0] == overloads[1]


def test_both_are_made_with_the_same_options():
    of_async = parameters(AsyncSagaClient, leave_out=("target", "channel", "stubs"))
    assert parameters(SagaClient, leave_out=("target",)) == of_async
    target = inspect.signature(SagaClient).parameters["target"]
    assert (target.annotation, target.default) == (str, inspect.Parameter.empty), "there is no other way to say where"


class Recorded(Exception):
    """Carries what a call was given, out of it."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__("recorded")
        self.given = given


def recording(function: Any) -> Any:
    signature = inspect.signature(function)

    def record(*args: Any, **more: Any) -> Any:
        given = dict(signature.bind(*args, **more).arguments)
        given.pop("self", None)
        raise Recorded(given)

    return record


SHORT = {"register": (Definitions, "register"), "definition": (Definitions, "get")}
"""Calls of the client that stand for one of ``definitions``."""
ENDS = {"close"}


@pytest.mark.parametrize(("one", "other", "name"), [p for p in METHODS if p.values[2] not in ENDS])
def test_every_argument_is_passed_on(one, other, name, monkeypatch):
    given = {p.name: object() for p in parameters(getattr(other, name))}
    real, at = SHORT.get(name, (one, name)) if one is AsyncSagaClient else (one, name)
    monkeypatch.setattr(real, at, recording(getattr(real, at)))
    with SagaClient("127.0.0.1:1") as sagas:
        asked = {SagaClient: sagas, SyncDefinitions: sagas.definitions, SyncOperator: sagas.operator}[other]
        with pytest.raises(Recorded) as recorded:
            getattr(asked, name)(**given)
    assert sorted(map(id, recorded.value.given.values())) == sorted(map(id, given.values()))
    if real is one:
        assert recorded.value.given == given


def test_every_option_is_passed_on(monkeypatch):
    given: dict[str, Any] = {
        "codecs": Codecs(),
        "metadata": {"a": "b"},
        "service": "shop",
        "timeout": "7s",
        "batch_starts": False,
        "batch_waits": False,
    }
    assert {"target", "credentials", *given} == set(inspect.signature(SagaClient).parameters)
    monkeypatch.setattr(sync_client, "AsyncSagaClient", recording(AsyncSagaClient))
    with pytest.raises(Recorded) as recorded:
        SagaClient("127.0.0.1:1", **given)
    recorded.value.given.pop("stubs")
    assert recorded.value.given == given


def callables() -> Iterator[tuple[str, Any]]:
    for name in swit_saga.__all__:
        kind = getattr(swit_saga, name)
        yield name, kind
        if inspect.isclass(kind):
            for method in sorted(public(kind)):
                yield f"{name}.{method}", getattr(kind, method)
    for kind in (Definitions, Operator, SyncDefinitions, SyncOperator):
        for method in sorted(public(kind)):
            yield f"{kind.__name__}.{method}", getattr(kind, method)


@pytest.mark.parametrize(("name", "function"), [pytest.param(n, f, id=n) for n, f in callables()])
def test_nothing_public_takes_options_it_does_not_name(name, function):
    if inspect.isclass(function):
        function = function.__init__
        if not getattr(function, "__module__", "").startswith("swit_saga"):
            return  # Of an exception without fields, a protocol or a message.
    for parameter in parameters(function):
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, parameter
        assert parameter.annotation is not inspect.Parameter.empty, parameter
