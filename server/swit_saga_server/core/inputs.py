"""Everything that can happen to a saga. The only way to change one is to hand one of these to ``machine.decide``."""

from typing import TypeAlias

from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.record import record


@record(frozen=True, slots=True)
class Completed:
    """The participant says it is done. What it returned only counts for Execute.

    Attributes:
        output: What it returned; None if nothing.
        error: Why what it returned cannot be used: the step was done, and fails all the same. There is no output then.
    """

    output: Payload | None = None
    error: SagaError | None = None


@record(frozen=True, slots=True)
class Rejected:
    """The participant's own explicit answer: this attempt did not happen; do not retry."""

    error: SagaError


@record(frozen=True, slots=True)
class Unknown:
    """No certain answer: a deadline, a lost connection, a crash, an empty or unreadable answer."""

    error: SagaError


Answer: TypeAlias = Completed | Rejected | Unknown


@record(frozen=True, slots=True)
class Wake:
    """Time has passed, or the saga is new: do whatever is due. Harmless at any time and any number of times."""


@record(frozen=True, slots=True)
class TakenOver:
    """This process now drives the saga and another one (or this one's former life) did before.

    What it may have had in flight is sent again under the same key and attempt number.
    """


@record(frozen=True, slots=True)
class Cancel:
    """Stop and undo. Idempotent.

    Attributes:
        reason: In the canceller's words.
        principal: Who cancels.
    """

    reason: str
    principal: Principal = ANONYMOUS


@record(frozen=True, slots=True)
class Answered:
    """A participant answered, or a transport gave up on, one send of a step's call."""

    kind: Kind
    step_index: int
    send_id: SendId
    answer: Answer


Input: TypeAlias = Wake | TakenOver | Cancel | Answered
