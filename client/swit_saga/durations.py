"""One way to write a length of time, used by definitions, the YAML files, the configuration and the command line."""

import re
from datetime import timedelta
from fractions import Fraction
from typing import TypeAlias

from google.protobuf.duration_pb2 import Duration

DurationLike: TypeAlias = str | timedelta
"""``"30s"``, ``"1m30s"``, ``"500ms"``, ``"2h"``, ``"1d"``, or a timedelta. A bare number is refused: it has no unit."""

_UNITS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}
_PART = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)(ms|us|d|h|m|s)")
_HOW = "write for example '30s', '1m30s' or '500ms'"
MAX_DURATION = timedelta(days=36_525)
"""100 years: no timeout, delay or interval is longer."""
_TOO_LONG = MAX_DURATION // timedelta(microseconds=1) + 1
_MAX_LENGTH = 100


class TooLong(ValueError):
    """A length of time past ``MAX_DURATION``."""


def parse_duration(value: DurationLike) -> timedelta:
    """Read a duration, 0 to 100 years.

    Raises:
        ValueError: It is not one; the message says how to write it.
    """
    if isinstance(value, timedelta):
        return _bounded(value, value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration; {_HOW}")
    text = value.strip()
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"{text[:20] + '...'!r} is not a duration; {_HOW}")
    parts = list(_PART.finditer(text))
    if not parts or "".join(p.group() for p in parts) != text:
        raise ValueError(f"{value!r} is not a duration; {_HOW}")
    units = [p.group(2) for p in parts]
    if sorted(units, key=list(_UNITS).index) != units or len(set(units)) != len(units):
        raise ValueError(f"{value!r} is not a duration; write each unit once, the largest first, for example '1m30s'")
    microseconds = round(sum(Fraction(p.group(1)) * _UNITS[p.group(2)] for p in parts))
    return _bounded(value, timedelta(microseconds=min(microseconds, _TOO_LONG)))


def _bounded(value: DurationLike, found: timedelta) -> timedelta:
    if found < timedelta():
        raise ValueError(f"{value!r} is negative; a duration is not")
    if found > MAX_DURATION:
        raise TooLong(f"{value!r} is too long; the longest is {MAX_DURATION.days}d, 100 years")
    return found


def format_duration(value: timedelta) -> str:
    """The shortest exact way to write it, such as ``1m30s``."""
    left = value // timedelta(microseconds=1)
    parts = []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def duration_message(value: DurationLike | None, name: str = "timeout") -> Duration | None:
    """A duration as it is sent; None for none. ``name`` is what it is, for messages.

    Raises:
        ValueError: It is not one.
    """
    if value is None:
        return None
    made = Duration()
    made.FromTimedelta(named_duration(value, name))
    return made


def named_duration(value: DurationLike, name: str) -> timedelta:
    """As ``parse_duration``; what is wrong is said of ``name``.

    Raises:
        ValueError: It is not one.
    """
    try:
        return parse_duration(value)
    except ValueError as wrong:
        raise type(wrong)(f"{name}: {wrong}") from None
