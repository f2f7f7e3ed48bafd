"""Kinds of rule: what a field may hold, in words and as a check of its value.

A check says what is wrong with a value, and nothing when all is well. The paths of its faults are relative to the
field, so that a request in which nothing is wrong has cost no path.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.descriptor import EnumDescriptor

from swit_saga_server.core import bounds, limits
from swit_saga_server.core.units import MICROSECOND, MILLISECOND, MINUTE, NO_TIME, Span


class Fault(NamedTuple):
    """One thing wrong.

    Attributes:
        path: Of the field, relative to what was checked; empty for that itself.
        description: What is wrong and what to do.
        unsupported: It may be well one day: this version of the server cannot do it.
    """

    path: str
    description: str
    unsupported: bool = False


Check: TypeAlias = Callable[[Any], str | Iterable[Fault] | None]
"""What is wrong with a value: in words, or as faults where something within it may be; nothing if all is well."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field may hold.

    Attributes:
        says: The bound in words, for the table in the documentation.
        check: What is wrong with a value; None if every value of the type will do.
        required: Its absence is judged, too: as the type's empty value.
    """

    says: str
    check: Check | None = None
    required: bool = False


def of(says: str, fault: Callable[[Any], str], *, required: bool = False) -> Rule:
    """A rule on one value; ``fault`` says what is wrong with it, or ""."""
    return Rule(says, fault, required)


def each(says: str, fault: Callable[[Any], str], most: int = limits.MAX_STEPS) -> Rule:
    """A rule on every item of a repeated field, and on how many there are."""

    def check(values: Collection[Any]) -> Iterator[Fault]:
        if len(values) > most:
            yield Fault("", f"has {len(values)} items; at most {most}")
            return
        for i, value in enumerate(values):
            if wrong := fault(value):
                yield Fault(f"[{i}]", wrong)

    return Rule(f"at most {most}, {says}", check)


def span(says: str, lowest: Span = NO_TIME, highest: Span = limits.MAX_SPAN) -> Rule:
    """A rule on a google.protobuf.Duration."""

    def fault(value: Any) -> str:
        seconds, nanos = value.seconds, value.nanos
        if not -999_999_999 <= nanos <= 999_999_999 or (seconds > 0 > nanos) or (seconds < 0 < nanos):
            return f"is no duration: {seconds} seconds and {nanos} nanoseconds"
        # Less than a microsecond counts as one, so that "very short" does not become "none".
        whole = seconds * 1_000_000 + nanos // 1000
        return bounds.span_fault(whole or (1 if nanos > 0 else 0), lowest, highest)

    return of(says, fault)


def _moment_fault(value: Any) -> str:
    if not 0 <= value.nanos <= 999_999_999:
        return f"is no time: {value.seconds} seconds and {value.nanos} nanoseconds"
    if not 0 <= value.seconds <= limits.MAX_INSTANT // 1_000_000:
        return f"is {value.seconds} s since 1970; must lie in the years 1970 to 9999"
    return ""


def one_of(enum: EnumDescriptor, refused: Collection[int] = ()) -> Rule:
    """A rule on an enum's number: known here and, if known, not among those ``refused`` as not supported."""
    known = enum.values_by_number

    def check(value: int) -> Iterable[Fault] | None:
        if value not in known:
            return (Fault("", f"{value} is not a value this server knows"),)
        if value in refused:
            return (Fault("", f"{known[value].name} is not supported by this version of the server", True),)
        return None

    return Rule("a value this server knows", check)


def every_one_of(enum: EnumDescriptor) -> Rule:
    """The same for a repeated enum, where "not given" (0) is none."""
    known = {number for number in enum.values_by_number if number}
    return each(
        "each a value this server knows", lambda v: "" if v in known else f"{v} is not a value this server knows"
    )


def _refuse(value: Any) -> Iterable[Fault]:
    return (Fault("", "is not supported by this version of the server; leave it out", True),)


def _labels(values: Mapping[str, str]) -> Iterator[Fault]:
    if len(values) > limits.MAX_LABELS:
        yield Fault("", f"has {len(values)} labels; at most {limits.MAX_LABELS}")
        return
    for key, value in values.items():
        if wrong := bounds.label_key_fault(key):
            yield Fault("", wrong)
        if wrong := bounds.label_value_fault(value):
            yield Fault(f"[{key}]", wrong)


def _left_out(size: int) -> str:
    return f"the content was left out ({size} bytes) of the answer this was read from: send the content itself"


ANY = Rule("any value of its type")
IGNORED = Rule("W3C; what is malformed or longer is ignored, as the W3C says")
UNSUPPORTED = Rule("not supported yet", _refuse)
ID_WORDS = f"1 to {limits.MAX_ID_LENGTH} characters: printable, without `/`, no space at the ends"
ID = of(ID_WORDS, bounds.id_fault, required=True)
OPTIONAL_ID = of(f"empty, or {ID_WORDS}", lambda v: bounds.id_fault(v, optional=True))
IDS = each(f"each {ID_WORDS}", bounds.id_fault)
WORD = of(f"at most {limits.MAX_ID_LENGTH} characters, printable", bounds.word_fault)
WORDS = each(f"each at most {limits.MAX_ID_LENGTH} characters, printable", bounds.word_fault)
TEXT = of(f"at most {limits.MAX_TEXT_BYTES >> 10} KiB", bounds.text_fault)
TEXTS = each(f"each at most {limits.MAX_TEXT_BYTES >> 10} KiB", bounds.text_fault)
NUMBER = of("finite", bounds.number_fault)
MOMENT = of("in the years 1970 to 9999", _moment_fault)
LENGTH = span("0 to 100 years")
POSITIVE = span("more than 0, at most 100 years", MICROSECOND)
HEARTBEAT = span("100 ms to 10 min", 100 * MILLISECOND, 10 * MINUTE)
LABELS = Rule(
    f"at most {limits.MAX_LABELS}; keys 1 to {limits.MAX_LABEL_KEY} printable characters, values at most "
    f"{limits.MAX_LABEL_VALUE} characters",
    _labels,
)
CONTENT_TYPE = of(
    f"1 to {limits.MAX_CONTENT_TYPE_LENGTH} characters, printable ASCII", bounds.content_type_fault, required=True
)
CONTENT = Rule("at most `coordinator.max_payload_bytes`")
WITHDRAWN = Rule(f"at most {limits.MAX_MESSAGE_ITEMS}")
LEFT_OUT = of("0", _left_out)
MULTIPLIER = of(f"1 to {limits.MAX_MULTIPLIER:g} (0 or unset: the default)", bounds.multiplier_fault)
ATTEMPTS = of(
    f"1 to {limits.MAX_ATTEMPTS} (0 or unset: the default)",
    lambda v: bounds.count_fault(v, 1, limits.MAX_ATTEMPTS),
)
VERSION = of("at least 1", lambda v: "" if v else "must be at least 1", required=True)
NOT_NEGATIVE = of("not negative", lambda v: "must not be negative" if v < 0 else "")
STATUS_CODES = each(
    f"each of {', '.join(f'`{c}`' for c in sorted(bounds.REJECTING_STATUS_CODES))}", bounds.status_code_fault
)
