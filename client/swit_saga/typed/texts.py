"""Types that JSON has as text: how each is written, and read."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

Write = Callable[[Any], str]
Read = Callable[[Any, str], Any]
"""Of the class asked for and the text."""

_LENGTH = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,6}))?S)?)?",
    re.ASCII,
)


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is not a number")
    return str(value)


def _read_number(kind: Any, text: str) -> Any:
    made = kind(text)
    if not made.is_finite():
        raise ValueError(f"{text} is not a number")
    return made


def _length(value: timedelta) -> str:
    """ISO 8601, as pydantic and others read it; days are the largest unit."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{value.seconds}{fraction}S"


def _read_length(kind: Any, text: str) -> Any:
    found = _LENGTH.fullmatch(text)
    if found is None or text[-1] in "PT":
        raise ValueError("not an ISO 8601 duration, such as P1DT2H30M")
    parts = {name: int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds")}
    made = kind(**parts, microseconds=int((found["fraction"] or "0").ljust(6, "0")))
    return -made if found["sign"] == "-" else made


def _base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


def _read_base64(kind: Any, text: str) -> Any:
    try:
        return kind(base64.b64decode(text, validate=True))
    except binascii.Error as invalid:
        raise ValueError(f"not base64: {invalid}") from invalid


def _made(kind: Any, text: str) -> Any:
    return kind(text)


def _from_iso(kind: Any, text: str) -> Any:
    return kind.fromisoformat(text)


_ADDRESSES: tuple[type, ...] = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)
_TABLE: Mapping[type, tuple[Write, Read]] = {
    datetime: (datetime.isoformat, _from_iso),
    date: (date.isoformat, _from_iso),
    time: (time.isoformat, _from_iso),
    timedelta: (_length, _read_length),
    Decimal: (_number, _read_number),
    UUID: (str, _made),
    bytes: (_base64, _read_base64),
    bytearray: (_base64, _read_base64),
    PurePath: (str, _made),
    **dict.fromkeys(_ADDRESSES, (str, _made)),
}


def way_of(kind: type) -> tuple[Write, Read] | None:
    """How instances of ``kind`` are written and read; None if they are not text."""
    for base in kind.__mro__:  # A datetime is a date, too.
        if (found := _TABLE.get(base)) is not None:
            return found
    return None
