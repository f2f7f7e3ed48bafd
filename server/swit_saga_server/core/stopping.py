"""Why a saga goes forward no more, and how it ends. The first cause to stop fixes the outcome."""

from swit_saga_server.core.draft import Draft
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import EventType
from swit_saga_server.core.inputs import Cancel
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.record import evolve
from swit_saga_server.core.states import Effect, SagaState, StepStatus, StopCause
from swit_saga_server.core.units import NEVER

OUTCOME_OF = {
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


def cancel(draft: Draft, given: Cancel) -> None:
    """Somebody asks for it."""
    error = draft.made_up("CANCELLED", given.reason or "cancelled", ErrorType.BUSINESS)
    stop(draft, StopCause.CANCEL, error, given.reason, given.principal)


def check_deadline(draft: Draft) -> None:
    """The saga's time may be over."""
    if draft.stop_cause is None and draft.now >= draft.deadline:
        text = f"not finished within {draft.before.settings.timeout / 1e6:g} s"
        stop(draft, StopCause.DEADLINE, draft.made_up("SAGA_TIMED_OUT", text, ErrorType.TIMEOUT), text)


def stop(draft: Draft, cause: StopCause, error: SagaError, reason: str, principal: Principal = ANONYMOUS) -> None:
    """Go forward no more. The first cause stands; a later one changes nothing."""
    if draft.stop_cause is not None:
        return
    draft.stop_cause = cause
    draft.header |= {"stop_cause": cause, "stop_reason": reason, "error": error}
    if cause is StopCause.DEADLINE:
        draft.header["timed_out_at"] = draft.now
    for step in draft.steps:
        if step.status is StepStatus.RUNNING and not step.call.in_flight:
            # No further attempt follows.
            call = evolve(step.call, retry_at=NEVER)
            draft.set_step(step.index, status=StepStatus.FAILED, completed_at=draft.now, call=call)
    if cause is StopCause.FAILURE or any(s.effect is not Effect.NONE for s in draft.steps):
        draft.move(SagaState.COMPENSATING, EventType.COMPENSATION_STARTED, error=error, principal=principal)
    else:
        finish(draft, OUTCOME_OF[cause], principal=principal)


def fail(draft: Draft, index: int) -> None:
    """An effect cannot be undone: the one outcome that needs a human (invariant 16)."""
    step = draft.steps[index]
    assert step.compensation is not None
    assert step.compensation.error is not None
    error = step.compensation.error
    made = step.compensation.call.attempts
    tried = f" in {made} attempts; the last" if made > 1 else ""
    text = f"step {step.id!r} could not be undone{tried}: {error.message}"
    cause = evolve(error, cause=error.cause or draft.error)
    failed = draft.made_up("COMPENSATION_FAILED", text, ErrorType.COMPENSATION, cause=cause)
    draft.record(EventType.COMPENSATION_FAILED, step_id=step.id, error=failed)
    draft.header["error"] = failed
    finish(draft, SagaState.FAILED)


def finish(draft: Draft, outcome: SagaState, principal: Principal = ANONYMOUS) -> None:
    """Record the outcome; the outcome's own event is the last."""
    if draft.state is SagaState.COMPENSATING and outcome in (SagaState.CANCELLED, SagaState.TIMED_OUT):
        draft.record(EventType.COMPENSATION_COMPLETED)
    draft.header["completed_at"] = draft.now
    shown = None if outcome is SagaState.COMPLETED else draft.error
    duration = draft.now - draft.started_at
    draft.move(outcome, _LAST_EVENT[outcome], error=shown, duration=duration, principal=principal)
