"""Whatever value of whatever type: it comes back equal, or there is a CodecError; and so with whatever bytes."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from swit_saga import CodecError, Codecs, Payload
from swit_saga.payload import BYTES, JSON, PROTOBUF, TEXT
from swit_saga.v1.saga_pb2 import Saga as SagaMessage
from tests.support.client.kinds import (
    Base,
    Box,
    Colour,
    Derived,
    Level,
    Model,
    Point,
    Row,
    Same,
    Size,
    Strict,
    Tidy,
    Twice,
)

CODECS = Codecs()


LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers() | st.just(10**5_000),
    float: st.floats(),
    bool: st.booleans(),
    str: st.text() | st.text(st.characters(categories=["Cs", "Ll"])),
    bytes: st.binary(),
    Decimal: st.decimals(),
    datetime: st.datetimes(timezones=st.just(UTC) | st.none()),
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(),
    UUID: st.uuids(),
    Colour: st.sampled_from(Colour),
    Level: st.sampled_from(Level),
    Size: st.sampled_from(Size),
    Base: st.builds(Base, st.integers()),
    Derived: st.builds(Derived, st.integers()),  # As a Base it is one: readers leave out what they do not know.
    Tidy: st.builds(Tidy, st.text()),
    Twice: st.builds(Twice, st.integers()),
    Point: st.builds(Point, st.integers(), st.decimals()),
    Model: st.builds(Model, price=st.decimals(allow_nan=False, allow_infinity=False), tags=st.sets(st.integers())),
    Any: st.none() | st.integers() | st.text() | st.floats(),
}


def typed(kind: Any) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(LEAVES[kind], st.just(kind))


def grown(inner: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Values within values, each with the type that says what they are."""
    a_list: Any = list  # Types are made here from values, which a type checker does not follow.
    a_tuple: Any = tuple
    a_dict: Any = dict
    both = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda v: ([v[0]], a_list[v[1]])),
        inner.map(lambda v: ((v[0], v[0]), a_tuple[v[1], ...])),
        inner.map(lambda v: (Box(v[0], [v[0]]), Box[v[1]])),  # type: ignore[valid-type]
        inner.map(lambda v: (v[0], v[1] | None)),
        both.map(lambda v: ((v[0][0], v[1][0]), a_tuple[v[0][1], v[1][1]])),
        both.map(lambda v: ([v[0][0], v[1][0]], a_list[v[0][1] | v[1][1]])),
        st.tuples(st.text() | st.integers(), inner).map(lambda v: ({v[0]: v[1][0]}, a_dict[str, v[1][1]])),
    )


@settings(max_examples=250, deadline=None)
@given(st.recursive(st.sampled_from(list(LEAVES)).flatmap(typed), grown, max_leaves=4))
def test_any_value_comes_back_equal_or_not_at_all(of):
    value, kind = of
    try:
        payload = CODECS.encode(value)
        back = CODECS.decode(payload, kind)
    except CodecError:
        return
    assert back == value, f"as {kind}"
    assert CODECS.encode(back) == payload, "equal values are equal bytes"


@settings(max_examples=250, deadline=None)
@given(
    st.binary(max_size=40) | st.text(max_size=40).map(str.encode),
    st.sampled_from([JSON, TEXT, BYTES, f"{PROTOBUF}; type=swit_saga.v1.Saga", "", ";", "a/b+json; charset=x"]),
    st.sampled_from([None, *LEAVES, Row, Strict, SagaMessage, list[Base | Same], dict[str, Any], Literal[1], type]),
)
def test_any_bytes_are_read_or_refused(data, content_type, kind):
    try:
        CODECS.decode(Payload(content_type=content_type, binary=data), kind)
    except CodecError:
        return
