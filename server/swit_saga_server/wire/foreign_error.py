"""Errors that participants state, whatever they put in there, as they can be kept and shown: bounded, and with marks.

A certain answer must not become an uncertain one because its reason cannot be written. So nothing in here raises, and
what does not fit is cut: texts say so themselves, and ``details["omitted_bytes"]`` says how much of all it was.
"""

import json
import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.v1 import error_pb2
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.limits import (
    MAX_CAUSES,
    MAX_DETAILS_BYTES,
    MAX_DETAILS_DEPTH,
    MAX_ERROR_CODE_LENGTH,
    MAX_INSTANT,
    MAX_STACK_TRACE_BYTES,
    MAX_TEXT_BYTES,
)
from swit_saga_server.core.texts import MARK_BYTES, cut_end, cut_middle, encoded, printable
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.wire.basic import enum_member

OMITTED = "omitted_bytes"
"""Of an error's details: how many bytes of it, and of its causes, are not on record."""
EXACT = 1 << 53
"""Whole numbers beyond are not exact as JSON has them, and no store takes them all."""
MOST_KEYS = 1_000
"""Of an error's details that are looked at."""
BYTES_PER_JSON_BYTE = 6
"""A value has at most so many bytes in protobuf for each that it has as JSON."""
JOINTS = ": , "
"""Beside keys and values."""
BYTES_OF_AN_ESCAPE = 6
"""As which JSON writes a character at most, such as \\u0000."""


def read_error(value: error_pb2.SagaError, default: ErrorType) -> SagaError:
    """An error as it goes on record; what it left out is filled in.

    Args:
        value: What the participant says.
        default: Its type, where it has none or one that this version does not know.

    Returns:
        Without a time, if the participant gave none that is one: the ledger dates it.
    """
    chain, left = [value], _Left()
    while len(chain) <= MAX_CAUSES and chain[-1].HasField("cause"):
        chain.append(chain[-1].cause)
    if chain[-1].HasField("cause"):
        left.omitted += chain[-1].cause.ByteSize()
    # The outermost first, for it may keep the most; the innermost is made first, for the others have it in them.
    parts = [_part(said, default, left) for said in chain]
    if left.omitted:
        parts[0]["details"] = {**parts[0]["details"], OMITTED: min(left.omitted, EXACT)}
    made: SagaError | None = None
    for part in reversed(parts):
        made = SagaError(**part, cause=made)
    assert made is not None
    return made


class _Left:
    """What one error and all its causes may still have, and what they could not."""

    def __init__(self) -> None:
        self.trace = MAX_STACK_TRACE_BYTES
        self.details = MAX_DETAILS_BYTES
        self.omitted = 0


def _part(said: error_pb2.SagaError, default: ErrorType, left: _Left) -> dict[str, Any]:
    known = said.type in error_pb2.ErrorType.values()
    left.omitted += said.omitted_bytes
    trace, cut_off = cut_middle(said.stack_trace, left.trace) if said.stack_trace else ("", 0)
    message, omitted = cut_end(said.message, MAX_TEXT_BYTES)
    left.trace = max(left.trace - len(encoded(trace)), 0)
    left.omitted += cut_off + omitted
    return {
        "code": printable(said.code, MAX_ERROR_CODE_LENGTH) or "UNSPECIFIED",
        "message": message,
        "type": enum_member(ErrorType, error_pb2.ErrorType, "ERROR_TYPE", said.type if known else 0, default),
        "retryable": said.retryable,
        "timestamp": _instant(said.timestamp) if said.HasField("timestamp") else NEVER,
        "stack_trace": trace,
        "details": _details(said.details, left) if said.HasField("details") else {},
    }


def _instant(at: Timestamp) -> Instant:
    """0 for what is none: before 1970, beyond 9999, or no part of a second."""
    micros = at.seconds * 1_000_000 + at.nanos // 1000
    return Instant(micros) if 0 <= at.nanos < 1_000_000_000 and 0 < micros <= MAX_INSTANT else NEVER


def _details(values: Struct, left: _Left) -> Mapping[str, Any]:
    kept: dict[str, Any] = {}
    fields = values.fields
    keys = sorted(islice(fields, MOST_KEYS))
    if len(fields) > len(keys):
        left.omitted += max(_size(values) - sum(_size(fields[key]) + len(encoded(key)) for key in keys), 1)
    for key in keys:
        value, of_key = fields[key], _json_size(key) + len(JOINTS)
        room = left.details - of_key
        if value.WhichOneof("kind") == "string_value" and _size(value) > room // BYTES_OF_AN_ESCAPE > MARK_BYTES:
            made, omitted = cut_end(value.string_value, room // BYTES_OF_AN_ESCAPE - 1)
            left.omitted += omitted
        elif room <= 0 or _size(value) > BYTES_PER_JSON_BYTE * room:
            left.omitted += _size(value) + len(encoded(key))
            continue
        else:
            made = _plain(value, MAX_DETAILS_DEPTH - 1, left)
        size = _json_size(made)
        if size > room:
            left.omitted += _size(value) + len(encoded(key))
            continue
        kept[key] = made
        left.details -= size + of_key
    return kept


def _plain(value: Value, depth: int, left: _Left) -> Any:
    """As JSON has it; what JSON has no words for is a text."""
    kind = value.WhichOneof("kind")
    match kind:
        case "number_value":
            number = value.number_value
            if not math.isfinite(number):
                return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
            return int(number) if number.is_integer() and abs(number) <= EXACT else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value" | "list_value" if depth <= 0:
            left.omitted += _size(value)
            return "…"
        case "struct_value":
            return {key: _plain(item, depth - 1, left) for key, item in value.struct_value.fields.items()}
        case "list_value":
            return [_plain(item, depth - 1, left) for item in value.list_value.values]
        case _:
            return None


def _json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _size(message: Message) -> int:
    return message.ByteSize()
