"""JSON values as dataclasses, pydantic models and the like, by their type annotations, and back.

pydantic is used where a model comes along, never imported.
"""

import dataclasses
import functools
import types
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

from swit_saga.errors import CodecError

_TEXTUAL: dict[type, Any] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    UUID: UUID,
    Decimal: Decimal,
}
"""Types written as text, and how each is read."""
_SCALARS = (str, int, float, bool)


def required(kind: Any) -> Any:
    """``Order`` for ``Order | None``: there is a value to be read."""
    arguments = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else ()
    some = [a for a in arguments if a is not type(None)]
    return some[0] if type(None) in arguments and len(some) == 1 else kind


def to_plain(value: Any) -> Any:
    """What ``json.dumps`` is to write in place of ``value``.

    Raises:
        TypeError: There is no JSON for it.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)  # Equal sets are equal bytes.
    raise TypeError(f"{type(value).__name__} is not a JSON value, dataclass, pydantic model or protobuf message")


def from_plain(value: Any, kind: Any) -> Any:
    """``value``, as ``json.loads`` gives it, as ``kind``. A kind of no use here (a union, a Literal) changes nothing.

    Raises:
        CodecError: It is not one.
    """
    if type(value) is kind and kind in _SCALARS:
        return value
    if kind is None or kind is Any or kind is object or (value is None and required(kind) is not kind):
        return value
    kind = required(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _as_dataclass(value, kind)
    validate = getattr(kind, "model_validate", None)
    if callable(validate):
        return _read(value, kind, validate)
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if is_typeddict(origin):  # isinstance refuses it.
        origin, arguments = dict, ()
    if not isinstance(origin, type):
        return value
    if origin in _TEXTUAL or issubclass(origin, Enum):
        return _read(value, kind, _TEXTUAL.get(origin, origin))
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin in (list, tuple, set, frozenset) and isinstance(value, list):
        return _as_collection(value, origin, arguments)
    if not isinstance(value, origin) or (isinstance(value, bool) and origin is int):
        raise CodecError(f"expected {type_name(kind)}, got {type(value).__name__}")
    if isinstance(value, dict) and len(arguments) == 2:
        return {key: from_plain(item, arguments[1]) for key, item in value.items()}
    return value


def type_name(kind: Any) -> str:
    """For messages."""
    return getattr(kind, "__name__", str(kind))


def _read(value: Any, kind: Any, read: Any) -> Any:
    try:
        return read(value)
    except (ValueError, TypeError, InvalidOperation) as invalid:
        raise CodecError(f"not a {type_name(kind)}: {invalid}") from invalid


def _as_collection(value: list[Any], origin: type, arguments: tuple[Any, ...]) -> Any:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            raise CodecError(f"expected {len(arguments)} items, got {len(value)}")
        return tuple(from_plain(item, kind) for item, kind in zip(value, arguments, strict=True))
    kind = arguments[0] if arguments else None
    return origin(from_plain(item, kind) for item in value)


def _as_dataclass(value: Any, kind: type) -> Any:
    if not isinstance(value, dict):
        raise CodecError(f"expected {type_name(kind)}, got {type(value).__name__}")
    kinds = _fields(kind)
    # Fields the reader does not know are left out, so that writers can add some first.
    given = {name: from_plain(item, kinds[name]) for name, item in value.items() if name in kinds}
    try:
        return kind(**given)
    except (TypeError, ValueError) as invalid:  # A field is missing, or its __post_init__ refuses.
        raise CodecError(f"not a {type_name(kind)}: {invalid}") from invalid


@functools.lru_cache(maxsize=1024)
def _fields(kind: type) -> dict[str, Any]:
    """What a dataclass is made of, by name. Kept: annotations take longer to resolve than a small value to read."""
    hints = get_type_hints(kind)
    return {f.name: hints.get(f.name) for f in dataclasses.fields(kind) if f.init}
