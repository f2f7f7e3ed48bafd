"""The model as bytes: msgpack of positional arrays, the same in every store.

Evolution: fields are only ever appended, and a missing tail takes the class's defaults, so a new reader takes old
records. Changing or removing a field needs a new ``FORMAT``. Times and spans are integers, enums their values.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgpack

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga, StepState

FORMAT = 1
T = TypeVar("T")

# The steps of a saga are kept apart from its header, so that a transition writes only those it changed.
_APART = {(Saga, "steps")}


class UnknownFormat(ValueError):
    """The record was written by a newer version."""


def _flatten(value: Any) -> Any:
    """A value as msgpack takes it; dataclasses become arrays in field order, trailing defaults left out."""
    if is_dataclass(value) and not isinstance(value, type):
        names, defaults = _layout(type(value))
        items = [getattr(value, name) for name in names]
        while items and items[-1] == defaults[len(items) - 1]:
            items.pop()
        return [_flatten(item) for item in items]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [_flatten(item) for item in value]
    if isinstance(value, Mapping):
        return {k: _flatten(v) for k, v in value.items()}
    return value


@cache
def _layout(kind: type) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    names, defaults = [], []
    for f in fields(kind):
        if (kind, f.name) in _APART:
            continue
        names.append(f.name)
        defaults.append(f.default_factory() if f.default_factory is not MISSING else f.default)
    return tuple(names), tuple(defaults)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """How to read a value of a type back."""
    if get_origin(kind) in (Union, UnionType):
        some = [a for a in get_args(kind) if a is not type(None)]
        if len(some) != 1:
            return _same  # str | bytes and the like: msgpack keeps them apart.
        inner = _reader(some[0])
        return _same if inner is _same else lambda v: None if v is None else inner(v)
    if get_origin(kind) is tuple:
        inner = _reader(get_args(kind)[0])
        return tuple if inner is _same else lambda v: tuple(map(inner, v))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if isinstance(kind, type) and is_dataclass(kind):
        return _record_reader(kind)
    return _same


def _same(value: Any) -> Any:
    return value


@cache
def _record_reader(kind: Any) -> Callable[[Any], Any]:
    names, _ = _layout(kind)
    readers: list[Callable[[Any], Any]] = []

    def read(items: Any) -> Any:
        if not readers:  # Late, because a class may contain itself.
            hints = get_type_hints(kind)
            readers.extend(_reader(hints[name]) for name in names)
        if len(items) > len(names):
            raise UnknownFormat(f"{kind.__name__} has {len(items)} fields; this version knows {len(names)}")
        return kind(**{n: r(v) for n, r, v in zip(names, readers, items, strict=False)})

    return read


def pack(value: Any) -> bytes:
    """A dataclass of the core as bytes. ``Saga.steps`` is left out; see ``pack_step``."""
    return bytes(msgpack.packb([FORMAT, _flatten(value)]))


def unpack(kind: type[T], data: bytes) -> T:
    """The reverse of ``pack``.

    Raises:
        UnknownFormat: Written by a newer version.
    """
    version, items = msgpack.unpackb(data, strict_map_key=False)
    if version != FORMAT:
        raise UnknownFormat(f"record format {version}; this version reads {FORMAT}")
    found: T = _record_reader(kind)(items)  # type: ignore[arg-type] # types are hashable
    return found


def pack_header(saga: Saga) -> bytes:
    """A saga without its steps."""
    return pack(saga)


def unpack_saga(header: bytes, steps: tuple[StepState, ...]) -> Saga:
    """A saga from its header and its steps in order."""
    version, items = msgpack.unpackb(header, strict_map_key=False)
    if version != FORMAT:
        raise UnknownFormat(f"record format {version}; this version reads {FORMAT}")
    names, _ = _layout(Saga)
    if len(items) > len(names):
        raise UnknownFormat(f"Saga has {len(items)} fields; this version knows {len(names)}")
    return Saga(steps=steps, **{n: r(v) for n, r, v in zip(names, _saga_readers(), items, strict=False)})


@cache
def _saga_readers() -> tuple[Callable[[Any], Any], ...]:
    hints = get_type_hints(Saga)
    return tuple(_reader(hints[name]) for name in _layout(Saga)[0])


def pack_step(step: StepState) -> bytes:
    """One step."""
    return pack(step)


def unpack_step(data: bytes) -> StepState:
    """The reverse of ``pack_step``."""
    return unpack(StepState, data)


def pack_event(event: SagaEvent) -> bytes:
    """One event."""
    return pack(event)


def unpack_event(data: bytes) -> SagaEvent:
    """The reverse of ``pack_event``."""
    return unpack(SagaEvent, data)


def pack_definition(definition: Definition) -> bytes:
    """One definition. Canonical: equal definitions give equal bytes."""
    return bytes(msgpack.packb([FORMAT, _sorted(_flatten(definition))]))


def unpack_definition(data: bytes) -> Definition:
    """The reverse of ``pack_definition``."""
    return unpack(Definition, data)


def digest(value: Any) -> str:
    """SHA-256 over a canonical encoding of any value made of core dataclasses; equal values, equal digests."""
    return hashlib.sha256(msgpack.packb([FORMAT, _sorted(_flatten(value))])).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    if isinstance(value, list):
        return [_sorted(v) for v in value]
    return value
