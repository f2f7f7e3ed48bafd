"""Digests: equal content, equal digest, and every field counts."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings

from swit_saga_server.core.definition import CompensationDefinition, CompensationStrategy, Definition, StepDefinition
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.units import Span
from swit_saga_server.store import codec
from swit_saga_server.store.digest import definition_digest, digest
from tests.support.store.values import any_of

POLICY = RetryPolicy(
    backoff=Backoff.LINEAR,
    initial_delay=Span(2),
    max_delay=Span(9),
    multiplier=1.5,
    max_attempts=3,
    jitter=Jitter.EQUAL,
)
STEP = StepDefinition(
    id="a",
    name="A",
    description="first",
    participant="p",
    action="do",
    timeout=Span(5),
    total_timeout=Span(50),
    delay=Span(1),
    retry_policy=POLICY,
    compensation=CompensationDefinition(disabled=True, timeout=Span(6), retry_policy=POLICY),
    rejected_status_codes=("NOT_FOUND",),
    metadata={"k": [1, {"deep": None}]},
)
FULL = Definition(
    id="d",
    name="D",
    description="all of it",
    steps=(STEP, StepDefinition(id="b", participant="q")),
    timeout=Span(7),
    retry_policy=POLICY,
    compensation_retry_policy=POLICY,
    compensation_strategy=CompensationStrategy.PARALLEL,
    metadata={"x": 1, "y": 2},
)


def variants(value: Any) -> Iterator[tuple[str, Any]]:
    """The value with one thing in it changed, and where, for every thing in it."""
    if is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            for where, changed in variants(getattr(value, f.name)):
                yield f".{f.name}{where}", replace(value, **{f.name: changed})
    elif isinstance(value, tuple):
        yield "[no last]", value[:-1]
        if len(value) > 1:
            yield "[reversed]", value[::-1]
        for where, changed in variants(value[0]):
            yield f"[0]{where}", (changed, *value[1:])
    elif isinstance(value, dict):
        yield "{one more}", {**value, "z": None}
        yield "{none}", {}
    elif isinstance(value, bool):
        yield "", not value
    elif isinstance(value, Backoff | Jitter | CompensationStrategy):
        yield "", next(m for m in type(value) if m is not value)
    else:
        yield "", value + type(value)(1)
        if isinstance(value, int):
            yield "=0", 0
            yield "=None", None


@pytest.mark.parametrize(("where", "changed"), [pytest.param(*v, id=v[0]) for v in variants(FULL)])
def test_every_field_counts(where: str, changed: Definition) -> None:
    """Whatever is changed, it is another definition; nothing, zero and not given are three things."""
    assert definition_digest(changed) != definition_digest(FULL), where


def test_no_two_changes_are_alike() -> None:
    """The same value in another field, step or nesting is another content."""
    every = [digest(changed) for _, changed in variants(FULL)]
    assert len(set(every)) == len(every) > 60


@given(any_of(Definition), any_of(Definition))
@settings(max_examples=100, deadline=None)
def test_equal_digest_equal_content(one: Definition, two: Definition) -> None:
    """And what was stored and read has the digest that it had."""
    assert digest(one) != digest(two) or one == two
    assert digest(codec.PRESENT.unpack_definition(codec.pack_definition(one))) == digest(one)


def test_order_of_keys_does_not_count() -> None:
    """Of a mapping, however deep; of a set neither. Of a list it does."""
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"s": frozenset({"x", "y", "z"})}) == digest({"s": {"z", "y", "x"}})
    assert digest([1, 2]) != digest([2, 1])


def test_scalars_as_in_json() -> None:
    """A tuple is a list and 1.0 is 1; true is not 1, a text is not bytes, nothing is not empty."""
    assert digest((1, 2)) == digest([1, 2])
    assert digest(1.0) == digest(1)
    apart = [1, True, "1", b"1", 1.5, 0, False, None, "", b"", [], {}, [None]]
    assert len({digest(value) for value in apart}) == len(apart)


def test_digest_of_the_first_version_is_kept() -> None:
    """Stored definitions are told by it: if it changed, registering the same content would give it a new version."""
    assert definition_digest(FULL) == KEPT_FULL
    assert definition_digest(Definition(id="d", steps=(StepDefinition(id="a", participant="p"),))) == KEPT_LEAST


KEPT_FULL = "cc94da7cbd95fcee80dd6c75c6aef03e9719003fbfafa4d53e1fc494b9fe5e2d"
KEPT_LEAST = "44307eb8e0aecad2c502d848fbe73f8455e51bf2fbc9e6c79378b793a4120031"
