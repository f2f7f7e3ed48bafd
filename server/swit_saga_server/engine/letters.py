"""What coordinators write to each other through the store's inboxes: an input for a saga, and the reply to it."""

from typing import TypeAlias

import msgpack

from swit_saga_server.core.errors import (
    CoordinatorUnavailable,
    IllegalInput,
    SagaAlreadyFinished,
    SagaNotFound,
    SagaQuarantined,
    SwitSagaError,
)
from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.inputs import Answered, Cancel, Completed, Rejected
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.principal import Principal
from swit_saga_server.store.codec import pack_error, unpack_error

Letter: TypeAlias = Cancel | Answered

_REFUSALS = {c.reason: c for c in (SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined)}


class UnreadableLetter(SwitSagaError):
    """The entry was not written by a coordinator of this version."""

    reason = "UNREADABLE_LETTER"


def pack_letter(letter: Letter) -> bytes:
    """The letter as bytes. Only what is certain is worth sending: an ``Unknown`` answer is a bug of the caller."""
    match letter:
        case Cancel(reason, principal):
            return _pack("cancel", reason, principal)
        case Answered(kind, index, send_id, Completed(output)):
            return _pack("completed", kind, index, _ids(send_id), output and (output.content_type, output.data))
        case Answered(kind, index, send_id, Rejected(error)):
            return _pack("rejected", kind, index, _ids(send_id), pack_error(error))
        case _:
            raise TypeError(f"{letter!r} is not for the post")


def read_letter(body: bytes) -> Letter:
    """The reverse of ``pack_letter``.

    Raises:
        UnreadableLetter: It is none.
    """
    try:
        match msgpack.unpackb(body):
            case ["cancel", str(reason), str(principal)]:
                return Cancel(reason, Principal(principal))
            case ["completed", kind, index, ids, output]:
                return Answered(Kind(kind), index, SendId(*ids), Completed(Payload(*output) if output else None))
            case ["rejected", kind, index, ids, error]:
                return Answered(Kind(kind), index, SendId(*ids), Rejected(unpack_error(error)))
            case other:
                raise ValueError(f"unknown letter {other!r:.80}")
    except (ValueError, TypeError, msgpack.UnpackException) as unreadable:
        raise UnreadableLetter(str(unreadable)) from unreadable


def pack_reply(refused: SwitSagaError | None) -> bytes:
    """The reply: taken, or refused and why."""
    return b"" if refused is None else _pack(refused.reason, str(refused), refused.metadata)


def open_reply(reply: bytes) -> None:
    """Return if the letter was taken.

    Raises:
        SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined: It was refused.
        CoordinatorUnavailable: It was refused for another reason.
    """
    if not reply:
        return
    reason, message, fields = msgpack.unpackb(reply)
    raise _REFUSALS.get(reason, CoordinatorUnavailable)(message, **fields)


def _ids(send_id: SendId) -> tuple[int, int, int]:
    return send_id.generation, send_id.attempt, send_id.send


def _pack(*items: object) -> bytes:
    return bytes(msgpack.packb(items))
