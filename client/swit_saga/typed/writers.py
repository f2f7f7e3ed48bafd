"""Values as what JSON has: dicts with text as keys, lists, text, finite numbers, booleans, None; nothing else."""

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from google.protobuf.message import Message

from swit_saga.errors import CodecError
from swit_saga.typed.kinds import fields_of, is_model, is_named_tuple, is_record, kept, parts_mentioned
from swit_saga.typed.texts import way_of

_AS_IS = frozenset({str, int, bool, type(None)})
_NONE: frozenset[Any] = frozenset()


def to_json(value: Any) -> str:
    """JSON text. Keys are sorted, so that equal values are equal text.

    Raises:
        CodecError, TypeError, ValueError, RecursionError: There is none; and whatever the value's own methods raise.
    """
    return _dumped(plain(value))


def plain(value: Any, expected: frozenset[Any] = _NONE) -> Any:
    """``value`` as JSON has it.

    Args:
        value: Anything.
        expected: Classes that its place is annotated with; one derived from them would be read back as less than it is.

    Raises:
        CodecError, TypeError, ValueError, RecursionError: As ``to_json``.
    """
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is list or kind is tuple:
        return [plain(item, expected) for item in value]
    if kind is dict:
        return {_key(key): plain(item, expected) for key, item in value.items()}
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"JSON has no {value}")
        return value
    return _other(value, kind, expected)


def parts(value: object) -> object:
    """What a dataclass, model or enum member is made of, one level deep; anything else as it is."""
    if issubclass(type(value), Enum):
        return value.value  # type: ignore[attr-defined]
    if is_record(type(value)):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}  # type: ignore[arg-type]
    if is_model(type(value)):
        return value.model_dump(mode="json")  # type: ignore[attr-defined]
    return value


def _other(value: Any, kind: type, expected: frozenset[Any]) -> Any:
    if issubclass(kind, Enum):
        return plain(value.value)
    if is_record(kind):
        _refuse_derived(kind, expected)
        within = _expected(kind)
        return {f.name: plain(getattr(value, f.name), within.get(f.name, _NONE)) for f in dataclasses.fields(value)}
    if callable(getattr(kind, "model_dump", None)):
        _refuse_derived(kind, expected)
        return _of_model(value, kind)
    way = way_of(kind)
    if way is not None:
        return way[0](value)
    if issubclass(kind, set | frozenset):
        return sorted(plain(item, expected) for item in value)  # Equal sets are equal bytes.
    if is_named_tuple(kind):
        _refuse_derived(kind, expected)
        within = _expected(kind)
        return [plain(item, within.get(name, _NONE)) for name, item in zip(kind._fields, value, strict=True)]  # type: ignore[attr-defined]
    if issubclass(kind, list | tuple):
        return [plain(item, expected) for item in value]
    if issubclass(kind, dict):
        return {_key(key): plain(item, expected) for key, item in value.items()}
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__add__(value, 0)
    if issubclass(kind, float):
        return plain(float.__add__(value, 0.0))
    if issubclass(kind, Message):
        raise TypeError(
            f"{kind.__name__} is a protobuf message, which is written by itself and not within something else"
        )
    raise TypeError(f"{kind.__name__} is not a JSON value, dataclass, pydantic model or protobuf message")


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    if isinstance(key, str):
        return str.__str__(key)
    raise TypeError(f"a key must be text, not {type(key).__name__}")


def _of_model(value: Any, kind: Any) -> Any:
    try:
        made = value.model_dump(mode="json", by_alias=True, round_trip=True)
    except TypeError:  # Not pydantic's, only like it.
        return plain(value.model_dump(mode="json"))
    parts_of = value.model_dump(by_alias=True, round_trip=True, serialize_as_any=True)
    made = _ordered(plain(made), parts_of)
    try:
        back = kind.model_validate_json(_dumped(made))
    except Exception:
        return made  # Whether it can be read is for the reader to say: it may expect another class.
    if back.model_dump(by_alias=True, round_trip=True, serialize_as_any=True) != parts_of:
        raise ValueError(f"as JSON, {kind.__name__} does not keep all that it holds")
    return made


def _ordered(made: Any, parts_of: Any) -> Any:
    """The same JSON, where lists made of sets have an order: equal sets are equal bytes."""
    if isinstance(parts_of, dict) and isinstance(made, dict):
        return {key: _ordered(item, parts_of.get(key)) for key, item in made.items()}
    if isinstance(made, list):
        if isinstance(parts_of, set | frozenset):
            return sorted(made, key=_dumped)
        if isinstance(parts_of, list | tuple):
            return [_ordered(item, part) for item, part in zip(made, parts_of, strict=False)]
    return made


def _refuse_derived(kind: type, expected: frozenset[Any]) -> None:
    if expected and kind not in expected:
        for base in kind.__mro__[1:]:
            if base in expected and base is not object:
                raise ValueError(f"{kind.__name__} where {base.__name__} is annotated would be read as {base.__name__}")


@kept
def _expected(kind: type) -> Mapping[str, frozenset[Any]]:
    """What the fields of a class are annotated with."""
    try:
        found = fields_of(kind)
    except CodecError:
        return {}  # The reader will say so, if it wants this class.
    return {name: parts_mentioned(annotation) for name, annotation in found.items()}


# Kept: making one costs more than writing a small value.
_dumped = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
