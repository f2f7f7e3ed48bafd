"""Every field of a message at its extremes, one at a time, generated from the descriptors."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

F = FieldDescriptor
MAX_DOUBLE = struct.unpack("<d", bytes.fromhex("ffffffffffffef7f"))[0]
INTEGERS: dict[int, tuple[int, ...]] = {
    F.TYPE_INT32: (-(2**31), -1, 0, 1, 2**31 - 1),
    F.TYPE_INT64: (-(2**63), -1, 0, 1, 2**63 - 1),
    F.TYPE_UINT32: (0, 1, 2**31, 2**32 - 1),
    F.TYPE_UINT64: (0, 1, 2**53 + 1, 2**63, 2**64 - 1),
}
DOUBLES = (0.0, -0.0, 1.0, -1.0, 1.5, 1000.0, 5e-324, 1e300, MAX_DOUBLE, float("inf"), float("-inf"), float("nan"))
STRINGS = (
    "",
    "x",
    " ",
    " x ",
    "a/b",
    "a\x00b",
    "a\nb\r",
    "\x1b[31mred\x1b[0m",
    "[red]x[/red]",
    "[/]",
    "\u202egnirts",
    "\u200b",
    "\ufeff",
    "\U0001f600" * 50,
    "é" * 100,
    "x" * 200,
    "x" * 201,
    "\U0001f600" * 200,
    "x" * 5_000,
    "x" * 500_000,
    "{}",
    "null",
    "%s %n {0}",
    "-1",
    "../../etc",
)
BYTES = (b"", b"\x00", b"\xff\xfe", b"x" * 500_000)
DURATIONS = tuple(
    Duration(seconds=s, nanos=n)
    for s, n in (
        (0, 0),
        (0, 1),
        (0, 999),
        (0, 1_000),
        (1, 0),
        (-1, 0),
        (0, -1),
        (1, -1),
        (-1, 1),
        (0, 2**31 - 1),
        (0, -(2**31)),
        (36_525 * 86_400, 0),
        (36_525 * 86_400 + 1, 0),
        (315_576_000_000, 0),
        (9_300_000_000_000, 0),
        (2**63 - 1, 999_999_999),
        (-(2**63), 0),
    )
)
TIMESTAMPS = tuple(
    Timestamp(seconds=s, nanos=n)
    for s, n in (
        (0, 0),
        (0, 1),
        (1, 0),
        (-1, 0),
        (1, -1),
        (0, 2**31 - 1),
        (-62_135_596_800, 0),
        (253_402_300_799, 999_999_999),
        (253_402_300_800, 0),
        (9_300_000_000_000, 0),
        (2**62, 0),
        (2**63 - 1, 0),
        (-(2**63), 0),
    )
)


def _nested(depth: int) -> Value:
    """A list within a list, and so on."""
    made = Value(null_value=0)  # type: ignore[arg-type]
    for _ in range(depth):
        made = Value(list_value=ListValue(values=[made]))
    return made


def _values() -> Iterator[Value]:
    yield Value()
    yield Value(null_value=0)  # type: ignore[arg-type]
    yield Value(bool_value=True)
    for number in DOUBLES:
        yield Value(number_value=number)
    yield Value(string_value="x" * 100_000)
    yield Value(string_value="[red]\x00")
    yield Value(list_value=ListValue())
    yield Value(struct_value=Struct())
    yield Value(struct_value=Struct(fields={"x": Value()}))
    yield Value(list_value=ListValue(values=[Value(number_value=float("nan"))]))
    for depth in (1, 15, 31, 45):
        yield _nested(depth)


VALUES = tuple(_values())
STRUCTS = (
    Struct(),
    *(Struct(fields={"k": v}) for v in VALUES),
    *(Struct(fields={key: Value(bool_value=True)}) for key in STRINGS),
    Struct(fields={f"k{n}": Value(number_value=n) for n in range(10_000)}),
)
WELL_KNOWN: dict[str, tuple[Any, ...]] = {
    "google.protobuf.Duration": DURATIONS,
    "google.protobuf.Timestamp": TIMESTAMPS,
    "google.protobuf.Struct": STRUCTS,
    "google.protobuf.Value": VALUES,
}
MAX_DEPTH = 4
"""Messages within messages: an error's cause has a cause."""


@dataclass(frozen=True)
class Extreme:
    """One variant of a message.

    Attributes:
        path: Of the field at its extreme, such as ``definition.steps[0].timeout``.
        shown: The value, for a person.
        message: The whole message: valid but for that field.
    """

    path: str
    shown: str
    message: Message

    def __str__(self) -> str:
        return f"{self.message.DESCRIPTOR.name}: {self.path} = {self.shown}"


def extremes(valid: Message) -> Iterator[Extreme]:
    """Every field of ``valid``, those of messages in it too, at each of its extremes, the others as they are.

    A message that ``valid`` does not have is only tried empty: with one field it would lack the others.
    """
    for path, shown, put in _places(valid, (), 0):
        made = type(valid)()
        made.CopyFrom(valid)
        put(made)
        yield Extreme(path, shown, made)


def scalars(field: FieldDescriptor) -> tuple[Any, ...]:
    """The extremes of a field that is no message of ours."""
    if field.message_type is not None:
        return WELL_KNOWN[field.message_type.full_name]
    if field.enum_type is not None:
        return (*(v.number for v in field.enum_type.values), -1, 99, 2**31 - 1)
    if field.type == F.TYPE_STRING:
        return STRINGS
    if field.type == F.TYPE_BYTES:
        return BYTES
    if field.type == F.TYPE_BOOL:
        return (False, True)
    if field.type == F.TYPE_DOUBLE:
        return DOUBLES
    return INTEGERS[field.type]


def _places(valid: Any, way: tuple[FieldDescriptor, ...], depth: int) -> Iterator[tuple[str, str, Any]]:
    for field in valid.DESCRIPTOR.fields:
        here = (*way, field)
        path = ".".join(f"{f.name}[0]" if f.is_repeated and f is not field else f.name for f in here)
        if _is_map(field):
            yield from _map(field, here, path)
        elif field.message_type is not None and field.message_type.full_name not in WELL_KNOWN:
            if depth < MAX_DEPTH:
                yield path, "empty", lambda m, here=here: _reach(m, here)
                held = getattr(valid, field.name)
                if len(held) if field.is_repeated else valid.HasField(field.name):
                    yield from _places(held[0] if field.is_repeated else held, here, depth + 1)
            if field.is_repeated:
                yield path, "2000 of them", lambda m, here=here: _many(m, here)
        else:
            for value in scalars(field):
                yield path, _shown(value), lambda m, here=here, value=value: _set(m, here, value)
            if field.is_repeated:
                some = scalars(field)[1]
                yield path, "2000 of them", lambda m, here=here, some=some: _set(m, here, *[some] * 2_000)


def _map(field: FieldDescriptor, here: tuple[FieldDescriptor, ...], path: str) -> Iterator[tuple[str, str, Any]]:
    assert field.message_type is not None
    value_field = field.message_type.fields_by_name["value"]
    if value_field.type != F.TYPE_STRING:
        return
    for text in STRINGS:
        yield f"{path}", f"key {_shown(text)}", lambda m, text=text: _put(m, here, {text: "x"})
        yield f"{path}", f"value {_shown(text)}", lambda m, text=text: _put(m, here, {"k": text})
    for count in (8, 9, 2_000):
        yield path, f"{count} of them", lambda m, count=count: _put(m, here, {f"k{n}": "v" for n in range(count)})


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _reach(message: Any, way: tuple[FieldDescriptor, ...]) -> Any:
    """The message at the end of the way, made if it is not there."""
    for field in way:
        held = getattr(message, field.name)
        if field.is_repeated:
            message = held[0] if len(held) else held.add()
        else:
            held.SetInParent()
            message = held
    return message


def _many(message: Any, way: tuple[FieldDescriptor, ...]) -> None:
    _reach(message, way)
    held = getattr(_reach(message, way[:-1]), way[-1].name)
    for _ in range(2_000):
        held.add().CopyFrom(held[0])


def _set(message: Any, way: tuple[FieldDescriptor, ...], *values: Any) -> None:
    parent, field = _reach(message, way[:-1]), way[-1]
    if field.is_repeated:
        held = getattr(parent, field.name)
        del held[:]
        held.extend(values)
    elif field.message_type is not None:
        getattr(parent, field.name).CopyFrom(values[0])
    else:
        setattr(parent, field.name, values[0])


def _put(message: Any, way: tuple[FieldDescriptor, ...], entries: dict[str, str]) -> None:
    held = getattr(_reach(message, way[:-1]), way[-1].name)
    held.clear()
    held.update(entries)


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, Message) else " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)})"
