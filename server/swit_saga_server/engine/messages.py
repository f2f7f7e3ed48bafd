"""What coordinators write to each other through the store's inboxes: an input for a saga, and the reply to it.

An input is written as the name of its class and its fields, by the codec of the stores. So a new kind of input is
readable here as soon as it is one of ``core.inputs.Input``; an older coordinator leaves it to one that knows it.
"""

from typing import get_args

import msgpack

from swit_saga_server.core.errors import (
    CoordinatorUnavailable,
    IllegalInput,
    NeedsNewerLevel,
    NewerRecord,
    SagaAlreadyFinished,
    SagaNotFound,
    SagaQuarantined,
    SwitSagaError,
)
from swit_saga_server.core.inputs import Answered, Input, TakenOver, Unknown, Wake
from swit_saga_server.store.codec import Codec, Writer

_KINDS = {kind.__name__: kind for kind in get_args(Input) if kind not in (Wake, TakenOver)}
"""A wake-up and a takeover are this process's own."""
_REFUSALS = {c.reason: c for c in (SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined, NeedsNewerLevel)}


class UnreadableMessage(SwitSagaError):
    """The inbox message was not written by a coordinator."""

    reason = "UNREADABLE_MESSAGE"


def pack_input(given: Input, writer: Writer) -> bytes:
    """An input as bytes, at the level of ``writer``.

    Raises:
        NeedsNewerLevel: A coordinator that lives could not read it.
        TypeError: It is nothing to tell another coordinator: only what somebody asks for, or a certain answer.
    """
    name = type(given).__name__
    if name not in _KINDS or (isinstance(given, Answered) and isinstance(given.answer, Unknown)):
        raise TypeError(f"{given!r} is not for another coordinator")
    return _pack(name, writer.pack_record(given))


def read_input(body: bytes, codec: Codec) -> Input:
    """The reverse of ``pack_input``.

    Raises:
        NewerRecord: A newer coordinator wrote it.
        UnreadableMessage: It is none.
    """
    try:
        name, data = msgpack.unpackb(body)
        if isinstance(name, str) and name not in _KINDS:
            raise NewerRecord(f"a newer version wrote an input {name!r}")
        given: Input = codec.unpack_record(_KINDS[name], data)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as unreadable:
        raise UnreadableMessage(str(unreadable)) from unreadable
    return given


def pack_taken(version: int) -> bytes:
    """The reply that the input was taken, and which version the saga has at least since then."""
    return bytes(msgpack.packb(version))


def pack_refused(refused: SwitSagaError) -> bytes:
    """The reply that it was refused, and why."""
    return _pack(refused.reason, str(refused), refused.metadata)


def open_reply(reply: bytes) -> int:
    """The version that the saga has at least, if the input was taken.

    Raises:
        SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined, NeedsNewerLevel: It was refused.
        CoordinatorUnavailable: It was refused for another reason.
    """
    opened = msgpack.unpackb(reply)
    if isinstance(opened, int):
        return opened
    reason, message, fields = opened
    raise _REFUSALS.get(reason, CoordinatorUnavailable)(message, **fields)


def _pack(*items: object) -> bytes:
    return bytes(msgpack.packb(items))
