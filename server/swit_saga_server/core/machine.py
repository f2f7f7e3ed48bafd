"""The saga machine: what follows when something happens. Pure, total, and all of it here.

``decide(saga, definition, input, now)`` first takes the input in (an answer, a cancel, a takeover), then *advances*:
it does whatever the saga's state and the time call for, until nothing more can be done without waiting. So the same
few rules drive a fresh start, a retry, a restart and a fired timer, and a lost or repeated wake-up does no harm.

Forward: the first unfinished step is intended; its success intends the next in the same transition; success of the
last completes the saga. An attempt without a certain answer is *in doubt* and is retried under the same key.

Backward: the first cause to stop (a step's failure, a cancel, the deadline) fixes the outcome. No step is intended any
more; what is open is waited for, until it is answered or cannot start any longer; then every step whose effect is done
or in doubt is compensated, those in doubt first, then in reverse order of completion.

The effect of a step is ``maybe`` from the moment its first attempt is intended. Only the participant's own rejection
sets it back to ``none``, and only if no other send of the step is in doubt: an earlier attempt may have taken the
last item and its reply been lost, and then the later OUT_OF_STOCK is its echo.

An input that is illegal in a state raises and changes nothing. A move that ``table`` forbids raises
``IllegalTransition``; the engine then parks that saga alone (``park``).

Places kept for what comes later: a step graph replaces ``_current`` and ``undo_order``; other compensation
strategies replace ``undo_order`` and what ``_backward`` does on a failed compensation; pauses and operator actions are
further inputs.
"""

from collections.abc import Sequence
from typing import Any, assert_never

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import (
    RETRYABLE_TYPES,
    ErrorType,
    IllegalInput,
    IllegalTransition,
    SagaAlreadyFinished,
    SagaError,
)
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.inputs import (
    Answer,
    Answered,
    Cancel,
    Completed,
    Input,
    Kind,
    Rejected,
    TakenOver,
    Unknown,
    Wake,
)
from swit_saga_server.core.model import (
    Call,
    CompensationState,
    CompensationStatus,
    Effect,
    Saga,
    SagaState,
    StepState,
    StepStatus,
    StopCause,
    total_deadline,
)
from swit_saga_server.core.record import evolve, record
from swit_saga_server.core.retry import delay_after
from swit_saga_server.core.table import RECEPTION, STEP_TRANSITIONS, TRANSITIONS, Reception
from swit_saga_server.core.units import HOUR, MINUTE, SKEW_ALLOWANCE, Instant

COORDINATOR_SERVICE = "swit-saga"

_OUTCOME = {
    StopCause.FAILURE: SagaState.COMPENSATED,
    StopCause.CANCEL: SagaState.CANCELLED,
    StopCause.DEADLINE: SagaState.TIMED_OUT,
}
_LAST_EVENT = {
    SagaState.COMPLETED: EventType.SAGA_COMPLETED,
    SagaState.COMPENSATED: EventType.COMPENSATION_COMPLETED,
    SagaState.CANCELLED: EventType.SAGA_CANCELLED,
    SagaState.TIMED_OUT: EventType.SAGA_TIMED_OUT,
    SagaState.FAILED: EventType.SAGA_FAILED,
}
_UNDONE = frozenset({CompensationStatus.COMPLETED, CompensationStatus.SKIPPED})


@record(frozen=True, slots=True)
class Decision:
    """What ``decide`` found: the saga after (the very same object if nothing changed) and the transition's events."""

    saga: Saga
    events: tuple[SagaEvent, ...] = ()


def decide(
    saga: Saga, definition: Definition, given: Input, now: Instant, chance: float, *, room: bool = True
) -> Decision:
    """What follows when ``given`` happens to ``saga``.

    Args:
        saga: The saga as it is. It is not changed.
        definition: The very version the saga is pinned to.
        given: What happened.
        now: The time, by the store's clock; not before ``saga.updated_at``.
        chance: A uniform random number in [0, 1), for jitter.
        room: Whether an attempt of a step may be intended. Without room the saga waits for it, overdue; its deadline
            runs on, the attempt's own times have not begun. Compensations and resends need no room.

    Returns:
        The saga after, its version one higher if anything changed, and the events.

    Raises:
        SagaAlreadyFinished: A cancel came after another outcome.
        IllegalInput: The state does not take this input.
    """
    match RECEPTION[saga.state][type(given)]:
        case Reception.IGNORED:
            return Decision(saga)
        case Reception.ILLEGAL if saga.state.is_terminal:
            raise SagaAlreadyFinished(f"saga {saga.id!r} is already {saga.state}", saga_id=saga.id, state=saga.state)
        case Reception.ILLEGAL:
            raise IllegalInput(f"saga {saga.id!r} cannot take this while {saga.state}", saga_id=saga.id)
        case Reception.TAKEN:
            pass
    if saga.stuck and isinstance(given, Wake) and now < saga.stuck_until:
        return Decision(saga)
    turn = _Turn(saga, definition, max(now, saga.updated_at), chance, room)
    match given:
        case Wake():
            pass
        case TakenOver():
            turn.resend_open()
        case Cancel(reason):
            turn.stop(
                StopCause.CANCEL, _error(turn.now, "CANCELLED", reason or "cancelled", ErrorType.BUSINESS), reason
            )
        case Answered(kind, index, attempt, answer):
            take = turn.executed if kind is Kind.EXECUTE else turn.compensated
            take(index, attempt, answer)
        case _:
            assert_never(given)
    turn.advance()
    return turn.decision()


def due_at(saga: Saga) -> Instant:
    """When ``saga`` next needs a ``Wake`` if nothing else happens; 0 if never. Invariant 14 rests on this.

    Every state that waits for an answer is also due when that answer can no longer come, so that no transport's
    silence can strand a saga.
    """
    if saga.state.is_terminal:
        return 0
    if saga.stuck:
        return saga.stuck_until
    if saga.state is SagaState.PENDING:
        return saga.created_at
    if saga.stop_cause is None:
        return _forward_wait(saga)
    # A saga with nothing to wait for would be a bug; due at once, it shows itself instead of sleeping for ever.
    return min(_backward_wait(saga.steps), default=saga.updated_at)


def _forward_wait(saga: Saga) -> Instant:
    wait = saga.deadline
    for step in saga.steps:
        if step.status is StepStatus.RUNNING:
            wait = min(wait, _call_wait(step.call))
        elif step.status is StepStatus.PENDING and step.ready_at:
            wait = min(wait, step.ready_at)
    return wait


def _backward_wait(steps: Sequence[StepState]) -> list[Instant]:
    """What ``_backward`` waits for; only that, or a ``Wake`` would find nothing to do and be due again at once."""
    open_ = [_call_wait(s.call) for s in steps if s.call.in_flight]
    if open_:
        return open_
    for step in undo_order(steps):
        comp = step.compensation
        if comp is None:
            return [step.call.not_after + SKEW_ALLOWANCE]
        if comp.status not in _UNDONE:
            return [_call_wait(comp.call)]
    return []


def _call_wait(call: Call) -> Instant:
    return call.not_after + SKEW_ALLOWANCE if call.in_flight else call.retry_at


def undo_order(steps: Sequence[StepState]) -> list[StepState]:
    """Steps with something to undo: those in doubt first, then in reverse order of completion (sequential)."""
    undo = [s for s in reversed(steps) if s.effect is not Effect.NONE]
    undo.sort(key=lambda s: s.effect is not Effect.MAYBE)  # Stable: the reverse order stays within each half.
    return undo


def park(saga: Saga, error: SagaError, now: Instant) -> Decision:
    """Set aside a saga on which the machine itself failed: durably visible, tried again later, nothing else touched.

    The first failure in a row is an event; the wait doubles from one minute to one hour.
    """
    stuck = saga.stuck + 1
    first = saga.stuck == 0
    at = max(now, saga.updated_at)
    event = SagaEvent(
        sequence=saga.last_sequence + 1, type=EventType.SAGA_STUCK, at=at, error=error, service=COORDINATOR_SERVICE
    )
    after = evolve(
        saga,
        version=saga.version + 1,
        stuck=stuck,
        stuck_until=at + min(MINUTE << min(stuck - 1, 10), HOUR),
        last_sequence=saga.last_sequence + first,
        updated_at=at,
    )
    return Decision(after, (event,) if first else ())


class _Turn:
    """One transition in the making: the only mutable thing in the core, and it never leaves ``decide``."""

    def __init__(self, saga: Saga, definition: Definition, now: Instant, chance: float, room: bool) -> None:
        self.before = saga
        self.definition = definition
        self.now = now
        self.chance = chance
        self.room = room
        self.steps = list(saga.steps)
        self.changed = False
        self.header: dict[str, Any] = {}
        self.events: list[SagaEvent] = []
        self.state = saga.state
        self.stop_cause = saga.stop_cause

    def decision(self) -> Decision:
        if not (self.header or self.changed):
            return Decision(self.before)
        if self.before.stuck:
            self.header |= {"stuck": 0, "stuck_until": 0}
        after = evolve(
            self.before,
            version=self.before.version + 1,
            updated_at=self.now,
            last_sequence=self.before.last_sequence + len(self.events),
            steps=tuple(self.steps),
            **self.header,
        )
        return Decision(after, tuple(self.events))

    # ---- what happened -----------------------------------------------------------------------------------------

    def resend_open(self) -> None:
        """A former driver may have sent what is in flight: send it again, same number, and remember the doubt.

        A resend is not charged, so it gets an attempt's full time. A stopped saga's steps are not sent again: that
        could only make happen what would then have to be undone.
        """
        self._check_deadline()
        for step in self.steps:
            if step.call.in_flight and self.stop_cause is None:
                self._set(step, call=_resent(step.call, self._execute_limit(step)))
            elif step.call.in_flight:
                lost = _error(self.now, "ANSWER_LOST", "the coordinator restarted before the answer", ErrorType.SYSTEM)
                self._unanswered(step, lost)
            comp = step.compensation
            if comp is not None and comp.call.in_flight:
                call = _resent(comp.call, self._compensate_limit(step))
                self._set(step, compensation=evolve(comp, call=call))
        if self.before.stuck:
            self.header |= {"stuck": 0, "stuck_until": 0}

    def stop(self, cause: StopCause, error: SagaError, reason: str) -> None:
        """Go forward no more. The first cause stands; a later one changes nothing."""
        if self.stop_cause is not None:
            return
        self.stop_cause = cause
        self.header |= {"stop_cause": cause, "stop_reason": reason, "error": error}
        if cause is StopCause.DEADLINE:
            self.header["timed_out_at"] = self.now
        for step in self.steps:
            if step.status is StepStatus.RUNNING and not step.call.in_flight:
                call = evolve(step.call, retry_at=0)
                self._set(step, status=StepStatus.FAILED, completed_at=self.now, call=call)
        if cause is StopCause.FAILURE or any(s.effect is not Effect.NONE for s in self.steps):
            self._move(SagaState.COMPENSATING, EventType.COMPENSATION_STARTED, error=error)
        else:
            self._finish(_OUTCOME[cause])

    def executed(self, index: int, attempt: int, answer: Answer) -> None:
        """Take in the answer to an Execute. Any attempt's answer counts until the step's compensation is intended."""
        step = self.steps[index]
        call = step.call
        open_ = step.compensation is None and (step.status is StepStatus.RUNNING or step.effect is Effect.MAYBE)
        if not open_ or not 1 <= attempt <= call.attempts:
            return
        latest = call.in_flight and attempt == call.attempts
        only = call.attempts == 1 and not call.resends
        match answer:
            case Completed(output):
                settled = evolve(call, in_flight=False, retry_at=0, doubt=call.doubt and not only)
                if step.status is StepStatus.RUNNING:
                    duration = self.now - call.started_at
                    self._step_event(EventType.STEP_COMPLETED, step, StepStatus.COMPLETED, duration=duration)
                    over: dict[str, Any] = {"status": StepStatus.COMPLETED, "completed_at": self.now, "error": None}
                else:
                    over = {}
                self._set(step, effect=Effect.DONE, output=output, call=settled, **over)
            case Rejected(error):
                if not latest and call.in_flight:
                    return  # An older attempt's rejection says nothing about the one now open.
                certain = only or not call.doubt
                settled = evolve(call, in_flight=False, retry_at=0, doubt=not certain)
                self._set(step, call=settled, effect=Effect.NONE if certain else Effect.MAYBE)
                if step.status is StepStatus.RUNNING:
                    self._give_up(step, error)
            case Unknown(error):
                if latest:
                    self._unanswered(step, error)
            case _:
                assert_never(answer)

    def compensated(self, index: int, attempt: int, answer: Answer) -> None:
        """Take in the answer to a Compensate."""
        step = self.steps[index]
        comp = step.compensation
        if comp is None or comp.status is not CompensationStatus.RUNNING or not 1 <= attempt <= comp.call.attempts:
            return
        latest = comp.call.in_flight and attempt == comp.call.attempts
        settled = evolve(comp.call, in_flight=False, retry_at=0)
        match answer:
            case Completed():
                self._comp_event(
                    EventType.COMPENSATION_STEP_COMPLETED,
                    step,
                    comp,
                    StepStatus.COMPENSATED,
                    duration=self.now - comp.call.started_at,
                )
                done = evolve(
                    comp, status=CompensationStatus.COMPLETED, call=settled, completed_at=self.now, error=None
                )
                self._set(step, status=StepStatus.COMPENSATED, compensation=done)
            case Rejected(error):
                if latest or not comp.call.in_flight:
                    self._abandon(step, evolve(comp, call=settled), error)
            case Unknown(error):
                if latest:
                    self._comp_unanswered(step, evolve(comp, call=evolve(settled, doubt=True)), error)
            case _:
                assert_never(answer)

    # ---- what follows ------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do whatever is due, until nothing more can be done without waiting."""
        if self.state.is_terminal:
            return
        self._check_deadline()
        if self.stop_cause is None:
            self._forward()
        if self.stop_cause is not None and not self.state.is_terminal:
            self._backward()

    def _check_deadline(self) -> None:
        if self.stop_cause is None and self.now >= self.before.deadline:
            text = f"not finished within {self.before.settings.timeout / 1e6:g} s"
            self.stop(StopCause.DEADLINE, _error(self.now, "SAGA_TIMED_OUT", text, ErrorType.TIMEOUT), text)

    def _forward(self) -> None:
        if self.state is SagaState.PENDING:
            self.header["started_at"] = self.now
            self._move(SagaState.RUNNING, EventType.SAGA_STARTED)
        step = self._current()
        if step is None:
            self._finish(SagaState.COMPLETED)
            return
        if step.call.in_flight and self._expired(step.call):
            self._unanswered(step, self._silence(step.call))
            if self.stop_cause is not None:
                return
            step = self.steps[step.index]
        delay = self.definition.steps[step.index].delay
        if step.status is StepStatus.PENDING and not step.ready_at and (delay or not self.room):
            step = self._set(step, ready_at=self.now + delay)
        if step.status is StepStatus.PENDING and (self.now < step.ready_at or not self.room):
            if self.state is SagaState.RUNNING:
                self._move(SagaState.STEP_COMPLETED, EventType.STATE_CHANGED)
            return
        if self.state is SagaState.STEP_COMPLETED:
            self._move(SagaState.RUNNING, EventType.STATE_CHANGED)
        if not step.call.in_flight and self.now >= step.call.retry_at and self.room:
            self._intend(step)

    def _backward(self) -> None:
        for step in self.steps:
            if step.call.in_flight:
                if not self._expired(step.call):
                    return  # Wait for what is open: an answer is worth more than a guess.
                self._unanswered(step, self._silence(step.call))
        for step in undo_order(self.steps):
            index = step.index
            if step.compensation is None and self.definition.steps[index].compensation.disabled:
                skipped = CompensationState(status=CompensationStatus.SKIPPED, completed_at=self.now)
                step = self._set(step, compensation=skipped)
            comp = step.compensation
            if comp is None:
                if step.call.doubt and not self._expired(step.call):
                    return
                self._intend_compensation(step, CompensationState())
                return
            if comp.status in _UNDONE:
                continue
            if comp.status is CompensationStatus.RUNNING and comp.call.in_flight and self._expired(comp.call):
                settled = evolve(comp, call=evolve(comp.call, in_flight=False, doubt=True))
                self._comp_unanswered(step, settled, self._silence(comp.call))
                comp = self.steps[index].compensation
                assert comp is not None
            if comp.status is CompensationStatus.FAILED:
                self._fail(step, comp)
            elif not comp.call.in_flight and self.now >= comp.call.retry_at:
                self._intend_compensation(self.steps[index], comp)
            return
        assert self.stop_cause is not None
        self._finish(_OUTCOME[self.stop_cause])

    def _current(self) -> StepState | None:
        """The step whose turn it is: the first of the chain not yet over."""
        for step in self.steps:
            if step.status not in (StepStatus.COMPLETED, StepStatus.SKIPPED):
                return step
        return None

    def _expired(self, call: Call) -> bool:
        return self.now >= call.not_after + SKEW_ALLOWANCE

    # ---- attempts ----------------------------------------------------------------------------------------------

    def _intend(self, step: StepState) -> None:
        d = self.definition.steps[step.index]
        policy = d.retry_policy or self.before.settings.retry_policy
        call = self._next_attempt(step.call, self._execute_limit(step))
        first = call.attempts == 1
        waited = {} if first else {"delay_ms": step.call.backoff // 1000}
        kind = EventType.STEP_STARTED if first else EventType.RETRY_ATTEMPTED
        limit = policy.attempts_allowed
        self._call_event(kind, step, call.attempts, limit, StepStatus.RUNNING, metadata=waited)
        effect = Effect.MAYBE if step.effect is Effect.NONE else step.effect
        self._set(step, max_attempts=limit, call=call, status=StepStatus.RUNNING, effect=effect)

    def _unanswered(self, step: StepState, error: SagaError) -> None:
        """The open attempt ended without a certain answer: in doubt, and tried again if there is any use in it."""
        call = evolve(step.call, in_flight=False, doubt=True)
        step = self._set(step, call=call)
        policy = self.definition.steps[step.index].retry_policy or self.before.settings.retry_policy
        if self.stop_cause is not None or not error.retryable:
            self._give_up(step, error)
            return
        delay = delay_after(policy, call.attempts, call.backoff, self.chance)
        total = total_deadline(self.before, self.definition, step.index)
        if call.attempts < policy.attempts_allowed and not (total and self.now + delay >= total):
            self._attempt_failed(step, step.status, error)
            waiting = evolve(call, retry_at=max(self.now + delay, 1), backoff=delay)
            self._set(self.steps[step.index], call=waiting, error=error)
            return
        self._attempt_failed(step, StepStatus.FAILED, error)
        self._step_event(EventType.RETRY_EXHAUSTED, step, step.status, error=error)
        out_of_time = call.attempts < policy.attempts_allowed
        what = "its total timeout leaves no room" if out_of_time else f"all {call.attempts} attempts went unanswered"
        code = "STEP_TIMED_OUT" if out_of_time else "RETRY_EXHAUSTED"
        text = f"step {step.id!r}: {what}; last: {error.message}"
        spent = _error(self.now, code, text, error.type, cause=error)
        self._set(step, status=StepStatus.FAILED, completed_at=self.now, error=spent)
        self.stop(StopCause.FAILURE, spent, text)

    def _give_up(self, step: StepState, error: SagaError) -> None:
        """The step failed for good."""
        step = self.steps[step.index]
        self._attempt_failed(step, StepStatus.FAILED, error)
        self._set(step, status=StepStatus.FAILED, completed_at=self.now, error=error)
        self.stop(StopCause.FAILURE, error, f"step {step.id!r}: {error.message}")

    def _attempt_failed(self, step: StepState, becomes: StepStatus, error: SagaError) -> None:
        duration = self.now - step.call.last_attempt_at
        self._step_event(EventType.STEP_FAILED, step, becomes, error=error, duration=duration)

    def _intend_compensation(self, step: StepState, comp: CompensationState) -> None:
        d = self.definition.steps[step.index]
        policy = d.compensation.retry_policy or self.before.settings.compensation_retry_policy
        waited = {"delay_ms": comp.call.backoff // 1000} if comp.call.attempts else {}
        comp = evolve(
            comp,
            status=CompensationStatus.RUNNING,
            call=self._next_attempt(comp.call, self._compensate_limit(step)),
            max_attempts=policy.attempts_allowed,
        )
        if comp.call.attempts == 1:
            self._comp_event(EventType.COMPENSATION_STEP_STARTED, step, comp, StepStatus.COMPENSATING)
            self._set(step, status=StepStatus.COMPENSATING, compensation=comp)
        else:
            metadata = waited | {"kind": str(Kind.COMPENSATE)}
            self._comp_event(EventType.RETRY_ATTEMPTED, step, comp, step.status, metadata=metadata)
            self._set(step, compensation=comp)

    def _comp_unanswered(self, step: StepState, comp: CompensationState, error: SagaError) -> None:
        d = self.definition.steps[step.index]
        policy = d.compensation.retry_policy or self.before.settings.compensation_retry_policy
        call = comp.call
        if error.retryable and call.attempts < policy.attempts_allowed:
            delay = delay_after(policy, call.attempts, call.backoff, self.chance)
            self._comp_event(EventType.COMPENSATION_STEP_FAILED, step, comp, step.status, error=error)
            waiting = evolve(call, retry_at=max(self.now + delay, 1), backoff=delay)
            self._set(step, compensation=evolve(comp, call=waiting, error=error))
            return
        self._abandon(step, comp, error, exhausted=error.retryable)

    def _abandon(self, step: StepState, comp: CompensationState, error: SagaError, *, exhausted: bool = False) -> None:
        """The compensation failed for good: only a human can undo this effect now."""
        self._comp_event(EventType.COMPENSATION_STEP_FAILED, step, comp, StepStatus.FAILED, error=error)
        if exhausted:
            metadata = {"kind": str(Kind.COMPENSATE)}
            self._comp_event(EventType.RETRY_EXHAUSTED, step, comp, step.status, error=error, metadata=metadata)
        failed = evolve(comp, status=CompensationStatus.FAILED, completed_at=self.now, error=error)
        self._set(step, status=StepStatus.FAILED, compensation=failed)

    def _next_attempt(self, call: Call, not_after: Instant) -> Call:
        return evolve(
            call,
            attempts=call.attempts + 1,
            in_flight=True,
            not_after=max(not_after, call.not_after if call.doubt else 0),
            retry_at=0,
            started_at=call.started_at or self.now,
            last_attempt_at=self.now,
        )

    def _execute_limit(self, step: StepState) -> Instant:
        """Not-after of an Execute sent now: its own timeout, cut by the step's total and the saga's deadline."""
        d = self.definition.steps[step.index]
        limits = [self.now + (d.timeout or self.before.settings.step_timeout), self._deadline()]
        if d.total_timeout is not None:
            limits.append((step.call.started_at or self.now) + d.total_timeout)
        return min(limits)

    def _compensate_limit(self, step: StepState) -> Instant:
        """Not-after of a Compensate sent now. The saga's deadline never cuts a compensation short."""
        d = self.definition.steps[step.index]
        return self.now + (d.compensation.timeout or d.timeout or self.before.settings.step_timeout)

    def _silence(self, call: Call) -> SagaError:
        text = f"no answer to attempt {call.attempts} by its not-after time"
        return _error(self.now, "DEADLINE_EXCEEDED", text, ErrorType.TIMEOUT)

    def _deadline(self) -> Instant:
        started = self.header.get("started_at") or self.before.started_at
        return int(started) + self.before.settings.timeout

    # ---- endings, states and events ------------------------------------------------------------------------------

    def _fail(self, step: StepState, comp: CompensationState) -> None:
        assert comp.error is not None
        text = f"step {step.id!r} could not be undone: {comp.error.message}"
        first = self.header.get("error") or self.before.error
        cause = evolve(comp.error, cause=comp.error.cause or first)
        error = _error(self.now, "COMPENSATION_FAILED", text, ErrorType.COMPENSATION, cause=cause)
        self._event(EventType.COMPENSATION_FAILED, step_id=step.id, error=error)
        self._finish(SagaState.FAILED, error)

    def _finish(self, outcome: SagaState, error: SagaError | None = None) -> None:
        """Record the outcome; the outcome's own event is the last (design §4)."""
        started = self.header.get("started_at") or self.before.started_at or self.before.created_at
        was_undoing = self.state is SagaState.COMPENSATING
        if was_undoing and outcome in (SagaState.CANCELLED, SagaState.TIMED_OUT):
            self._event(EventType.COMPENSATION_COMPLETED)
        if error is not None:
            self.header["error"] = error
        self.header["completed_at"] = self.now
        shown = None if outcome is SagaState.COMPLETED else self.header.get("error") or self.before.error
        self._move(outcome, _LAST_EVENT[outcome], error=shown, duration=self.now - int(started))

    def _move(self, state: SagaState, event: EventType, **more: Any) -> None:
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"saga {self.before.id!r}: {self.state} -> {state}", saga_id=self.before.id)
        self._event(event, previous_state=self.state, new_state=state, **more)
        self.state = state
        self.header["state"] = state

    def _set(self, step: StepState, **changes: Any) -> StepState:
        """Change a step, on top of what this turn already changed in it."""
        current = self.steps[step.index]
        status = changes.get("status", current.status)
        if status is not current.status and status not in STEP_TRANSITIONS[current.status]:
            where = f"saga {self.before.id!r} step {step.id!r}"
            raise IllegalTransition(f"{where}: {current.status} -> {status}", saga_id=self.before.id)
        self.steps[step.index] = after = evolve(current, **changes)
        self.changed = True
        return after

    def _event(self, kind: EventType, *, service: str = COORDINATOR_SERVICE, **fields: Any) -> None:
        sequence = self.before.last_sequence + len(self.events) + 1
        # Members of the enums are the strings that are stored and shown.
        self.events.append(SagaEvent(sequence=sequence, type=kind, at=self.now, service=service, **fields))

    def _step_event(self, kind: EventType, step: StepState, becomes: StepStatus, **more: Any) -> None:
        self._call_event(kind, step, step.call.attempts, step.max_attempts, becomes, **more)

    def _comp_event(
        self, kind: EventType, step: StepState, comp: CompensationState, becomes: StepStatus, **more: Any
    ) -> None:
        self._call_event(kind, step, comp.call.attempts, comp.max_attempts, becomes, **more)

    def _call_event(
        self, kind: EventType, step: StepState, attempt: int, limit: int, becomes: StepStatus, **more: Any
    ) -> None:
        moves = becomes is not step.status
        self._event(
            kind,
            step_id=step.id,
            attempt=attempt,
            max_attempts=limit,
            service=self.definition.steps[step.index].participant,
            previous_state=step.status if moves else "",
            new_state=becomes if moves else "",
            **more,
        )


def _resent(call: Call, limit: Instant) -> Call:
    return evolve(call, resends=call.resends + 1, doubt=True, not_after=max(call.not_after, limit))


def _error(now: Instant, code: str, message: str, kind: ErrorType, cause: SagaError | None = None) -> SagaError:
    return SagaError(
        code=code, message=message, type=kind, retryable=kind in RETRYABLE_TYPES, timestamp=now, cause=cause
    )
