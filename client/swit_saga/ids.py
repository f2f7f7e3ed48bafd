"""Ids that sort by time, so that stores append rather than scatter."""

import secrets
import time
import zlib
from collections.abc import Collection
from operator import index
from typing import SupportsIndex

from swit_saga.limits import MAX_ID_LENGTH

MAX_VERSION = 2**32 - 1
"""Of a definition."""


def new_saga_id() -> str:
    """Unique: 11 hex digits of milliseconds since the epoch, 21 random ones."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.randbits(84):021x}"


def given_id(value: str, name: str = "saga_id") -> str:
    """An id that somebody gave. Whether it may be one is the coordinator's to say; an empty one was never meant.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty, or no Unicode text.
    """
    if not given_text(value, name):
        raise ValueError(f"{name} is empty; give the id that is meant")
    return value


def given_text(value: str, name: str) -> str:
    """A text that somebody gave; may be empty.

    Raises:
        TypeError: It is no text.
        ValueError: It is no Unicode text.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} {value!r} is no Unicode text: {error.reason}") from error
    return value


def given_number(value: int, name: str, lowest: int = 0, highest: int = 2**31 - 1) -> int:
    """A whole number that somebody gave.

    Raises:
        TypeError: It is no whole number.
        ValueError: It lies outside.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    number = index(value)
    if not lowest <= number <= highest:
        raise ValueError(f"{name} is {number if abs(number) < 2**64 else 'far'} outside {lowest} to {highest}")
    return number


class SagaIds:
    """Ids of sagas that the coordinator at the other end drives itself, as far as it has said which those are.

    It takes any; those of others go through the store, and cost it and both coordinators more.
    """

    def __init__(self) -> None:
        self._total = 1
        self._held: frozenset[int] = frozenset((0,))

    def learn(self, total: int, held: Collection[int]) -> None:
        """What it drives: the ids whose CRC-32 modulo ``total`` is ``held``; if that is none, any will do."""
        self._total, self._held = (total, frozenset(held)) if total and held else (1, frozenset((0,)))

    def new(self) -> str:
        """As ``new_saga_id``."""
        while True:
            saga_id = new_saga_id()
            if zlib.crc32(saga_id.encode()) % self._total in self._held:
                return saga_id


def refuse_name(what: str, value: object) -> None:
    """Refuse a name, of ``what``, that no definition could use: the coordinator takes none such.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty or too long, or holds what a name may not.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {type(value).__name__}: {value!r}")
    if not value:
        raise ValueError(f"{what} must not be empty")
    if len(value) > MAX_ID_LENGTH:
        raise ValueError(f"{what} is {len(value)} characters long; at most {MAX_ID_LENGTH}")
    if not value.isprintable() or value != value.strip() or "/" in value:
        raise ValueError(f"{what} must be printable, without '/' and without spaces at its ends: {value!r}")
