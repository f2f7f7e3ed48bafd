"""JSON text as values, exactly: no number that a double cannot hold, no key twice, no text that is none."""

import json
import math
from decimal import Decimal
from typing import Any, NoReturn

from swit_saga.errors import CodecError


class ExactFloat(float):
    """A number that still knows how it was written: what no double can hold may still be a Decimal.

    Attributes:
        written: Its text.
    """

    written: str

    def __new__(cls, written: str) -> "ExactFloat":
        """The number of this text."""
        made = super().__new__(cls, written)
        made.written = written
        return made


def from_json(text: str, *, exact: bool) -> Any:
    """The value; numbers with a point are ``ExactFloat`` if ``exact``.

    Raises:
        ValueError, RecursionError: It is not JSON; NaN is not, nor a number beyond all doubles.
    """
    value = (_EXACT if exact else _PLAIN).decode(text)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()  # Half a character is no text.
    return value


def as_double(value: float) -> float:
    """A plain float.

    Raises:
        CodecError: It is beyond all of them.
    """
    number = float(value)
    if math.isinf(number):
        raise CodecError("a number is too large for a float")
    return number


def without_exact(value: Any) -> Any:
    """The same with plain floats.

    Raises:
        CodecError: A number is beyond all of them.
    """
    kind = type(value)
    if kind is ExactFloat:
        return as_double(value)
    if kind is list:
        return [without_exact(item) for item in value]
    if kind is dict:
        return {key: without_exact(item) for key, item in value.items()}
    return value


def with_decimals(value: Any) -> tuple[Any, bool]:
    """The same with plain floats, but for those that lose digits: they are Decimals. And whether there are any."""
    kind = type(value)
    if kind is ExactFloat:
        written = Decimal(value.written)
        return (float(value), False) if Decimal(repr(float(value))) == written else (written, True)
    if kind is list:
        items = [with_decimals(item) for item in value]
        return [item for item, _ in items], any(lost for _, lost in items)
    if kind is dict:
        fields = {key: with_decimals(item) for key, item in value.items()}
        return {key: item for key, (item, _) in fields.items()}, any(lost for _, lost in fields.values())
    return value, False


def _finite(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key comes twice")
    return made


# Kept: making one costs more than reading a small value.
_PLAIN = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse, object_pairs_hook=_once)
_EXACT = json.JSONDecoder(parse_float=ExactFloat, parse_constant=_refuse, object_pairs_hook=_once)
