"""Values as payloads and back, errors first."""

import zlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, Literal, Optional, TypedDict
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel

from swit_saga import CodecError, Codecs, Payload
from swit_saga.payload import BYTES, JSON, PROTOBUF, TEXT
from swit_saga.v1.saga_pb2 import Saga as SagaMessage
from swit_saga.v1.saga_pb2 import StepState

CODECS = Codecs()


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Item:
    product: str
    quantity: int = 1


@dataclass
class Order:
    id: UUID
    items: list[Item]
    placed: datetime
    total: Decimal
    size: Size = Size.SMALL
    colour: Colour | None = None
    due: date | None = None
    by_shelf: dict[str, Item] = field(default_factory=dict)
    place: tuple[int, int] = (0, 0)
    tags: frozenset[str] = frozenset()


@dataclass
class Positive:
    amount: int

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("amount must be positive")


class Hold(BaseModel):
    key: str
    until: datetime


class Row(TypedDict):
    id: int


ORDER = Order(
    id=UUID(int=7),
    items=[Item("apple", 2), Item("pear")],
    placed=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    total=Decimal("10.10"),
    size=Size.LARGE,
    colour=Colour.RED,
    due=date(2026, 1, 3),
    by_shelf={"7": Item("apple")},
    place=(1, 2),
    tags=frozenset({"a", "b"}),
)


def json(text: str) -> Payload:
    return Payload(content_type=JSON, text=text)


@pytest.mark.parametrize(
    ("payload", "kind", "says"),
    [
        (json("{"), None, "not JSON"),
        (Payload(content_type=JSON, binary=b"\xff"), None, "not JSON"),
        (Payload(content_type=TEXT, binary=b"\xff"), str, "not UTF-8"),
        (Payload(content_type="image/png", binary=b"x"), None, "no codec reads 'image/png'"),
        (json("[]"), Item, "expected Item, got list"),
        (json("{}"), Item, "product"),
        (json('{"product": 1}'), Item, "expected str, got int"),
        (json('{"product": "a", "quantity": true}'), Item, "expected int, got bool"),
        (json('{"amount": 0}'), Positive, "amount must be positive"),
        (json('{"key": "k"}'), Hold, "until"),
        (json('{"key": "k", "until": "soon"}'), Hold, "until"),
        (json('"blue"'), Colour, "not a Colour"),
        (json('"x"'), Decimal, "not a Decimal"),
        (json("7"), datetime, "not a datetime"),
        (json("[1]"), tuple[int, int], "expected 2 items, got 1"),
        (json('["a"]'), list[int], "expected int, got str"),
        (json('{"a": "b"}'), dict[str, int], "expected int, got str"),
        (json("[]"), Row, "expected Row, got list"),
        (Payload(content_type=BYTES, binary=b"x"), str, "expected str, got bytes"),
        (Payload(content_type=PROTOBUF, binary=b"x"), None, "import its module"),
        (Payload(content_type=f"{PROTOBUF}; type=shop.Unknown", binary=b""), None, "shop.Unknown"),
        (Payload(content_type=f"{PROTOBUF}; type=swit_saga.v1.Saga", binary=b"\xff"), None, "swit_saga.v1.Saga"),
        (
            Payload(content_type=f"{PROTOBUF}; type=swit_saga.v1.Saga", binary=b""),
            StepState,
            "expected protobuf message",
        ),
        (Payload(content_type=f"{PROTOBUF}; type=swit_saga.v1.Saga", binary=b""), Item, "cannot be read as Item"),
    ],
    ids=str,
)
def test_what_cannot_be_read_says_why(payload, kind, says):
    with pytest.raises(CodecError, match=says):
        CODECS.decode(payload, kind)


NOT_WRITTEN = [object(), {"a": object()}, {1, "a"}, lambda: 0, {(1, 2): 3}]


@pytest.mark.parametrize("value", NOT_WRITTEN, ids=["object", "in a dict", "set", "function", "tuple as key"])
def test_what_cannot_be_written_is_refused(value):
    with pytest.raises(CodecError, match="cannot be written as JSON"):
        CODECS.encode(value)


@pytest.mark.parametrize(
    ("value", "kind", "content_type"),
    [
        ({"b": [1, 2.5, None, True, "ü"]}, None, JSON),
        ([1, 2], list[int], JSON),
        (7, int, JSON),
        (False, bool, JSON),
        ("ü", str, TEXT),
        (b"\x00\xff", bytes, BYTES),
        (ORDER, Order, JSON),
        (Hold(key="k", until=datetime(2026, 1, 1, tzinfo=UTC)), Hold, JSON),
        ({"id": 7}, Row, JSON),
        ({"a": Item("b")}, dict[str, Item], JSON),
        (SagaMessage(id="o-1"), SagaMessage, f"{PROTOBUF}; type=swit_saga.v1.Saga"),
        (SagaMessage(id="o-1"), None, f"{PROTOBUF}; type=swit_saga.v1.Saga"),
        (Struct(), None, f"{PROTOBUF}; type=google.protobuf.Struct"),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, str) else v,
)
def test_round_trip(value, kind, content_type):
    payload = CODECS.encode(value)
    assert payload is not None
    assert payload.content_type == content_type
    assert CODECS.decode(payload, kind) == value


def test_nothing_is_no_payload():
    assert CODECS.encode(None) is None
    for nothing in (None, Payload()):
        for kind in (None, Any, object, type(None), Item | None, Optional[Item], Literal["a", None]):  # noqa: UP045
            assert CODECS.decode(nothing, kind) is None
        for kind in (Item, dict, list[int], int | str, bytes, Payload, SagaMessage):
            with pytest.raises(CodecError, match="got no value"):
                CODECS.decode(nothing, kind)


def test_equal_values_are_equal_bytes():
    """The coordinator knows a repeated start by its bytes."""
    assert CODECS.encode({"a": 1, "b": {"x", "y", "z"}}) == CODECS.encode({"b": {"z", "y", "x"}, "a": 1})


def test_a_reader_may_be_older_than_the_writer():
    assert CODECS.decode(json('{"product": "a", "colour": "red"}'), Item) == Item("a")


@pytest.mark.parametrize(("text", "expected"), [("null", None), ('{"product": "a"}', Item("a"))])
def test_an_optional_value(text, expected):
    assert CODECS.decode(json(text), Item | None) == expected


def test_bytes_are_given_where_bytes_are_asked_for():
    assert CODECS.decode(json('{"a":1}'), bytes) == b'{"a":1}'


def test_a_payload_passes_as_it_is():
    payload = Payload(content_type="image/png", binary=b"x")
    assert CODECS.encode(payload) is payload
    assert CODECS.decode(payload, Payload) is payload


class Png:
    """A codec of the user's."""

    def encode(self, value: Any) -> Payload | None:
        return Payload(content_type="image/png", binary=value.data) if isinstance(value, Picture) else None

    def takes(self, content_type: str) -> bool:
        return content_type == "image/png"

    def decode(self, payload: Payload, kind: Any) -> Any:
        return Picture(payload.binary)


@dataclass
class Picture:
    data: bytes


def test_null_is_nothing_only_where_nothing_may_be():
    with pytest.raises(CodecError, match="expected Item, got NoneType"):
        CODECS.decode(json("null"), Item)


def test_a_codec_of_ones_own_comes_before_the_built_in_ones():
    codecs = Codecs(Png())
    payload = codecs.encode(Picture(b"x"))
    assert payload is not None
    assert payload.content_type == "image/png"
    assert codecs.decode(payload) == Picture(b"x")
    assert codecs.decode(codecs.encode({"a": 1})) == {"a": 1}


class Zip:
    """Compression."""

    def wrap(self, payload: Payload) -> Payload:
        return Payload(content_type="application/zip", binary=zlib.compress(payload.SerializeToString()))

    def unwrap(self, payload: Payload) -> Payload:
        if payload.content_type != "application/zip":
            return payload
        return Payload.FromString(zlib.decompress(payload.binary))


class Secret:
    """Encryption, of a kind."""

    def wrap(self, payload: Payload) -> Payload:
        data = payload.SerializeToString()
        return Payload(content_type="application/secret", binary=bytes(b ^ 0x5A for b in data))

    def unwrap(self, payload: Payload) -> Payload:
        if payload.content_type != "application/secret":
            return payload
        return Payload.FromString(bytes(b ^ 0x5A for b in payload.binary))


def test_hooks_are_undone_in_reverse():
    codecs = Codecs(hooks=[Zip(), Secret()])
    payload = codecs.encode({"card": "4711"})
    assert payload is not None
    assert payload.content_type == "application/secret", "the last hook is the outermost"
    assert b"4711" not in payload.binary
    assert codecs.decode(payload) == {"card": "4711"}
    with pytest.raises(CodecError, match="no codec reads 'application/secret'"):
        CODECS.decode(payload)
    assert codecs.decode(CODECS.encode({"plain": 1})) == {"plain": 1}, "written before the hooks were in use"


@pytest.mark.parametrize("value", [[Duration()], {"for": Duration()}])
def test_a_protobuf_message_within_something_else_is_refused_as_what_it_is(value):
    with pytest.raises(CodecError, match="Duration is a protobuf message, which is written by itself"):
        Codecs().encode(value)


def test_bytes_are_what_they_hold_and_not_what_their_class_says():
    class Other(bytes):
        def __bytes__(self) -> bytes:
            return b"other"

    assert Codecs().decode(Codecs().encode(Other(b"x")), bytes) == b"x"
