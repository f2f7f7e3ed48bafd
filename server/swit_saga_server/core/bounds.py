"""What a single value may be: each function says in words what is wrong with one, or "" if nothing is.

Whatever comes in is judged by these, whichever way it comes; rules between several values are in ``definition``.
"""

import math
import re

from swit_saga_server.core import limits
from swit_saga_server.core.units import MICROSECOND, NO_TIME, SECOND, Span

SHOWN = 60
"""Characters of a wrong value that are repeated in words."""
REJECTING_STATUS_CODES = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "UNAUTHENTICATED",
    }
)
"""gRPC statuses that may stand for a servicer's certain no. gRPC itself and proxies make the other ones, so that they
never say that nothing happened.
"""
_ORDINARY = re.compile(r"[!-.0-~]{1,200}", re.ASCII)
"""Ids as they mostly are: no space and no slash, nothing that needs a closer look."""
_CONTENT_TYPE = re.compile(r"[ -~]+", re.ASCII)


def id_fault(value: str, *, optional: bool = False) -> str:
    """Of an id, or of a name that is used as one."""
    if _ORDINARY.fullmatch(value):
        return ""
    if not value:
        return "" if optional else "must not be empty"
    if len(value) > limits.MAX_ID_LENGTH:
        return f"has {len(value)} characters; at most {limits.MAX_ID_LENGTH}"
    if not value.isprintable() or value != value.strip() or "/" in value:
        return f"{shown(value)} must be printable, without '/' and without spaces at its ends"
    return ""


def word_fault(value: str) -> str:
    """Of a name for people, or of an id that somebody else gave; may be empty."""
    if len(value) > limits.MAX_ID_LENGTH:
        return f"has {len(value)} characters; at most {limits.MAX_ID_LENGTH}"
    return "" if value.isprintable() else f"{shown(value)} must be printable, on one line"


def text_fault(value: str) -> str:
    """Of a text in words; may be empty."""
    if len(value) <= limits.MAX_TEXT_BYTES // 4:
        return ""
    size = len(value.encode())
    return f"has {size} bytes; at most {limits.MAX_TEXT_BYTES}" if size > limits.MAX_TEXT_BYTES else ""


def label_key_fault(value: str) -> str:
    """Of a label's key."""
    if not 1 <= len(value) <= limits.MAX_LABEL_KEY:
        return f"key {shown(value)} must have 1 to {limits.MAX_LABEL_KEY} characters"
    return "" if value.isprintable() else f"key {shown(value)} must be printable"


def label_value_fault(value: str) -> str:
    """Of a label's value; may be empty."""
    if len(value) <= limits.MAX_LABEL_VALUE:
        return ""
    return f"has {len(value)} characters; at most {limits.MAX_LABEL_VALUE}"


def content_type_fault(value: str) -> str:
    """Of a payload's content type."""
    if not value:
        return "must not be empty; for example 'application/json'"
    if len(value) > limits.MAX_CONTENT_TYPE_LENGTH:
        return f"has {len(value)} characters; at most {limits.MAX_CONTENT_TYPE_LENGTH}"
    return "" if _CONTENT_TYPE.fullmatch(value) else f"{shown(value)} must be printable ASCII"


def status_code_fault(value: str) -> str:
    """Of the name of a gRPC status that is to mean *rejected*."""
    if value in REJECTING_STATUS_CODES:
        return ""
    return f"{shown(value)} cannot stand for a certain no; can: {', '.join(sorted(REJECTING_STATUS_CODES))}"


def span_fault(value: int, lowest: Span = NO_TIME, highest: Span = limits.MAX_SPAN) -> str:
    """Of a length of time in microseconds."""
    if lowest <= value <= highest:
        return ""
    if value < lowest:
        if lowest == NO_TIME:
            return "must not be negative"
        return "must be greater than 0" if lowest == MICROSECOND else f"must be at least {lowest / SECOND:g} s"
    if highest == limits.MAX_SPAN:
        return f"is longer than 100 years ({limits.MAX_SPAN // limits.DAY} days)"
    return f"must be at most {highest / SECOND:g} s"


def multiplier_fault(value: float) -> str:
    """Of the growth of an exponential backoff."""
    if 1.0 <= value <= limits.MAX_MULTIPLIER:
        return ""
    return f"is {value:g}; must be between 1 and {limits.MAX_MULTIPLIER:g}"


def number_fault(value: float) -> str:
    """Of any other number with a fraction."""
    return "" if math.isfinite(value) else f"is {value:g}; must be a finite number"


def count_fault(value: int, lowest: int, highest: int) -> str:
    """Of a whole number, or of how many there are of something."""
    return "" if lowest <= value <= highest else f"is {value}; must be between {lowest} and {highest}"


def shown(value: str) -> str:
    """A value as it is repeated in words: quoted, and its beginning only if it is long."""
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "...")
