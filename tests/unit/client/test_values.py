"""Any value there and back: equal, as its own type, or a CodecError; never silently another value."""

import ipaddress
import math
from array import array
from collections import OrderedDict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import SecretStr

from swit_saga import CodecError, Codecs, Payload
from swit_saga.payload import BYTES, JSON, PROTOBUF, TEXT
from swit_saga.v1.saga_pb2 import Saga as SagaMessage
from tests.support.client.kinds import (
    Aliased,
    Base,
    Box,
    Colour,
    Derived,
    Frozen,
    Hidden,
    Holder,
    Holding,
    IntBox,
    Late,
    Level,
    Model,
    More,
    Node,
    Number,
    Plain,
    Point,
    Rights,
    Row,
    Same,
    Scaled,
    Size,
    Strict,
    Text,
    Tidy,
    Twice,
    late,
)

CODECS = Codecs()


NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def numbered(rows: list[Any]) -> list[str]:
    """Names that are the same in every process, which a set's order and an object's address are not."""
    values = (row[0] if isinstance(row, tuple) else row for row in rows)
    return [f"{number} {type(value).__name__}" for number, value in enumerate(values)]


BACK: list[tuple[Any, Any]] = [
    (-0.0, float),
    (2**200, int),
    (3, float),
    (Decimal("1.10"), Decimal),
    ({"p": Decimal("-1E+400")}, dict[str, Decimal]),
    (NOW, datetime),
    (NOW.replace(tzinfo=None), datetime),
    (NOW.date(), date),
    (NOW.timetz(), time),
    *((span, timedelta) for span in (timedelta.max, timedelta.min, timedelta(days=-1, microseconds=5), timedelta(0))),
    (UUID(int=7), UUID),
    (b"\x00\xff", bytes),
    ({"a": b"\xff"}, dict[str, bytes]),
    ([bytearray(b"x")], list[bytearray]),
    (bytearray(b"x"), bytearray),
    (memoryview(b"x"), memoryview),
    (Path("/a/b"), Path),
    ([PureWindowsPath("a\\b"), PureWindowsPath("c")], list[PureWindowsPath]),
    (PurePosixPath("."), PurePosixPath),
    (ipaddress.ip_address("::1"), ipaddress.IPv6Address),
    (ipaddress.ip_network("10.0.0.0/8"), ipaddress.IPv4Network),
    *((member, Size) for member in Size),
    *((member, Level) for member in Level),
    (Colour.RED, Colour),
    ({Colour.RED: 1}, dict[Colour, int]),
    (Rights.READ | Rights.WRITE, Rights),
    (Text("x"), str),
    (Box(NOW, [NOW]), Box[datetime]),
    (IntBox(1, [2], 3), IntBox),
    ({"a": [Box(1)]}, dict[str, list[Box[int]]]),
    (Frozen(at=NOW, length=timedelta(seconds=1.5)), Frozen),
    (Late(1), Late),
    (late(), Late),
    (Tidy("a"), Tidy),
    (Node(1, Node(2, Node(3))), Node),
    (Holder([Base(5)]), Holder),
    (Point(1, Decimal("2.50")), Point),
    ([Point(1)], list[Point]),
    ({"id": 1, "at": NOW}, Row),
    ([1, 2.5, "a", None, True], list[int | float | str | bool | None]),
    ([3.0, 3], list[int | float]),
    ([1.5, Decimal("1.5")], list[float | Decimal]),
    ([Base(1), Point(2)], list[Base | Point]),
    ([Derived(1, 2)], list[Base | Derived]),
    ("x", bytes | str),
    (b"x", bytes | str),
    ({1, 2}, set[int]),
    (frozenset({(1, "a")}), frozenset[tuple[int, str]]),
    ((1, "a"), tuple[int, str]),
    ((), tuple[()]),
    ((1, 2), tuple[int, ...]),
    ((1, (2,)), tuple[int, tuple[int]]),
    ([(1, "a")], list[tuple[int, str]]),
    (Number(3), Number),
    (3, Annotated[int, ["not hashable"]]),
    ([3], Annotated[list[int], ["not hashable"]]),
    ("b", Literal["a", "b"]),
    ([1, "1", Colour.RED], list[Literal[1, "1", Colour.RED]]),
    (Model(price=Decimal("1.10"), at=NOW, tags={1}), Model),
    ({"a": [Model(price=Decimal(1))]}, dict[str, list[Model]]),
    (Strict(at=NOW, id=UUID(int=7)), Strict),
    (Aliased(theNumber=7), Aliased),
    (SagaMessage(id="o-1"), SagaMessage | Model),
    (None, int | None),
]


@pytest.mark.parametrize(("value", "kind"), BACK, ids=numbered(BACK))
def test_there_and_back(value, kind):
    back = CODECS.decode(CODECS.encode(value), kind)
    assert back == value
    assert type(back) is type(value) or isinstance(value, Text | int)
    assert math.copysign(1, back) == math.copysign(1, value) if isinstance(value, float) else True


DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
LOOP: list[Any] = []
LOOP.append(LOOP)

NOT_WRITTEN: list[Any] = [
    math.nan,
    {"a": [math.inf]},
    [-math.inf],
    Decimal("NaN"),
    Decimal("-Infinity"),
    "\ud800",
    {"a": "\ud800"},
    {"\ud800": 1},
    DEEP,
    LOOP,
    10**5_000,
    {1: "a"},
    {True: "a"},
    {None: "a"},
    {1.5: "a"},
    {"a": {UUID(int=7): 1}},
    range(3),
    1j,
    memoryview(array("i", [1])),
    Holder([Derived()]),
    Holding(item=More()),
    Hidden(secret=SecretStr("x")),
    Plain(x=math.nan),
    Base,
    Payload(text="x"),
    Payload(content_type=JSON, omitted_bytes=7),
]


@pytest.mark.parametrize("value", NOT_WRITTEN, ids=numbered(NOT_WRITTEN))
def test_what_would_come_back_as_something_else_is_not_written(value):
    with pytest.raises(CodecError):
        CODECS.encode(value)


NOT_AS_THAT: list[tuple[Any, Any]] = [
    (2**53 + 1, float),
    (10**400, float),
    (True, int),
    (1, bool),
    (1.0, int),
    (True, float),
    (True, Decimal),
    ([1], Decimal),
    (True, Size),
    (1.0, Level),
    (3, Level),
    (True, Literal[1, 2]),
    (NOW, date),
    ("2026-01-02", timedelta),
    ("P", timedelta),
    ("-P1DT", timedelta),
    ({"1": "a"}, dict[int, str]),
    ([1, 1], set[int]),
    ([[1]], set[list[int]]),
    (OrderedDict(b=1, a=2), OrderedDict),
    (Text("x"), Text),
    ([Base(1), Same(1)], list[Base | Same]),
    ([Size.NOTHING], list[Size | None]),
    (["7"], list[str | bytes | Decimal]),
    (Twice(3), Twice),
    ([Twice(3)], list[Twice | Base]),
    (Scaled(3, 2), Scaled | Base),
    ({"a": 1, "x": 2}, Base | Tidy),
    (Scaled(3, 2), Scaled),
    ({"a": 1}, Row),
    ([1, "2", 3], Point),
    ({"at": "soon", "id": 7}, Strict),
    ("x", type),
    ("x", "Order"),
    ({"x": 1}, object()),
    (b"x", str | None),
    (SagaMessage(id="o-1"), Model | str),
]


@pytest.mark.parametrize(("value", "kind"), NOT_AS_THAT, ids=numbered(NOT_AS_THAT))
def test_what_is_not_of_the_kind_is_not_read_as_it(value, kind):
    payload = CODECS.encode(value)
    with pytest.raises(CodecError):
        CODECS.decode(payload, kind)


def sent(text: str, content_type: str = JSON) -> Payload:
    return Payload(content_type=content_type, text=text)


NOT_READ: list[tuple[Payload, Any]] = [
    *(
        (sent(text), None)
        for text in ("NaN", "[Infinity]", "-Infinity", "1e400", '{"a":1,"a":2}', r'"\ud800"', "[" * 9)
    ),
    (sent(r'{"\uDC00": 1}'), dict),
    (sent("[" * 100_000 + "]" * 100_000), None),
    (sent("[" * 100_000 + "]" * 100_000), list),
    (sent('{"value":1,"child":' * 50_000 + "null" + "}" * 50_000), Node),
    (sent("9" * 5_000), int),
    (sent("[1e400]"), list[Decimal | str | float]),
    (sent('{"a": 1e400, "b": 1.5}'), dict[str, Any] | Decimal),
    (sent("x", PROTOBUF), SagaMessage),
    (sent("x", f"{PROTOBUF}; type=swit_saga.v1.Saga"), SagaMessage),
    (Payload(content_type="Text/Plain", binary=b"\xff"), str),
    (Payload(content_type="text/plain; charset=latin-1", binary="ü".encode("latin-1")), str),
    (sent("{}", 'application/json; charset="utf-16"'), None),
    (Payload(text="x"), None),
    (Payload(content_type=JSON, omitted_bytes=7), None),
    (Payload(content_type=TEXT, omitted_bytes=7), Any),
]


@pytest.mark.parametrize(("payload", "kind"), NOT_READ, ids=numbered(NOT_READ))
def test_what_is_no_value_is_not_read(payload, kind):
    if payload.text == "[1e400]":
        assert CODECS.decode(payload, kind) == [Decimal("1e400")], "a float it is not"
        return
    with pytest.raises(CodecError):
        CODECS.decode(payload, kind)


READ: list[tuple[Payload, Any, Any]] = [
    (sent("1.1"), Decimal, Decimal("1.1")),
    (sent("[1.10000000000000000001, 7]"), list[Decimal], [Decimal("1.10000000000000000001"), Decimal(7)]),
    (sent('{"price": 1.10000000000000000001}'), Model, Model(price=Decimal("1.10000000000000000001"))),
    (sent('{"x": 1.5, "y": [2.5]}'), dict[str, Any] | Decimal, {"x": 1.5, "y": [2.5]}),
    (sent("1e400"), Decimal, Decimal("1e400")),
    (sent('{"name": " Bob "}'), Tidy, Tidy("bob")),
    (sent("{}", "Application/JSON; Charset=UTF-8"), dict, {}),
    (sent("{}", "application/problem+JSON"), dict, {}),
    (sent("x", 'TEXT/PLAIN; charset="utf-8"'), str, "x"),
    (Payload(content_type="Text/Plain", binary="ü".encode()), None, "ü"),
    (Payload(content_type="Application/Octet-Stream", binary=b"x"), None, b"x"),
    (Payload(content_type="Application/X-Protobuf; Type=swit_saga.v1.Saga", binary=b""), SagaMessage, SagaMessage()),
    (Payload(content_type=BYTES), bytes, b""),
    (sent(r'"\ud83d\ude00"'), str, "\N{GRINNING FACE}"),
    (sent("null"), bytes | None, None),
    (sent("abc", TEXT), bytes | None, b"abc"),
    (sent('"P1DT2H3M4.5S"'), timedelta, timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
]


@pytest.mark.parametrize(("payload", "kind", "value"), READ, ids=numbered(READ))
def test_what_others_write_is_read_exactly(payload, kind, value):
    back = CODECS.decode(payload, kind)
    assert back == value
    assert type(back) is type(value)
    assert not isinstance(back, dict) or all(type(v) in (int, float, list) for v in back.values())
