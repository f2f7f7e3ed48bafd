"""How participants say what they say: well, or in ways that their protocol allows and nobody expects."""

import math
from enum import StrEnum

from swit_saga.v1.command_pb2 import Completed, Rejected
from swit_saga.v1.error_pb2 import SagaError
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.payload_pb2 import Payload
from tests.support.simulation.draws import Rolls
from tests.support.simulation.receiver import Reply

MAX_PAYLOAD_BYTES = 1_000
"""Of an output, as the simulated coordinators have it."""


class Manner(StrEnum):
    """Of one participant, for one step of one saga."""

    PLAIN = "plain"
    UNUSABLE = "unusable"
    """What it returns cannot be handed on: it is done all the same."""
    WRONG_KIND = "wrong kind"
    """The first answer is one to another question, and so says nothing."""
    HOSTILE = "hostile"
    """Its errors are such as nobody can write down as they are."""


def in_manner(manner: Manner, reply: Reply, arrival: int, rolls: Rolls) -> Reply:
    """The same answer, as it is said."""
    chance, *_ = rolls
    match manner, reply:
        case Manner.UNUSABLE, ExecuteResponse() | CompensateResponse() if reply.WhichOneof("answer") == "completed":
            return type(reply)(completed=_UNUSABLE[int(chance * len(_UNUSABLE))])
        case Manner.WRONG_KIND, ExecuteResponse() if arrival == 1:
            return CompensateResponse(completed=Completed())
        case Manner.WRONG_KIND, CompensateResponse() if arrival == 1:
            return ExecuteResponse(completed=Completed())
        case Manner.HOSTILE, ExecuteResponse() | CompensateResponse() if reply.WhichOneof("answer") == "rejected":
            return type(reply)(rejected=Rejected(error=_hostile(reply.rejected.error.code, chance)))
        case Manner.HOSTILE, SagaError():
            return _hostile(reply.code, chance)
        case _:
            return reply


def certainty(asked_to_undo: bool, reply: Reply) -> str:
    """What an answer says by the documentation: completed, rejected or failed."""
    own = CompensateResponse if asked_to_undo else ExecuteResponse
    if not isinstance(reply, own):
        return "failed"
    return reply.WhichOneof("answer") or "failed"


_UNUSABLE = (
    Completed(output=Payload(text="no content type")),
    Completed(output=Payload(content_type="text/plain", text="x" * (MAX_PAYLOAD_BYTES + 1))),
    Completed(output=Payload(content_type="text/\n", text="x")),
    Completed(output=Payload(content_type="text/plain", omitted_bytes=7)),
    Completed(output_error=SagaError(code="OUTPUT_INVALID", retryable=True)),
)
UNUSABLE_CODES = frozenset({"OUTPUT_INVALID", "OUTPUT_TOO_LARGE"})
"""What is on record of the outputs above, and of nothing else."""


def _hostile(code: str, chance: float) -> SagaError:
    made = SagaError(code=code, message="simulated \x00", retryable=True, omitted_bytes=2**64 - 1)
    made.details.update({"price": math.nan, "all": [math.inf, {"n": 1e300}]})
    match int(chance * 4):
        case 0:
            made.timestamp.seconds, made.timestamp.nanos = 2**62, -1
        case 1:
            made.message = "ü" * 10_000
        case 2:
            inner = made
            for _ in range(60):
                inner = inner.cause
            inner.code = "INNERMOST"
        case _:
            made.type = 99  # type: ignore[assignment] # of a later version
    return made
