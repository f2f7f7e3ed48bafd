"""Definitions as people write them in YAML: the protobuf's field names, durations such as ``30s``, lower-case enums."""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from swit_saga.durations import parse_duration
from swit_saga_server.core import limits

DEEPEST = limits.MAX_TREE_DEPTH
"""Of values without a shape of their own, such as metadata."""
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def converted(value: Any, message: Descriptor, where: str) -> Any:
    """YAML's values as protobuf's JSON has them.

    Args:
        value: What the YAML says.
        message: What it is to become.
        where: The path to it, for messages; empty for the whole.

    Raises:
        ValueError: With the path, what is wrong, and the value.
    """
    if message.full_name == "google.protobuf.Struct":
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: must be a mapping, not {_told(value)}")
        return _free(value, where, DEEPEST)
    if message.full_name == "google.protobuf.Duration":
        return _duration(value, where)
    if not isinstance(value, Mapping):
        raise ValueError(_at(where, f"must be a mapping, not {_told(value)}"))
    made = {}
    for key, item in value.items():
        field = message.fields_by_name.get(str(key))
        if field is None:
            known = ", ".join(f.name for f in message.fields)
            raise ValueError(_at(where, f"there is no {key!r}; known are {known}"))
        at = f"{where}.{key}" if where else str(key)
        if item is None and field.message_type is None:
            continue  # Left empty is left out.
        if not field.is_repeated:
            made[key] = _field(item, field, at)
        elif isinstance(item, list):
            made[key] = [_field(one, field, f"{at}[{i}]") for i, one in enumerate(item)]
        else:
            raise ValueError(f"{at}: must be a list, not {_told(item)}")
    return made


def _field(value: Any, field: Any, where: str) -> Any:
    if field.message_type is not None:
        return converted(value, field.message_type, where)
    if field.enum_type is not None:
        return _enum(value, field.enum_type, where)
    if field.cpp_type in INTEGERS:
        low, high = INTEGERS[field.cpp_type]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{where}: must be a whole number from {low} to {high}, not {_told(value)}")
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise ValueError(f"{where}: must be true or false, not {_told(value)}")
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if not isinstance(value, str):
            raise ValueError(f"{where}: must be text, not {_told(value)}; put it in quotes")
    else:
        _number(value, where)
    if value == 0 and not isinstance(value, bool | str) and not field.has_presence:
        raise ValueError(f"{where}: 0 stands for the default; leave it out, or give 1 or more")
    return value


def _enum(value: Any, kind: Any, where: str) -> str:
    prefix = kind.values[0].name.removesuffix("UNSPECIFIED")
    known = [v.name.removeprefix(prefix).lower() for v in kind.values[1:]]
    if not isinstance(value, str) or value.lower() not in known:
        raise ValueError(f"{where}: {_told(value)} is not one of {', '.join(known)}")
    return str(prefix + value.upper())


def _duration(value: Any, where: str) -> str:
    try:
        span = parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    microseconds = span // type(span)(microseconds=1)
    if microseconds > limits.MAX_SPAN:
        raise ValueError(f"{where}: {value!r} is longer than 100 years")
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06}s"


def _number(value: Any, where: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{where}: must be a number, not {_told(value)}")
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"{where}: {_told(value)} is too large a number")


def _free(value: Any, where: str, depth: int) -> Any:
    """JSON-like values; whole numbers among them are fractions to protobuf, which must not change them."""
    if depth == 0:
        raise ValueError(f"{where}: lies too deeply within itself; {DEEPEST} levels are the most")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where}: the key {key!r} is not text; put it in quotes")
        return {k: _free(v, f"{where}.{k}", depth - 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_free(v, f"{where}[{i}]", depth - 1) for i, v in enumerate(value)]
    if value is not None and not isinstance(value, bool | str):
        _number(value, where)
        if isinstance(value, int) and int(float(value)) != value:
            raise ValueError(f"{where}: {_told(value)} is too large to be kept exactly; put it in quotes")
    return value


def _at(where: str, what: str) -> str:
    return f"{where}: {what}" if where else what


def _told(value: Any) -> str:
    """A value, as short as a message needs it."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    try:
        told = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    except ValueError:  # More digits than Python writes.
        return "a very long number"
    return told if len(told) <= 60 else f"{told[:57]}..."
