"""What must hold for every saga (docs/invariants.md), judged from its recorded transitions, or events alone.

It calls none of the machine's functions: it must not share the machine's mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Completed, Input, Rejected, TakenOver, Unknown
from swit_saga_server.core.model import Call, Saga
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState, StepStatus

LAST_EVENT = {
    "completed": "saga.completed",
    "compensated": "compensation.completed",
    "cancelled": "saga.cancelled",
    "timed_out": "saga.timed_out",
    "failed": "saga.failed",
}
MOVES = {
    "pending": {"running", "cancelled", "timed_out"},
    "running": {"step_completed", "completed", "compensating"},
    "step_completed": {"running", "compensating", "cancelled", "timed_out"},
    "compensating": {"compensated", "failed", "cancelled", "timed_out"},
}


class Violated(AssertionError):
    """An invariant does not hold; the message begins with its number."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One decision: what was given, the saga before and after, and the events."""

    given: Input
    before: Saga
    after: Saga
    events: tuple[SagaEvent, ...]
    due_at: int


def require(number: int, holds: object, what: str) -> None:
    if not holds:
        raise Violated(f"invariant {number}: {what}")


def check_transition(t: Transition, definition: Definition) -> None:
    """The invariants that speak of one transition."""
    before, after = t.before, t.after
    if after is before:
        require(4, not t.events, "events without a transition")
        return
    require(2, not before.state.is_terminal, f"{before.state} was left")
    require(3, _reachable(before, t), f"{before.state} -> {after.state}")
    require(4, after.version == before.version + 1, f"version {before.version} -> {after.version}")
    numbers = [e.sequence for e in t.events]
    first = before.last_sequence + 1
    require(15, numbers == list(range(first, first + len(numbers))), f"sequences {numbers} after {first - 1}")
    require(15, after.last_sequence == before.last_sequence + len(numbers), "last_sequence is not the last")
    require(17, (after.definition_id, after.definition_digest) == (before.definition_id, before.definition_digest), "")
    if not after.state.is_terminal:
        require(14, t.due_at > 0, f"{after.state} is never due")
    for i, (old, new) in enumerate(zip(before.steps, after.steps, strict=True)):
        started = new.call.attempts > old.call.attempts
        if started:
            require(7, all(s.effect is Effect.DONE for s in after.steps[:i]), f"step {i} began before its turn")
            require(7, after.stop_cause is None, f"step {i} was intended after the saga was stopped")
            require(8, old.effect is not Effect.DONE, f"step {i} was tried again after its success")
            require(6, new.effect is not Effect.NONE, f"step {i} is out without 'maybe'")
            policy = definition.steps[i].retry_policy or after.settings.retry_policy
            require(18, new.call.attempts <= policy.attempts_allowed, f"step {i}: {new.call.attempts} attempts")
        require(18, new.call.attempts - old.call.attempts in (0, 1), f"step {i}: attempts were not counted one by one")
        _check_doubt(t, i, old.call, new.call)
        if old.effect is not Effect.NONE and new.effect is Effect.NONE:
            rejected = isinstance(t.given, Answered) and isinstance(t.given.answer, Rejected)
            require(11, rejected and t.given.step_index == i, f"step {i}: its effect vanished without a rejection")  # type: ignore[union-attr]
            others = old.call.attempts - 1 + old.call.resends
            require(11, others == 0, f"step {i}: taken for undone while {others} other sends are in doubt")
        if old.effect is not Effect.DONE and new.effect is Effect.DONE:
            said = isinstance(t.given, Answered) and t.given.kind is Kind.EXECUTE
            require(11, said and isinstance(t.given.answer, Completed), f"step {i}: success nobody reported")  # type: ignore[union-attr]
    _check_undo_order(before, after)
    if after.state.is_terminal:
        check_outcome(after, definition)
        require(4, t.events and t.events[-1].type == LAST_EVENT[after.state], f"{after.state}: last event is wrong")


def _check_doubt(t: Transition, i: int, old: Call, new: Call) -> None:
    if isinstance(t.given, TakenOver):
        require(18, new.attempts >= old.attempts, f"step {i}: a takeover lost attempts")
    answered = isinstance(t.given, Answered) and t.given.step_index == i
    unknown = answered and isinstance(t.given.answer, Unknown)  # type: ignore[union-attr]
    if old.doubt and not new.doubt:
        require(11, answered and not unknown, f"step {i}: doubt vanished by itself")


def _reachable(before: Saga, t: Transition) -> bool:
    """The saga's own events must lead from state to state along the moves."""
    state = str(before.state)
    for e in t.events:
        of_saga = not e.step_id and e.new_state
        if of_saga:
            if e.previous_state != state or e.new_state not in MOVES.get(state, ()):
                return False
            state = e.new_state
    return state == t.after.state


def _check_undo_order(before: Saga, after: Saga) -> None:
    """A compensation begins only when every step that goes before it is undone (invariant 10)."""
    for i, (old, new) in enumerate(zip(before.steps, after.steps, strict=True)):
        began = new.compensation is not None and new.compensation.call.attempts == 1
        if not began or (old.compensation is not None and old.compensation.call.attempts):
            continue
        require(10, not any(s.call.in_flight for s in after.steps), f"step {i} is undone while another is open")
        for other in after.steps:
            if other.index == i or other.effect is Effect.NONE:
                continue
            maybe_first = other.effect is Effect.MAYBE and new.effect is Effect.DONE
            later = other.effect is new.effect and other.index > i
            if maybe_first or later:
                done = other.compensation is not None and other.compensation.status in (
                    CompensationStatus.COMPLETED,
                    CompensationStatus.SKIPPED,
                )
                require(10, done, f"step {i} is undone before step {other.index}")


def check_outcome(saga: Saga, definition: Definition) -> None:
    """The invariants that speak of an outcome."""
    if saga.state is SagaState.COMPLETED:
        ok = all(s.status in (StepStatus.COMPLETED, StepStatus.SKIPPED) for s in saga.steps)
        require(9, ok, "completed with a step that is not")
        require(9, all(s.compensation is None for s in saga.steps), "completed with a compensation")
    elif saga.state is SagaState.FAILED:
        failed = [s for s in saga.steps if s.compensation and s.compensation.status is CompensationStatus.FAILED]
        require(16, failed and saga.error is not None, "failed, and nothing shows why")
        require(16, all(s.compensation and s.compensation.error for s in failed), "a failed compensation has no error")
    elif saga.state.is_terminal:
        for s in saga.steps:
            if s.effect is Effect.NONE:
                continue
            undone = s.compensation is not None and (
                s.compensation.status is CompensationStatus.COMPLETED
                or (
                    s.compensation.status is CompensationStatus.SKIPPED
                    and definition.steps[s.index].compensation.disabled
                )
            )
            require(10, undone, f"{saga.state}, and step {s.index} ({s.effect}) is not undone")


def check_history(saga: Saga, events: Sequence[SagaEvent], definition: Definition) -> None:
    """Everything that the events and the saga as it is now can show; for tests that see no transitions."""
    require(15, [e.sequence for e in events] == list(range(1, len(events) + 1)), "sequences have gaps or repeats")
    require(15, saga.last_sequence == len(events), f"{len(events)} events, last_sequence {saga.last_sequence}")
    state = "pending"
    done: list[str] = []
    undone: list[str] = []
    began: set[str] = set()
    for e in events:
        require(2, state in MOVES, f"{e.type} after {state}")
        if not e.step_id and e.new_state:
            require(
                3, e.previous_state == state and e.new_state in MOVES[state], f"{e.previous_state} -> {e.new_state}"
            )
            state = e.new_state
        match e.type:
            case "saga.step.started":
                require(7, done == [s.id for s in definition.steps[: len(done)]], "steps ran out of order")
                require(7, e.step_id == definition.steps[len(done)].id, f"{e.step_id} began before its turn")
                require(8, e.step_id not in began, f"{e.step_id} began twice")
                began.add(e.step_id)
            case "retry.attempted" if e.metadata.get("kind") != "compensate":
                require(8, e.step_id not in done, f"{e.step_id} was tried again after its success")
                require(18, e.attempt <= e.max_attempts, f"{e.step_id}: attempt {e.attempt} of {e.max_attempts}")
            case "saga.step.completed":
                done.append(e.step_id)
            case "compensation.step.completed":
                undone.append(e.step_id)
    require(3, state == saga.state, f"events end {state}, the saga is {saga.state}")
    require(10, [i for i in undone if i in done] == [i for i in reversed(done) if i in undone], "undone out of order")
    if saga.state.is_terminal:
        check_outcome(saga, definition)
        require(2, events[-1].type == LAST_EVENT[saga.state], f"{saga.state} ends with {events[-1].type}")
