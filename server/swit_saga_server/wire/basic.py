"""Times, payloads, errors and free-form values."""

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.v1 import error_pb2, payload_pb2
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.units import Instant, Span

E = TypeVar("E", bound=StrEnum)


def timestamp(at: Instant) -> Timestamp | None:
    """None for 0, which is "never" throughout the core."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000) if at else None


def instant(at: Timestamp) -> Instant:
    """Microseconds since the epoch; 0 for an unset field."""
    return Instant(at.seconds * 1_000_000 + at.nanos // 1000)


def duration(span: Span | None) -> Duration | None:
    """None for None."""
    if span is None:
        return None
    return Duration(seconds=span // 1_000_000, nanos=span % 1_000_000 * 1000)


def span(d: Duration) -> Span:
    """Microseconds; less than one microsecond counts as one, so that "very short" does not become "none"."""
    whole = d.seconds * 1_000_000 + d.nanos // 1000
    return Span(whole or (1 if d.nanos > 0 else 0))


def struct(values: Mapping[str, Any]) -> Struct | None:
    """None if empty."""
    if not values:
        return None
    made = Struct()
    made.update(dict(values))
    return made


def mapping(values: Struct) -> dict[str, Any]:
    """A plain dict; numbers are floats, as in JSON by protobuf (and by its own ``MessageToDict``, which is slower).

    Raises:
        ValueError: A number is not finite.
    """
    fields = values.fields
    return {key: _plain(value) for key, value in fields.items()} if fields else {}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        if not math.isfinite(number):
            raise ValueError(f"{number:g} is not a finite number")
        return number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return {key: _plain(inner) for key, inner in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(inner) for inner in value.list_value.values]
    return None


def payload(value: Payload | None) -> payload_pb2.Payload | None:
    """None for None."""
    if value is None:
        return None
    if isinstance(value.data, str):
        return payload_pb2.Payload(content_type=value.content_type, text=value.data)
    return payload_pb2.Payload(content_type=value.content_type, binary=value.data)


def read_payload(value: payload_pb2.Payload) -> Payload:
    """Without a content it is the empty binary value."""
    data = value.text if value.WhichOneof("data") == "text" else value.binary
    return Payload(value.content_type, data)


@cache
def enum_value(wrapper: Any, prefix: str, member: StrEnum | None) -> Any:
    """The proto value of a core enum member, by name: ``prefix`` and the member's name; UNSPECIFIED for None."""
    return wrapper.Value(f"{prefix}_{member.name if member is not None else 'UNSPECIFIED'}")


def enum_member(kind: type[E], wrapper: Any, prefix: str, value: int, default: E) -> E:
    """The core member of a proto value.

    Raises:
        ValueError: A number this version does not know.
    """
    if value == 0:
        return default
    if value not in wrapper.values():
        raise ValueError(f"{value} is not a value this server knows")
    return kind[wrapper.Name(value).removeprefix(f"{prefix}_")]


def error(value: SagaError | None) -> error_pb2.SagaError | None:
    """With its causes; None for None."""
    if value is None:
        return None
    return error_pb2.SagaError(
        code=value.code,
        message=value.message,
        type=enum_value(error_pb2.ErrorType, "ERROR_TYPE", value.type),
        retryable=value.retryable,
        timestamp=timestamp(value.timestamp),
        stack_trace=value.stack_trace,
        details=struct(value.details),
        cause=error(value.cause),
        omitted_bytes=omitted(value),
    )


def omitted(value: SagaError) -> int:
    """How much of it is not on record; see ``foreign_error.OMITTED``."""
    omitted = value.details.get("omitted_bytes", 0)
    return int(omitted) if isinstance(omitted, int | float) and 0 < omitted <= 1 << 53 else 0
