"""Values, as JSON has them, as the kind that an annotation asks for.

A kind is compiled once into a function that reads it. What a kind cannot be read from is an error; where two kinds of a
union could have been written as the very same JSON, too.
"""

import json
import types
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, is_typeddict

from swit_saga.errors import CodecError
from swit_saga.given import article
from swit_saga.typed.collections import collection_reader
from swit_saga.typed.kinds import (
    NOTHING,
    Unclear,
    is_free,
    is_model,
    is_named_tuple,
    is_record,
    kept,
    stripped,
    type_name,
)
from swit_saga.typed.numbers import ExactFloat, as_double, with_decimals, without_exact
from swit_saga.typed.records import named_tuple_reader, record_reader, typed_dict_reader
from swit_saga.typed.texts import way_of
from swit_saga.typed.writers import plain, to_json

Reader: TypeAlias = Callable[[Any], Any]


@kept
def reader(kind: Any) -> Reader:
    """What reads ``kind``; it raises ``CodecError`` for a value that is none."""
    kind = stripped(kind)
    origin = get_origin(kind) or kind
    if is_free(kind):
        return without_exact
    if origin in (Union, types.UnionType):
        return _union(kind)
    if origin is Literal:
        return _one_of(kind, get_args(kind))
    found = collection_reader(kind, origin, get_args(kind), reader)
    if found is not None:
        return found
    if is_typeddict(origin):
        return typed_dict_reader(kind, reader)
    if not isinstance(origin, type):
        return _NothingReads(kind)
    if origin in _SCALARS:
        return _SCALARS[origin]
    if issubclass(origin, Enum):
        return _member(origin)
    if is_record(origin):
        return record_reader(kind, reader)
    if is_model(origin):
        return _model(kind)
    if is_named_tuple(origin):
        return named_tuple_reader(kind, reader)
    return _text(origin) if way_of(origin) else _NothingReads(kind)


def _expected(kind: Any, value: Any) -> CodecError:
    got = "float" if type(value) is ExactFloat else type(value).__name__
    return CodecError(f"expected {type_name(kind)}, got {got}")


class _NothingReads:
    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __call__(self, value: Any) -> Any:
        if isinstance(self._kind, str):
            raise CodecError(f"{self._kind!r:.80} is text, no type: write the type itself, such as dict")
        raise CodecError(f"expected {type_name(self._kind)}, got {type(value).__name__}; JSON cannot be read as such")


def is_readable(kind: Any) -> bool:
    """Whether there is JSON at all that can be read as ``kind``, its parts left aside."""
    return not isinstance(reader(kind), _NothingReads)


# ---- scalars ---------------------------------------------------------------------------------------------------------


def _exactly(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise _expected(kind, value)

    return read


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is ExactFloat:
        return as_double(value)
    if type(value) is int:
        try:
            number = float(value)
        except OverflowError as too_large:
            raise CodecError("a whole number is too large for a float") from too_large
        if int(number) == value:
            return number
        raise CodecError("a whole number has more digits than a float")
    raise _expected(float, value)


_SCALARS: Mapping[Any, Reader] = {
    **{kind: _exactly(kind) for kind in (str, int, bool, NOTHING)},
    float: _float,
}


def _text(kind: Any) -> Reader:
    way = way_of(kind)
    assert way is not None
    read_text, is_number = way[1], issubclass(kind, Decimal)

    def read(value: Any) -> Any:
        if type(value) is not str:
            if not (is_number and type(value) in (int, float, ExactFloat)):
                raise CodecError(f"not {article(type_name(kind))}: expected text, got {type(value).__name__}")
            value = value.written if type(value) is ExactFloat else repr(value)
        try:
            return read_text(kind, value)
        except Exception as invalid:  # Each has errors of its own.
            raise CodecError(f"not {article(type_name(kind))}: {invalid}") from invalid

    return read


# ---- one of several --------------------------------------------------------------------------------------------------


def _one_of(kind: Any, members: tuple[Any, ...]) -> Reader:
    by_text: dict[str, list[Any]] = {}
    for member in members:
        try:
            by_text.setdefault(to_json(member), []).append(member)
        except Exception:  # It has no JSON, so that nothing is read as it.
            continue

    def read(value: Any) -> Any:
        found = by_text.get(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise CodecError(f"not {article(type_name(kind))}: several have this value")
        raise CodecError(f"not {article(type_name(kind))}: no such value")

    return read


def _member(kind: Any) -> Reader:
    known = _one_of(kind, tuple(kind))
    # Flags put together, and what a class makes of values it does not list.
    is_open = issubclass(kind, Flag) or "_missing_" in {n for c in kind.__mro__ if c not in _ENUMS for n in c.__dict__}

    def read(value: Any) -> Any:
        try:
            return known(value)
        except CodecError:
            if not (is_open and type(value) in (int, str)):
                raise
        try:
            return kind(value)
        except Exception as invalid:
            raise CodecError(f"not {article(type_name(kind))}: {invalid}") from invalid

    return read


_ENUMS = frozenset({Enum, Flag, *Flag.__mro__})


def _union(kind: Any) -> Reader:
    arguments = get_args(kind)
    some = [argument for argument in arguments if stripped(argument) is not NOTHING]
    readers = [reader(argument) for argument in arguments]
    if len(some) == 1:
        return _optional(kind, reader(some[0]))

    def read(value: Any) -> Any:
        found = []
        for of_arm in readers:
            try:
                found.append(of_arm(value))
            except Unclear:
                raise
            except CodecError:
                continue  # It is another of them.
        if type(value) is dict or type(value) is list:
            found = [one for one in found if _keeps_all(one, value)]
        if not found:
            raise _expected(kind, value)
        return found[0] if len(found) == 1 else _the_one(kind, value, found)

    return read


def _optional(kind: Any, some: Reader) -> Reader:
    def read(value: Any) -> Any:
        if value is not None:
            return some(value)
        try:
            other = some(None)
        except CodecError:
            return None
        if other is None:
            return None
        raise Unclear(f"null may be None or another {type_name(kind)}")

    return read


def _the_one(kind: Any, value: Any, found: list[Any]) -> Any:
    """The one that would be written in this very way, rather than those that can be read from it."""
    text = to_json(value)
    written = [one for one in found if _is_written(one, text)] or found
    if all(other == written[0] for other in written[1:]):
        return written[0]
    raise Unclear(f"this may be any of several kinds of {type_name(kind)}")


def _is_written(value: Any, text: str) -> bool:
    try:
        return to_json(value) == text
    except Exception:
        return False


def _keeps_all(one: Any, value: Any) -> bool:
    """Whether nothing was left out: what one kind does not know of may be what makes it the other."""
    try:
        return _covers(plain(one), value)
    except Exception:
        return False


def _covers(written: Any, value: Any) -> bool:
    if type(value) is dict and type(written) is dict:
        return all(key in written and _covers(written[key], item) for key, item in value.items())
    if type(value) is list and type(written) is list:
        return len(written) == len(value) and all(map(_covers, written, value))
    return True


# ---- pydantic --------------------------------------------------------------------------------------------------------


def _model(kind: Any) -> Reader:
    def read(value: Any) -> Any:
        made, lost = with_decimals(value)
        of_json = getattr(kind, "model_validate_json", None)
        try:
            if lost or of_json is None:
                return kind.model_validate(made)
            return of_json(json.dumps(plain(made)))
        except Exception as invalid:
            raise CodecError(f"not {article(type_name(kind))}: {_said(invalid)}") from None

    return read


def _said(invalid: Exception) -> str:
    """What a model's own check says, without the values that it was given: this comes into records and logs."""
    errors = getattr(invalid, "errors", None)
    if errors is None:
        return str(invalid)
    try:
        found = errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in found)
    except Exception:  # Another version of pydantic.
        return type(invalid).__name__
