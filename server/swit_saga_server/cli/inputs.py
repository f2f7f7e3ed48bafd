"""What a command is given to read: files, standard input, JSON."""

import json
import os
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Never

from swit_saga.durations import parse_duration
from swit_saga_server.core import limits

MAX_BYTES = 2 * limits.MAX_PAYLOAD_BYTES
"""Nothing longer is read: no coordinator takes it."""
MAX_WAIT = timedelta(days=365)


class Unusable(ValueError):
    """What was typed cannot be used; the message says what, and why."""


def read_text(name: str) -> str:
    """A file's text; ``-`` is standard input.

    Raises:
        Unusable: It cannot be read, is not UTF-8, or is longer than anything that can be sent.
    """
    called = "standard input" if name == "-" else name
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        raise Unusable(f"{called}: {reason_of(error)}") from error
    if len(data) > MAX_BYTES:
        raise Unusable(f"{called}: is longer than {MAX_BYTES >> 20} MiB, which no coordinator takes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"{called}: is not UTF-8 (byte {error.start} is 0x{data[error.start]:02x})") from error


def reason_of(error: Exception) -> str:
    """Why a file cannot be used."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else "cannot be read"


def read_data(text: str) -> Any:
    """``--data``: JSON, ``@FILE`` with JSON in it, or ``-`` for JSON on standard input.

    Raises:
        Unusable: It cannot be read, is not JSON, or holds a number that would become another.
    """
    where = "--data"
    if text == "-" or text.startswith("@"):
        name = text.removeprefix("@")
        where, text = f"--data {text}", read_text(name)
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_fraction, parse_int=_integer)
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        raise Unusable(f"{where}: holds half a character, \\u{ord(error.object[error.start]):04x}") from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise Unusable(f"{where}: is not JSON: {_first_lower(error.msg)} ({at})") from error
    except Unusable as error:
        raise Unusable(f"{where}: {error}") from error
    except RecursionError as error:
        raise Unusable(f"{where}: lists or objects lie too deeply within each other") from error


def _no_constant(text: str) -> Never:
    raise Unusable(f"is not JSON: there is no {text} in it; numbers are finite")


def _fraction(text: str) -> float:
    number = float(text)
    if Decimal(text) != Decimal(repr(number)):
        raise Unusable(f"the number {text[:60]} would become {number!r}; send it as a string")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise Unusable(f"a number of {len(text)} digits is too long; send it as a string") from error


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def some_time(text: str) -> timedelta:
    """A length of time such as ``5s``, longer than none.

    Raises:
        ValueError: It is none, or longer than anybody waits.
    """
    length = parse_duration(text)
    if not timedelta(0) < length <= MAX_WAIT:
        raise ValueError(f"{text!r} must be longer than 0s and at most {MAX_WAIT.days}d")
    return length
