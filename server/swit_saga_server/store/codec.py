"""The model as bytes: msgpack of positional arrays behind a format number, the same in every store.

A dataclass becomes an array of its fields in order, an enum the index of its member, a known event type its index in
``EventType``; times and spans are integers. Empty values at an array's end (0, "", None, False, an empty mapping) are
left out where the field's default is the same, so that a record costs what it says. Other defaults are written out,
so that a later change of a default does not change what was stored.

Evolution: fields and enum members are only ever *appended*, a new field with an empty default; a reader gives what a
record does not have its default. Anything else needs a new ``FORMAT``. ``tests/unit/store/test_codec.py`` holds bytes
written by format 1 and fails when they read differently.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgpack

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.model import PROGRESS, Saga, StepState

FORMAT = 1
T = TypeVar("T")
Convert = Callable[[Any], Any]

_APART = {(Saga, "steps")}
"""Kept apart from its header, so that a transition writes only the steps it changed."""

_OPEN_ENUMS: Mapping[tuple[type, str], type[StrEnum]] = {(SagaEvent, "type"): EventType}
"""Strings that are usually, but not always, a member of an enum."""


_NEVER = object()


class UnknownFormat(ValueError):
    """The record was written by a newer version of this software."""


def pack_header(saga: Saga) -> bytes:
    """A saga without its steps."""
    return _pack(saga)


def pack_progress(saga: Saga) -> bytes:
    """What transitions change of a header: far less than all of it."""
    return pack((FORMAT, _progress().flat(saga)))


def unpack_saga(header: bytes, progress: bytes, steps: tuple[StepState, ...]) -> Saga:
    """A saga from its header as once written, its latest progress, which goes before it, and its steps in order.

    Raises:
        UnknownFormat: Written by a newer version; of all ``unpack`` functions.
    """
    made = _record(Saga).fields_of(_items(header))
    # What a record does not have is empty: also if it was not, once.
    made |= _progress().defaults | _progress().fields_of(_items(progress))
    return Saga(steps=steps, **made)


def pack_step(step: StepState) -> bytes:
    """One step."""
    return _pack(step)


def unpack_step(data: bytes) -> StepState:
    """The reverse of ``pack_step``."""
    return _unpack(StepState, data)


def pack_event(event: SagaEvent) -> bytes:
    """One event."""
    return _pack(event)


def unpack_event(data: bytes) -> SagaEvent:
    """The reverse of ``pack_event``."""
    return _unpack(SagaEvent, data)


def pack_events(events: Sequence[SagaEvent]) -> bytes:
    """The events of one transition, together."""
    flat = _record(SagaEvent).flat
    return pack((FORMAT, [flat(event) for event in events]))


def unpack_events(data: bytes) -> list[SagaEvent]:
    """The reverse of ``pack_events``."""
    read = _record(SagaEvent).read
    return [read(items) for items in _items(data)]


def pack_error(error: SagaError) -> bytes:
    """One error."""
    return _pack(error)


def unpack_error(data: bytes) -> SagaError:
    """The reverse of ``pack_error``."""
    return _unpack(SagaError, data)


def pack_record(value: Any) -> bytes:
    """Any value of the model."""
    return _pack(value)


def unpack_record(kind: type[T], data: bytes) -> T:
    """The reverse of ``pack_record``."""
    return _unpack(kind, data)


def pack_definition(definition: Definition) -> bytes:
    """One definition. Not canonical; content is compared by ``digest``."""
    return _pack(definition)


def unpack_definition(data: bytes) -> Definition:
    """The reverse of ``pack_definition``."""
    return _unpack(Definition, data)


# ---- how a class is written and read, worked out once from its fields ------------------------------------------------


class _Record:
    """One dataclass's layout.

    Attributes:
        flat: Makes the array of a value.
        defaults: Of the fields that have one.
    """

    def __init__(self, kind: Any, names: Sequence[str] = ()) -> None:
        """Of the fields of these names, in this order; of all of them unless it is said."""
        self.kind = kind
        hints = get_type_hints(kind)
        kept = [f for f in fields(kind) if (kind, f.name) not in _APART]
        if names:
            kept = [f for name in names for f in kept if f.name == name]
        self.defaults = {f.name: f.default for f in kept if f.default is not MISSING}
        self.names = [f.name for f in kept]
        # Left out only if it is the default, and that is empty; a required field is never left out.
        empty = [{} if f.default_factory is not MISSING else _or_never(f.default) for f in kept]
        converters = [
            _open_enum(_OPEN_ENUMS[kind, f.name]) if (kind, f.name) in _OPEN_ENUMS else _converters(hints[f.name])
            for f in kept
        ]
        self.flat = _writer(self.names, empty, [out for out, _ in converters])
        self._in = [(i, back) for i, (_, back) in enumerate(converters) if back is not None]

    def fields_of(self, items: list[Any]) -> dict[str, Any]:
        length = len(items)
        if length > len(self.names):
            raise UnknownFormat(f"{self.kind.__name__} has {length} fields; this version knows {len(self.names)}")
        for i, convert in self._in:
            if i >= length:
                break
            items[i] = convert(items[i])
        return dict(zip(self.names, items, strict=False))

    def read(self, items: list[Any]) -> Any:
        return self.kind(**self.fields_of(items))


def _writer(names: Sequence[str], empty: Sequence[Any], converters: Sequence[Convert | None]) -> Convert:
    """``flat``, written out field by field, as dataclasses makes ``__init__``: loops take twice as long.

    It reads, for fields a, b and c of which the last may be left out, and b is converted::

        def flat(value):
            if value.c != empty_c: return [value.a, convert_b(value.b), value.c]
            return [value.a, convert_b(value.b)]
    """
    scope = {f"empty_{n}": default for n, default in zip(names, empty, strict=True)}
    scope |= {f"convert_{n}": convert for n, convert in zip(names, converters, strict=True)}
    items = [f"convert_{n}(value.{n})" if scope[f"convert_{n}"] else f"value.{n}" for n in names]
    lines = ["def flat(value):"]
    while items and empty[len(items) - 1] is not _NEVER:
        name = names[len(items) - 1]
        lines.append(f"    if value.{name} != empty_{name}: return [{', '.join(items)}]")
        items.pop()
    lines.append(f"    return [{', '.join(items)}]")
    exec("\n".join(lines), scope)
    flat: Convert = scope["flat"]
    return flat


def _or_never(default: Any) -> Any:
    """The default, if it is empty; else what equals nothing. (0, "" and False may stand for it, None only for None.)"""
    return _NEVER if default is MISSING or default else default


@cache
def _record(kind: type) -> _Record:
    return _Record(kind)


@cache
def _progress() -> _Record:
    return _Record(Saga, PROGRESS)


def _converters(hint: Any) -> tuple[Convert | None, Convert | None]:
    """How a field of this type is written and read; None where msgpack does it by itself."""
    if get_origin(hint) in (Union, UnionType):
        some = [a for a in get_args(hint) if a is not NoneType]
        if len(some) != 1:
            return _one_of(some) if all(is_dataclass(kind) for kind in some) else (None, None)
        out, back = _converters(some[0])
        return out and _unless_none(out), back and _unless_none(back)
    if get_origin(hint) is tuple:
        out, back = _converters(get_args(hint)[0])
        return (
            (lambda values: [out(v) for v in values]) if out else None,
            (lambda items: tuple([back(i) for i in items])) if back else tuple,
        )
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return _nested(hint), (lambda items: _record(hint).read(items))
    return None, None


def _one_of(kinds: Sequence[Any]) -> tuple[Convert, Convert]:
    """A value of one of several classes: which of them, and its fields."""
    index = {kind: i for i, kind in enumerate(kinds)}

    def read(items: list[Any]) -> Any:
        number, fields_ = items
        if number >= len(kinds):
            raise UnknownFormat(f"one of {len(kinds)} classes is number {number}")
        return _record(kinds[number]).read(fields_)

    def write(value: Any) -> Any:
        number = index[type(value)]
        return number, _record(kinds[number]).flat(value)

    return write, read


def _nested(kind: type) -> Convert:
    """Looked up late, because a class may contain itself, and once."""
    flat: Convert | None = None

    def convert(value: Any) -> Any:
        nonlocal flat
        if flat is None:
            flat = _record(kind).flat
        return flat(value)

    return convert


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _enum(kind: type[StrEnum]) -> tuple[Convert, Convert]:
    members = list(kind)

    def member(index: int) -> StrEnum:
        if index >= len(members):
            raise UnknownFormat(f"{kind.__name__} has no member {index}; this version knows {len(members)}")
        return members[index]

    return {m: i for i, m in enumerate(members)}.__getitem__, member


def _open_enum(kind: type[StrEnum]) -> tuple[Convert, Convert]:
    index = {m.value: i for i, m in enumerate(kind)}
    _, member = _enum(kind)
    return (lambda value: index.get(value, value)), (lambda v: member(v).value if isinstance(v, int) else v)


def _pack(value: Any) -> bytes:
    record = _record(type(value))  # type: ignore[arg-type] # classes are hashable
    packed: bytes = _local.pack((FORMAT, record.flat(value)))
    return packed


def pack(value: Any) -> bytes:
    """Plain values as bytes."""
    packed: bytes = _local.pack(value)
    return packed


class _Local(threading.local):
    """A packer for each thread, kept: making one costs as much as packing a step."""

    def __init__(self) -> None:
        self.pack: Callable[[Any], bytes] = msgpack.Packer(default=_plain).pack


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be stored; use JSON-like values")


_local = _Local()


def _unpack(kind: type[T], data: bytes) -> T:
    value: T = _record(kind).read(_items(data))  # type: ignore[arg-type] # classes are hashable
    return value


def _items(data: bytes) -> list[Any]:
    version, items = msgpack.unpackb(data, strict_map_key=False)
    if version != FORMAT:
        raise UnknownFormat(f"record format {version}; this version reads {FORMAT}")
    found: list[Any] = items
    return found
