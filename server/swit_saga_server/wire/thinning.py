"""Errors with as much of them as there is room for. What is cut is counted in ``omitted_bytes``."""

import json
from collections.abc import Iterable, Sequence
from enum import IntEnum

from swit_saga.v1 import error_pb2 as pb
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.texts import encoded
from swit_saga_server.wire import basic

SHORT = 200
"""Characters of a message, or of another text, that is cut."""
NESTED = 16
"""Bytes that a message within others may grow by over its content: its length, and the lengths of those around it."""


class Depth(IntEnum):
    """How much of an error is given: the greater, the less."""

    WHOLE = 0
    NO_STACK_TRACE = 1
    NO_DETAILS = 2
    NO_CAUSE = 3
    SHORT_MESSAGE = 4
    NO_MESSAGE = 5


def error(value: SagaError, depth: Depth) -> pb.SagaError:
    """An error, and its causes, to that depth."""
    if depth is Depth.WHOLE:
        return _whole(value)
    kept = {
        Depth.NO_MESSAGE: "",
        Depth.SHORT_MESSAGE: value.message if len(value.message) <= SHORT else value.message[:SHORT] + "…",
    }.get(depth, value.message)
    made = pb.SagaError(
        code=value.code[:SHORT],
        message=kept,
        type=basic.enum_value(pb.ErrorType, "ERROR_TYPE", value.type),
        retryable=value.retryable,
        timestamp=basic.timestamp(value.timestamp),
        details=basic.struct(value.details) if depth < Depth.NO_DETAILS else None,
        cause=error(value.cause, depth) if value.cause is not None and depth < Depth.NO_CAUSE else None,
    )
    omitted = (
        basic.omitted(value)
        + _length(value.stack_trace)
        + (_length(value.message) - _length(kept) if kept != value.message else 0)
    )
    if depth >= Depth.NO_DETAILS:
        omitted += _details_size(value)
    omitted += made.cause.omitted_bytes if made.HasField("cause") else sum(map(_size, _causes(value)))
    made.omitted_bytes = omitted
    return made


def deepest(values: Sequence[SagaError], room: int, shown: Sequence[pb.SagaError], depth: Depth) -> list[pb.SagaError]:
    """As much of all of them as fits.

    Args:
        values: The errors.
        room: Bytes that they may grow by.
        shown: They as they are shown so far.
        depth: To which depth that is.

    Returns:
        The errors to the least depth at which there is room for all of them; none if that is ``depth`` itself.
    """
    for less in range(depth):
        made: list[pb.SagaError] = []
        left = room
        for value, so_far in zip(values, shown, strict=True):
            made.append(error(value, Depth(less)))
            left -= made[-1].ByteSize() - so_far.ByteSize() + NESTED
            if left < 0:  # Before all of them are made: there may be a thousand.
                break
        else:
            return made
    return []


def _whole(value: SagaError) -> pb.SagaError:
    made = basic.error(value)
    assert made is not None
    return made


def _causes(value: SagaError) -> Iterable[SagaError]:
    """The errors behind it, one behind the other."""
    while value.cause is not None:
        value = value.cause
        yield value


def _size(value: SagaError) -> int:
    return basic.omitted(value) + _length(value.message) + _length(value.stack_trace) + _details_size(value)


def _details_size(value: SagaError) -> int:
    return _length(json.dumps(dict(value.details), ensure_ascii=False, default=str)) if value.details else 0


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(encoded(text))
