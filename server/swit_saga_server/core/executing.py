"""What an answer to an Execute means."""

from typing import assert_never

from swit_saga_server.core import attempts
from swit_saga_server.core.attempts import Over
from swit_saga_server.core.draft import Draft
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import EventType
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Completed, Rejected, Unknown
from swit_saga_server.core.limits import MAX_SAGA_BYTES, SMALL_PAYLOAD_BYTES
from swit_saga_server.core.model import Call, StepState
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import evolve
from swit_saga_server.core.states import Effect, StepStatus, StopCause
from swit_saga_server.core.stopping import stop
from swit_saga_server.core.units import NEVER


def take(draft: Draft, given: Answered) -> None:
    """Take an answer in. Any attempt's answer counts until the step's compensation is intended."""
    step, attempt = draft.steps[given.step_index], given.send_id.attempt
    is_open = step.compensation is None and (step.status is StepStatus.RUNNING or step.effect is Effect.MAYBE)
    if not is_open or not 1 <= attempt <= step.call.attempts:
        return
    latest = step.call.in_flight and attempt == step.call.attempts
    match given.answer:
        case Completed(output, error):
            if error is None and output is not None and len(output.data) > SMALL_PAYLOAD_BYTES:
                error = _too_much(draft, step, output)
            if error is None:
                _completed(draft, step, output)
            else:
                _unusable(draft, step, error)
        case Rejected(error):
            # An older attempt's rejection says nothing about the one now open.
            if latest or not step.call.in_flight:
                _rejected(draft, step, error)
        case Unknown(error):
            if latest:
                unanswered(draft, step.index, error)
        case _:
            assert_never(given.answer)


def unanswered(draft: Draft, index: int, error: SagaError) -> None:
    """The open attempt ended without a certain answer."""
    match attempts.leave_in_doubt(draft, index, Kind.EXECUTE, error):
        case None:
            return
        case Over.NOT_WORTH_IT:
            _give_up(draft, index, error)
        case over:
            _spent(draft, index, error, over)


def _completed(draft: Draft, step: StepState, output: Payload | None) -> None:
    call, settled = step.call, _settled(step)
    if step.status is not StepStatus.RUNNING:
        draft.set_step(step.index, effect=Effect.DONE, output=output, call=settled)
        return
    duration = draft.now - call.started_at
    draft.record_attempt(
        EventType.STEP_COMPLETED, step.index, call.attempts, step.max_attempts, StepStatus.COMPLETED, duration=duration
    )
    draft.set_step(
        step.index, effect=Effect.DONE, output=output, call=settled, status=StepStatus.COMPLETED,
        completed_at=draft.now, error=None,
    )  # fmt: skip


def _unusable(draft: Draft, step: StepState, error: SagaError) -> None:
    """It was done, and the next step cannot be given what it returned: undone as certainly as if it had gone well.

    Another attempt would find it done, so that none is made, whatever the participant says of its error.
    """
    draft.set_step(step.index, effect=Effect.DONE, output=None, call=_settled(step))
    if step.status is StepStatus.RUNNING:
        _give_up(draft, step.index, evolve(error, type=ErrorType.DATA, retryable=False))


def _too_much(draft: Draft, step: StepState, output: Payload) -> SagaError | None:
    """Why a saga with this output would be larger than a saga may be; None if it would not."""
    others = [draft.before.initial_data, *(s.output for s in draft.steps if s.index != step.index)]
    size = output.size + sum(value.size for value in others if value is not None)
    if size <= MAX_SAGA_BYTES:
        return None
    text = f"with this output of {output.size} bytes the saga's data would have {size}; at most {MAX_SAGA_BYTES}"
    return draft.made_up("SAGA_TOO_LARGE", text, ErrorType.DATA)


def _settled(step: StepState) -> Call:
    """The call of a step that is done; other sends of it may still be on their way."""
    return evolve(step.call, in_flight=False, retry_at=NEVER, doubt=step.call.doubt and step.call.sends > 1)


def _rejected(draft: Draft, step: StepState, error: SagaError) -> None:
    """This attempt did not do it: certain only if no other send may have (invariant 11)."""
    certain = step.call.sends == 1 or not step.call.doubt
    settled = evolve(step.call, in_flight=False, retry_at=NEVER, doubt=not certain)
    draft.set_step(step.index, call=settled, effect=Effect.NONE if certain else Effect.MAYBE)
    if step.status is StepStatus.RUNNING:
        _give_up(draft, step.index, error)


def _give_up(draft: Draft, index: int, error: SagaError) -> None:
    """The step failed for good."""
    attempts.record_failure(draft, index, Kind.EXECUTE, StepStatus.FAILED, error)
    step = draft.set_step(index, status=StepStatus.FAILED, completed_at=draft.now, error=error)
    stop(draft, StopCause.FAILURE, error, f"step {step.id!r}: {error.message}")


def _spent(draft: Draft, index: int, error: SagaError, over: Over) -> None:
    """No further attempt is allowed."""
    attempts.record_failure(draft, index, Kind.EXECUTE, StepStatus.FAILED, error)
    attempts.record_exhaustion(draft, index, Kind.EXECUTE, error)
    step = draft.steps[index]
    if over is Over.TIME:
        code, what = "STEP_TIMED_OUT", "its total timeout leaves no room for another attempt"
    else:
        made = step.call.attempts
        tried = f"all {made} attempts" if made > 1 else "the one attempt allowed"
        code, what = "RETRY_EXHAUSTED", f"{tried} failed without a certain answer"
    text = f"step {step.id!r}: {what}; the last: {error.message}"
    spent = draft.made_up(code, text, error.type, cause=error)
    draft.set_step(index, status=StepStatus.FAILED, completed_at=draft.now, error=spent)
    stop(draft, StopCause.FAILURE, spent, text)
