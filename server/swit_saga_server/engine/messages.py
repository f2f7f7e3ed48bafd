"""What coordinators write to each other through the store's inboxes: an input for a saga, and the reply to it.

An input is written as the name of its class and its fields, by the codec of the stores. So a new kind of input is
readable here as soon as it is one of ``core.inputs.Input``; an older coordinator leaves it to one that knows it.
"""

from typing import get_args

import msgpack

from swit_saga_server.core.errors import (
    CoordinatorUnavailable,
    IllegalInput,
    NewerRecord,
    SagaAlreadyFinished,
    SagaNotFound,
    SagaQuarantined,
    SwitSagaError,
)
from swit_saga_server.core.inputs import Answered, Input, TakenOver, Unknown, Wake
from swit_saga_server.store.codec import PRESENT
from swit_saga_server.store.levels import LEVEL

_KINDS = {kind.__name__: kind for kind in get_args(Input) if kind not in (Wake, TakenOver)}
"""A wake-up and a takeover are this process's own."""
_REFUSALS = {c.reason: c for c in (SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined)}


class UnreadableMessage(SwitSagaError):
    """The inbox message was not written by a coordinator."""

    reason = "UNREADABLE_MESSAGE"


def pack_input(given: Input) -> bytes:
    """An input as bytes.

    Raises:
        TypeError: It is nothing to tell another coordinator: only what somebody asks for, or a certain answer.
    """
    name = type(given).__name__
    if name not in _KINDS or (isinstance(given, Answered) and isinstance(given.answer, Unknown)):
        raise TypeError(f"{given!r} is not for another coordinator")
    return _pack(name, PRESENT.at(LEVEL).pack_record(given))


def read_input(body: bytes) -> Input:
    """The reverse of ``pack_input``.

    Raises:
        NewerRecord: A newer coordinator wrote it.
        UnreadableMessage: It is none.
    """
    try:
        name, data = msgpack.unpackb(body)
        if isinstance(name, str) and name not in _KINDS:
            raise NewerRecord(f"a newer version wrote an input {name!r}")
        given: Input = PRESENT.unpack_record(_KINDS[name], data)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as unreadable:
        raise UnreadableMessage(str(unreadable)) from unreadable
    return given


def pack_reply(refused: SwitSagaError | None) -> bytes:
    """The reply: taken, or refused and why."""
    return b"" if refused is None else _pack(refused.reason, str(refused), refused.metadata)


def open_reply(reply: bytes) -> None:
    """Return if the input was taken.

    Raises:
        SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined: It was refused.
        CoordinatorUnavailable: It was refused for another reason.
    """
    if not reply:
        return
    reason, message, fields = msgpack.unpackb(reply)
    raise _REFUSALS.get(reason, CoordinatorUnavailable)(message, **fields)


def _pack(*items: object) -> bytes:
    return bytes(msgpack.packb(items))
