"""What an answer to a Compensate means."""

from typing import assert_never

from swit_saga_server.core import attempts
from swit_saga_server.core.attempts import Over
from swit_saga_server.core.draft import Draft
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.events import EventType
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Completed, Rejected, Unknown
from swit_saga_server.core.record import evolve
from swit_saga_server.core.states import CompensationStatus, StepStatus
from swit_saga_server.core.units import NEVER


def take(draft: Draft, given: Answered) -> None:
    """Take an answer in. Any attempt's answer counts while the compensation is under way."""
    index, attempt = given.step_index, given.send_id.attempt
    comp = draft.steps[index].compensation
    if comp is None or comp.status is not CompensationStatus.RUNNING or not 1 <= attempt <= comp.call.attempts:
        return
    latest = comp.call.in_flight and attempt == comp.call.attempts
    match given.answer:
        case Completed():
            _completed(draft, index)
        case Rejected(error):
            if latest or not comp.call.in_flight:
                _settle(draft, index)
                _abandon(draft, index, error)
        case Unknown(error):
            if latest:
                unanswered(draft, index, error)
        case _:
            assert_never(given.answer)


def unanswered(draft: Draft, index: int, error: SagaError) -> None:
    """The open attempt ended without a certain answer."""
    match attempts.leave_in_doubt(draft, index, Kind.COMPENSATE, error):
        case None:
            return
        case over:
            _abandon(draft, index, error, exhausted=over is not Over.NOT_WORTH_IT)


def _completed(draft: Draft, index: int) -> None:
    comp = draft.steps[index].compensation
    assert comp is not None
    duration = draft.now - comp.call.started_at
    draft.record_attempt(
        EventType.COMPENSATION_STEP_COMPLETED, index, comp.call.attempts, comp.max_attempts, StepStatus.COMPENSATED,
        duration=duration,
    )  # fmt: skip
    _settle(draft, index, status=CompensationStatus.COMPLETED, completed_at=draft.now, error=None)
    draft.set_step(index, status=StepStatus.COMPENSATED)


def _settle(draft: Draft, index: int, **more: object) -> None:
    call = attempts.call_of(draft.steps[index], Kind.COMPENSATE)
    attempts.set_call(draft, index, Kind.COMPENSATE, evolve(call, in_flight=False, retry_at=NEVER), **more)


def _abandon(draft: Draft, index: int, error: SagaError, *, exhausted: bool = False) -> None:
    """The compensation failed for good: only a human can undo this effect now."""
    attempts.record_failure(draft, index, Kind.COMPENSATE, StepStatus.FAILED, error)
    if exhausted:
        attempts.record_exhaustion(draft, index, Kind.COMPENSATE, error)
    _settle(draft, index, status=CompensationStatus.FAILED, completed_at=draft.now, error=error)
    draft.set_step(index, status=StepStatus.FAILED)
