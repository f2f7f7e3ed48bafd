"""What a saga waits for, and until when: the one list that the machine works off and from which ``due_at`` is taken.

It is derived from the saga's record alone. Every item says what is to be done once its time has come. A saga that waits
for an answer is also due when that answer can no longer come, so that no transport's silence can strand a saga
(invariant 14). Because the machine acts on exactly the items that are due, a wake-up at ``due_at`` always finds
something to do, and one before it nothing.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Call, Saga, StepState
from swit_saga_server.core.states import CompensationStatus, SagaState, StepStatus
from swit_saga_server.core.undo import sequential
from swit_saga_server.core.units import SKEW_ALLOWANCE, Instant


class Do(Enum):
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


class Item(NamedTuple):
    """One thing to be done.

    Attributes:
        at: From when on; 0 is at once.
        do: What.
        step_index: With which step; -1 for the saga as a whole.
        kind: With which of its calls.
    """

    at: Instant
    do: Do
    step_index: int = -1
    kind: Kind = Kind.EXECUTE


def agenda(saga: Saga) -> list[Item]:
    """Everything that waits, in no particular order; empty if the saga has its outcome."""
    if saga.state.is_terminal:
        return []
    if saga.quarantined:
        return [Item(saga.quarantined_until, Do.TRY_AGAIN)]
    if saga.state is SagaState.PENDING:
        return [Item(saga.created_at, Do.BEGIN)]
    if saga.stop_cause is not None:
        return backward(saga.steps)
    return [Item(saga.deadline, Do.TIME_OUT), *[of_step(s) for s in saga.steps if _waits(s)]]


def due_at(saga: Saga) -> Instant:
    """When ``saga`` next needs a ``Wake`` if nothing else happens; 0 if never."""
    items = agenda(saga)
    # What can be done at once is done in the same transition, unless a gate made it wait: then it is overdue.
    return (min([item.at for item in items]) or saga.updated_at) if items else 0


def _waits(step: StepState) -> bool:
    # A step whose turn has come and that does not begin at once is given the time from when on it may.
    return step.status is StepStatus.RUNNING or (step.status is StepStatus.PENDING and step.ready_at > 0)


def of_step(step: StepState) -> Item:
    """What a step waits for whose turn has come."""
    if step.status is StepStatus.PENDING:
        return Item(step.ready_at, Do.ATTEMPT, step.index)
    if step.call.in_flight:
        return Item(silent_at(step.call), Do.GIVE_UP, step.index)
    return Item(step.call.retry_at, Do.ATTEMPT, step.index)


def backward(steps: Sequence[StepState]) -> list[Item]:
    """What a saga waits for that was stopped."""
    # What is open is waited for first: an answer is worth more than a guess.
    still_open = [Item(silent_at(s.call), Do.GIVE_UP, s.index) for s in steps if s.call.in_flight]
    return still_open or [_undo(step) for step in sequential(steps)] or [Item(0, Do.FINISH)]


def _undo(step: StepState) -> Item:
    index, comp = step.index, step.compensation
    if comp is None:
        # While an attempt in doubt may still start, its compensation could come before it.
        return Item(silent_at(step.call) if step.call.doubt else 0, Do.ATTEMPT, index, Kind.COMPENSATE)
    if comp.status is CompensationStatus.FAILED:
        return Item(0, Do.FAIL, index)
    if comp.call.in_flight:
        return Item(silent_at(comp.call), Do.GIVE_UP, index, Kind.COMPENSATE)
    return Item(comp.call.retry_at, Do.ATTEMPT, index, Kind.COMPENSATE)


def silent_at(call: Call) -> Instant:
    """From when on no attempt of this call can start any more: its not-after time, and an allowance for clocks."""
    return call.not_after + SKEW_ALLOWANCE
