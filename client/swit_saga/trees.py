"""Metadata and labels as they are sent: what cannot be sent as it is is refused, naming where it lies."""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from swit_saga.limits import MAX_TREE_DEPTH


def tree(values: Mapping[str, Any], where: str = "metadata") -> Struct:
    """JSON-like values as they are sent.

    Args:
        values: Text, numbers, booleans, None, and mappings and lists of these.
        where: What they are, for messages.

    Raises:
        TypeError: Something in it is of no such type; the message says where.
        ValueError: Something in it cannot be held: a number that is not finite, a whole one that a float does not hold
            exactly, text that is no Unicode, or what lies too deep.
    """
    return _struct(values, where, "", 1)


def texts(values: Mapping[str, str], where: str) -> Mapping[str, str]:
    """``values`` themselves, if keys and values are text that can be sent.

    Raises:
        TypeError, ValueError: As ``tree``.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{where} must be a mapping, not {type(values).__name__}")
    for key, value in values.items():
        _text(_key(key, where), where)
        if not isinstance(value, str):
            raise TypeError(f"{where}[{key}] must be text, not {type(value).__name__}")
        _text(value, f"{where}[{key}]")
    return values


def _struct(values: Any, where: str, path: str, depth: int) -> Struct:
    if not isinstance(values, Mapping):
        raise TypeError(f"{_at(where, path)} must be a mapping, not {type(values).__name__}")
    _not_too_deep(where, path, depth)
    made = Struct()
    for key, value in values.items():
        _text(_key(key, _at(where, path)), _at(where, path))
        made.fields[key].CopyFrom(_value(value, where, f"{path}.{key}" if path else key, depth))
    return made


def _value(value: Any, where: str, path: str, depth: int) -> Value:
    match value:
        case None:
            return Value(null_value=0)  # type: ignore[arg-type] # NULL_VALUE
        case bool():
            return Value(bool_value=value)
        case str():
            return Value(string_value=_text(value, _at(where, path)))
        case int() | float():
            return Value(number_value=_number(value, _at(where, path)))
        case Mapping():
            return Value(struct_value=_struct(value, where, path, depth + 1))
        case list() | tuple():
            _not_too_deep(where, path, depth + 1)
            items = [_value(item, where, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
            return Value(list_value=ListValue(values=items))
    raise TypeError(f"{_at(where, path)} is a {type(value).__name__}; it must be a JSON-like value")


def _number(value: float, at: str) -> float:
    if isinstance(value, int):
        try:
            exact = int(float(value)) == value
        except OverflowError:
            exact = False
        if not exact:
            raise ValueError(f"{at} is a whole number that a float does not hold exactly; give it as text")
    elif not math.isfinite(value):
        raise ValueError(f"{at} is {value}; it must be a finite number")
    return float(value)


def _text(value: str, at: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{at}: {value!r} is no Unicode text: {error.reason}") from error
    return value


def _key(key: Any, at: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{at}: the key {key!r} must be text, not {type(key).__name__}")
    return key


def _not_too_deep(where: str, path: str, depth: int) -> None:
    if depth > MAX_TREE_DEPTH:
        raise ValueError(
            f"{where} is deeper than {MAX_TREE_DEPTH} mappings and lists, or contains itself: {path[:60]}..."
        )


def _at(where: str, path: str) -> str:
    return f"{where}[{path}]" if path else where
