"""What a saga waits for, and until when: the one list that the machine works off and from which ``due_at`` is taken.

It is derived from the saga's record alone. Every item says what is to be done once its time has come. A saga that waits
for an answer is also due when that answer can no longer come, so that no transport's silence can strand a saga
(invariant 14). Because the machine acts on exactly the items that are due, a wake-up at ``due_at`` always finds
something to do, and one before it nothing.
"""

from collections.abc import Sequence
from enum import IntEnum, auto
from typing import TypeAlias

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Call, Saga, StepState
from swit_saga_server.core.states import CompensationStatus, SagaState, StepStatus
from swit_saga_server.core.undo import sequential
from swit_saga_server.core.units import NEVER, SKEW_ALLOWANCE, Instant


class Do(IntEnum):
    """What is to be done."""

    BEGIN = auto()
    """Set a pending saga going."""
    TRY_AGAIN = auto()
    """Take a quarantined saga up again."""
    TIME_OUT = auto()
    """Stop the saga: its own time is over."""
    GIVE_UP = auto()
    """Take an open call for unanswered: its answer can no longer come."""
    ATTEMPT = auto()
    """Intend the next attempt of a call."""
    FAIL = auto()
    """Record that an effect cannot be undone."""
    FINISH = auto()
    """Record the outcome: nothing is left to do."""


Item: TypeAlias = tuple[Instant, Do, int, Kind]
"""One thing to be done: from when on (0 is at once), what, with which step (-1: the saga as a whole), and with which of
its calls. A bare tuple, because every transition makes some; the earliest is the least.
"""


def agenda(saga: Saga) -> list[Item]:
    """Everything that waits, in no particular order; empty if the saga has its outcome."""
    if saga.state.is_terminal:
        return []
    if saga.quarantined:
        return [(saga.quarantined_until, Do.TRY_AGAIN, -1, Kind.EXECUTE)]
    if saga.state is SagaState.PENDING:
        return [(saga.created_at, Do.BEGIN, -1, Kind.EXECUTE)]
    if saga.stop_cause is not None:
        return backward(saga.steps)
    items: list[Item] = [(saga.deadline, Do.TIME_OUT, -1, Kind.EXECUTE)]
    for step in saga.steps:
        status = step.status
        # A step whose turn has come and that does not begin at once is given the time from when on it may.
        if status is StepStatus.RUNNING or (status is StepStatus.PENDING and step.ready_at):
            items.append(of_step(step))
    return items


def due_at(saga: Saga) -> Instant:
    """When ``saga`` next needs a ``Wake`` if nothing else happens; 0 if never."""
    items = agenda(saga)
    # What can be done at once is done in the same transition, unless a gate made it wait: then it is overdue.
    return (min(items)[0] or saga.updated_at) if items else NEVER


def of_step(step: StepState) -> Item:
    """What a step waits for whose turn has come."""
    if step.status is StepStatus.PENDING:
        return step.ready_at, Do.ATTEMPT, step.index, Kind.EXECUTE
    if step.call.in_flight:
        return silent_at(step.call), Do.GIVE_UP, step.index, Kind.EXECUTE
    return step.call.retry_at, Do.ATTEMPT, step.index, Kind.EXECUTE


def backward(steps: Sequence[StepState]) -> list[Item]:
    """What a saga waits for that was stopped."""
    # What is open is waited for first: an answer is worth more than a guess.
    still_open: list[Item] = [(silent_at(s.call), Do.GIVE_UP, s.index, Kind.EXECUTE) for s in steps if s.call.in_flight]
    return still_open or [_undo(step) for step in sequential(steps)] or [(NEVER, Do.FINISH, -1, Kind.EXECUTE)]


def _undo(step: StepState) -> Item:
    index, comp = step.index, step.compensation
    if comp is None:
        # While an attempt in doubt may still start, its compensation could come before it.
        return silent_at(step.call) if step.call.doubt else NEVER, Do.ATTEMPT, index, Kind.COMPENSATE
    if comp.status is CompensationStatus.FAILED:
        return NEVER, Do.FAIL, index, Kind.COMPENSATE
    if comp.call.in_flight:
        return silent_at(comp.call), Do.GIVE_UP, index, Kind.COMPENSATE
    return comp.call.retry_at, Do.ATTEMPT, index, Kind.COMPENSATE


def silent_at(call: Call) -> Instant:
    """From when on no attempt of this call can start any more: its not-after time, and an allowance for clocks."""
    return call.not_after + SKEW_ALLOWANCE
