"""Rules for one applied write: what was stored, what is stored now, and what the participants had said by then.

A rewind excuses nothing in here: a write is held against what the store really held before it.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Call, Saga, StepState, same_origin
from swit_saga_server.core.retry import Backoff, RetryPolicy
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState
from swit_saga_server.core.units import SECOND
from swit_saga_server.store.contract import Write
from tests.support.simulation.case import Case
from tests.support.simulation.manners import UNUSABLE_CODES

Found: TypeAlias = Iterator[tuple[int, str]]

SKEW = 2 * SECOND
"""Design §4, Stopping: how long past its not-after time an unanswered attempt may still begin."""

MOVES: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"running", "cancelled", "timed_out"}),
    "running": frozenset({"step_completed", "completed", "compensating"}),
    "step_completed": frozenset({"running", "compensating", "cancelled", "timed_out"}),
    "compensating": frozenset({"compensated", "failed", "cancelled", "timed_out"}),
}
STEP_MOVES: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"running"}),
    "running": frozenset({"completed", "failed"}),
    "completed": frozenset({"compensating"}),
    "failed": frozenset({"compensating"}),
    "compensating": frozenset({"compensated", "failed"}),
}
LAST_EVENT = {
    "completed": "saga.completed",
    "compensated": "compensation.completed",
    "cancelled": "saga.cancelled",
    "timed_out": "saga.timed_out",
    "failed": "saga.failed",
}
OUTCOMES = {
    None: frozenset({"completed"}),
    "failure": frozenset({"compensated", "failed"}),
    "cancel": frozenset({"cancelled", "failed"}),
    "deadline": frozenset({"timed_out", "failed"}),
}
UNREADABLE_CODES = frozenset({"CALL_FAILED", "UNREADABLE_ANSWER", "EMPTY_ANSWER", "UNSPECIFIED"})
"""What is recorded where an answer came and said nothing."""
REJECTION_CODES = frozenset({"OUT_OF_STOCK", "CANNOT_UNDO", "ALREADY_COMPENSATED"})
"""What the simulated participants only say when they reject."""
_NO_CALL = Call()
_UNDONE = (CompensationStatus.COMPLETED, CompensationStatus.SKIPPED)


def _reach(moves: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    """From where one can get to where, in any number of moves."""
    reach: dict[str, set[str]] = {s: {s, *following} for s, following in moves.items()}
    for _ in moves:
        for following in reach.values():
            following |= {far for near in tuple(following) for far in reach.get(near, ())}
    return {s: frozenset(following) for s, following in reach.items()}


STEP_REACH = _reach(STEP_MOVES)


def check_write(case: Case, write: Write) -> Found:
    """What is wrong with a write the store applied; ``case`` still holds what was stored before."""
    stored, after = case.stored, write.saga
    before = stored.saga if stored else None
    if (before.version if before else 0) != write.base_version:
        yield 4, f"applied on version {write.base_version}, stored was {before.version if before else 0}"
    if after.version <= write.base_version:
        yield 4, f"version went from {write.base_version} to {after.version}"
    yield from _check_sequence(before, write)
    yield from _check_states(before, write)
    if before is not None:
        yield from _check_header(before, after)
    yield from _check_parts(before, write)
    for index, step in enumerate(after.steps):
        old = before.steps[index] if before is not None and index < len(before.steps) else None
        if old is not step:
            yield from _check_step(case, before, after, old, step)
    yield from _check_words(write)
    yield from _check_heard(case, write)
    yield from _check_need(write)
    if after.state.is_terminal:
        yield from check_outcome(after, case.definition)
        if not write.events or write.events[-1].type != LAST_EVENT[after.state]:
            yield 2, f"{after.state}, and its last event is another's"


def _check_sequence(before: Saga | None, write: Write) -> Found:
    """4: events are part of the write, and continue what is stored."""
    after, last = write.saga, before.last_sequence if before else 0
    for event in write.events:
        last += 1
        if event.sequence != last:
            yield 4, f"event {event.sequence} stands where {last} belongs"
            return
    if after.last_sequence != last:
        yield 4, f"last_sequence is {after.last_sequence} after {last} events"
    if before is not None and after.updated_at < before.updated_at:
        yield 4, "its time went back"


def _check_states(before: Saga | None, write: Write) -> Found:
    """2, 3: from state to state along the table, and out of an outcome never."""
    after = write.saga
    state = str(before.state) if before else "pending"
    if before is not None and before.state.is_terminal:
        yield 2, f"{before.state} was left: version {after.version}, {after.state}"
        return
    for event in write.events:
        if not event.new_state or event.new_state == event.previous_state:
            continue
        if event.step_id:
            if event.new_state not in STEP_MOVES.get(event.previous_state, ()):
                yield 3, f"step {event.step_id}: {event.previous_state} -> {event.new_state}"
            continue
        if state not in MOVES:
            yield 2, f"{event.type} after {state}"
        elif event.previous_state != state or event.new_state not in MOVES[state]:
            yield 3, f"{event.previous_state} -> {event.new_state}, it was {state}"
        state = event.new_state
    if state != after.state:
        yield 3, f"the events end at {state}, the saga is {after.state}"
    for index, step in enumerate(after.steps):
        was = str(before.steps[index].status) if before else "pending"
        if was != step.status and step.status not in STEP_REACH.get(was, ()):
            yield 3, f"step {index}: {was} -> {step.status}"


def _check_header(before: Saga, after: Saga) -> Found:
    """17: pinned to its definition; 13: to its request; 2: to its first cause to stop."""
    if (after.definition_id, after.definition_version, after.definition_digest) != (
        before.definition_id,
        before.definition_version,
        before.definition_digest,
    ):
        yield 17, f"definition {before.definition_id} {before.definition_version} became another"
    if len(after.steps) != len(before.steps) or after.settings != before.settings:
        yield 17, "its steps or settings became others"
    if (after.fingerprint, after.initial_data, after.created_at) != (
        before.fingerprint,
        before.initial_data,
        before.created_at,
    ):
        yield 13, "its request became another"
    if before.stop_cause is not None and (after.stop_cause, after.stop_reason) != (
        before.stop_cause,
        before.stop_reason,
    ):
        yield 2, f"stopped by {before.stop_cause}, then by {after.stop_cause}"


def _check_parts(before: Saga | None, write: Write) -> Found:
    """4, 14: what is written is all that changed, and where a takeover will look for it."""
    after = write.saga
    if before is not None:
        for index, (old, new) in enumerate(zip(before.steps, after.steps, strict=False)):
            if old is not new and index not in write.changed_steps and old != new:
                yield 4, f"step {index} changed, and is not among the changed steps"
        if not write.changed_origin and not same_origin(before, after):
            yield 4, "its origin changed, and is said not to have"
    out = any(_is_out(step) for step in after.steps)
    if out is not write.in_flight:
        yield 14, f"in_flight is {write.in_flight}, a command is {'out' if out else 'not out'}"
    if not after.state.is_terminal and write.due_at <= 0:
        yield 14, f"{after.state} is never due"


def _is_out(step: StepState) -> bool:
    return step.call.in_flight or (step.compensation is not None and step.compensation.call.in_flight)


def _check_step(case: Case, before: Saga | None, after: Saga, old: StepState | None, new: StepState) -> Found:
    index = new.index
    was = old.call if old else _NO_CALL
    sent = (new.call.attempts, new.call.resends) != (was.attempts, was.resends)
    if sent and was.attempts == 0 and not all(s.effect is Effect.DONE for s in after.steps[:index]):
        yield 7, f"step {index} began before its turn"
    if sent and before is not None and before.stop_cause is not None:
        yield 7, f"step {index} was intended after the saga was stopped"
    if sent and old is not None and old.effect is Effect.DONE:
        yield 8, f"step {index} was tried again after its success"
    if sent and before is not None:
        yield from _check_time(case.definition, after, new)
    yield from _check_effect(case, old, new)
    policy = _policy(case.definition, after, index)
    yield from _check_count(f"step {index}", was, new.call, policy)
    comp, old_comp = new.compensation, old.compensation if old else None
    if comp is None:
        if old_comp is not None:
            yield 16, f"the compensation of step {index} is forgotten"
        return
    began = old_comp.call if old_comp else _NO_CALL
    yield from _check_count(f"compensation {index}", began, comp.call, _undo_policy(case.definition, after, index))
    if not began.attempts and comp.call.attempts:
        yield from _check_turn(after, new)
    if comp.status is CompensationStatus.COMPLETED and (Kind.COMPENSATE, index, "completed") not in case.answers:
        yield 10, f"nobody said that step {index} is undone"
    if comp.status is CompensationStatus.FAILED:
        spent = comp.call.attempts >= _allowed(_undo_policy(case.definition, after, index))
        if not spent and (Kind.COMPENSATE, index, "rejected") not in case.answers:
            yield 16, f"step {index}: given up after {comp.call.attempts} attempts to undo it"


def _check_time(definition: Definition | None, after: Saga, new: StepState) -> Found:
    """14: its deadline is one of the things that move a saga; forward it goes no further than that."""
    timeout = definition.timeout if definition is not None else None
    deadline = (after.started_at or after.created_at) + (timeout or after.settings.timeout)
    if new.call.last_attempt_at >= deadline:
        yield 14, f"step {new.index} was intended after the saga's deadline"
    if new.call.not_after > deadline:
        yield 14, f"step {new.index} may begin after the saga's deadline"


def _check_effect(case: Case, old: StepState | None, new: StepState) -> Found:
    """11: what happened is what the participant said; and of what it has not said, nothing is taken for certain."""
    index, call = new.index, new.call
    if new.effect is Effect.NONE and call.attempts:
        if call.attempts + call.resends > 1:
            yield 11, f"step {index}: taken for undone while {call.attempts + call.resends - 1} sends are in doubt"
        if (Kind.EXECUTE, index, 1, "rejected") not in case.said:
            yield 11, f"step {index}: its effect vanished without a rejection"
    elif new.effect is not Effect.NONE and not call.attempts:
        yield 11, f"step {index}: {new.effect} without an attempt"
    if new.effect is Effect.DONE and (Kind.EXECUTE, index, "completed") not in case.answers:
        yield 11, f"step {index}: success nobody reported"
    if old is not None and old.effect is Effect.DONE and new.effect is not Effect.DONE:
        yield 11, f"step {index}: its success became {new.effect}"


def _check_count(what: str, was: Call, now: Call, policy: RetryPolicy) -> Found:
    """18: never more attempts than allowed, none forgotten, none before its time."""
    allowed = _allowed(policy)
    if now.attempts > allowed:
        yield 18, f"{what}: {now.attempts} attempts of {allowed}"
    if now.attempts < was.attempts or now.resends < was.resends:
        yield 18, f"{what}: attempts were forgotten"
    if now.attempts > was.attempts and now.last_attempt_at < was.retry_at:
        yield 18, f"{what}: tried again before its backoff was over"


def _check_turn(after: Saga, new: StepState) -> Found:
    """10: what is in doubt is undone first, then the rest in reverse; and nothing while an Execute may still begin."""
    comp = new.compensation
    assert comp is not None
    if any(s.call.in_flight for s in after.steps):
        yield 10, f"step {new.index} is undone while a step is open"
    if new.call.doubt and comp.call.started_at < new.call.not_after + SKEW:
        yield 10, f"step {new.index} is undone while an attempt may still begin"
    for other in after.steps:
        if other.index == new.index or other.effect is Effect.NONE:
            continue
        maybe_first = other.effect is Effect.MAYBE and new.effect is Effect.DONE
        later = other.effect is new.effect and other.index > new.index
        if (maybe_first or later) and (other.compensation is None or other.compensation.status not in _UNDONE):
            yield 10, f"step {new.index} is undone before step {other.index}"


def _check_words(write: Write) -> Found:
    """7, 8: the events of one write tell the order within it."""
    done: set[str] = set()
    stopped = False
    for event in write.events:
        match event.type:
            case "saga.step.completed":
                done.add(event.step_id)
            case "compensation.started":
                stopped = True
            case "saga.step.started" | "retry.attempted" if event.metadata.get("kind") != "compensate":
                if event.step_id in done:
                    yield 8, f"step {event.step_id} was tried again after its success"
                if stopped:
                    yield 7, f"step {event.step_id} was intended after the saga was stopped"


def _check_heard(case: Case, write: Write) -> Found:
    """11: a certain answer is certain, whatever it is said with; what was heard of it must be what follows."""
    ids = {step.id: step for step in write.saga.steps}
    for event in write.events:
        kind = {"saga.step.failed": Kind.EXECUTE, "compensation.step.failed": Kind.COMPENSATE}.get(event.type)
        if kind is None or event.error is None:
            continue
        index, code = ids[event.step_id].index, event.error.code
        what = f"{kind} {index}, attempt {event.attempt}"
        if code in UNREADABLE_CODES and (kind, index, event.attempt, "failed") not in case.said:
            yield 11, f"{what}: {code}, and the participant had said something certain"
        if code in UNUSABLE_CODES and ids[event.step_id].effect is not Effect.DONE:
            yield (
                11,
                f"{what}: {code}, so that it was heard that it is done, and its effect is {ids[event.step_id].effect}",
            )
        if code in UNUSABLE_CODES and kind is Kind.COMPENSATE:
            yield 11, f"{what}: {code}, and what a compensation returns does not matter"
        if code in REJECTION_CODES and event.new_state != "failed":
            yield 11, f"{what}: {code}, and it is not taken for a rejection"


def _check_need(write: Write) -> Found:
    """9: nothing is undone before the saga is stopped."""
    saga = write.saga
    if saga.stop_cause is None and any(s.compensation is not None for s in saga.steps):
        yield 9, "a compensation was intended, and the saga was not stopped"


def check_outcome(saga: Saga, definition: Definition | None) -> Found:
    """2, 9, 10, 16: what an outcome promises, on the record. Holds for every record, rewound or not."""
    if saga.state not in OUTCOMES[saga.stop_cause]:
        yield 2, f"stopped by {saga.stop_cause}, ended {saga.state}"
    if saga.state is SagaState.COMPLETED:
        if not all(s.status in ("completed", "skipped") for s in saga.steps):
            yield 9, "completed with a step that is not"
        if any(s.compensation is not None for s in saga.steps):
            yield 9, "completed with a compensation"
        return
    if saga.error is None:
        yield 16, f"{saga.state}, and no error says why"
    if saga.state is SagaState.FAILED:
        failed = [s for s in saga.steps if s.compensation and s.compensation.status is CompensationStatus.FAILED]
        if not failed or any(s.compensation is None or s.compensation.error is None for s in failed):
            yield 16, "failed, and no step shows why"
        return
    for step in saga.steps:
        if step.effect is not Effect.NONE and not _is_undone(step, definition):
            yield 10, f"{saga.state}, and step {step.index} ({step.effect}) is not undone"
        if step.compensation is not None and step.compensation.status is CompensationStatus.FAILED:
            yield 16, f"{saga.state}, and step {step.index} could not be undone"


def _is_undone(step: StepState, definition: Definition | None) -> bool:
    comp = step.compensation
    if comp is None:
        return False
    if comp.status is CompensationStatus.SKIPPED:
        return definition is None or definition.steps[step.index].compensation.disabled
    return comp.status is CompensationStatus.COMPLETED


def _policy(definition: Definition | None, saga: Saga, index: int) -> RetryPolicy:
    if definition is None:
        return saga.settings.retry_policy
    return definition.steps[index].retry_policy or definition.retry_policy or saga.settings.retry_policy


def _undo_policy(definition: Definition | None, saga: Saga, index: int) -> RetryPolicy:
    if definition is None:
        return saga.settings.compensation_retry_policy
    own = definition.steps[index].compensation.retry_policy or definition.compensation_retry_policy
    return own or saga.settings.compensation_retry_policy


def _allowed(policy: RetryPolicy) -> int:
    return 1 if policy.backoff is Backoff.NONE else policy.max_attempts
