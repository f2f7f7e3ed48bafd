"""Which call, which attempt, which send: the names under which a participant is asked and answers."""

from enum import StrEnum

from swit_saga_server.core.record import record


class Kind(StrEnum):
    """Which of the two things a participant can be asked: the direction of a call."""

    EXECUTE = "execute"
    COMPENSATE = "compensate"


@record(frozen=True, slots=True)
class SendId:
    """One send of one call of a step. A command carries it, and the answer echoes it.

    Attributes:
        generation: From 1. A new one begins when a call is tried again after a certain rejection: the participant
            must see another effect asked for, so the idempotency key names it, too.
        attempt: From 1, over all generations; an attempt number is never used again (invariant 19).
        send: From 1, over all attempts: a resend after a takeover keeps its attempt, and is another send.
    """

    generation: int
    attempt: int
    send: int


FIRST_SEND = SendId(1, 1, 1)


def idempotency_key(saga_id: str, step_id: str, kind: Kind, generation: int = 1) -> str:
    """The key of every attempt and send of one generation of a call.

    A Compensate has another key than its Execute, for it is another effect. Ids hold no '/', so no two keys are alike.
    """
    key = f"{saga_id}/{step_id}" if kind is Kind.EXECUTE else f"{saga_id}/{step_id}/compensate"
    return key if generation <= 1 else f"{key}/{generation}"
