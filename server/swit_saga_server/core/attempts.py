"""The attempts at one call, an Execute or a Compensate: one path for both directions.

What they have in common is here: whether an attempt may be intended, until when it may start, that silence leaves it in
doubt, when the next one follows and when there is none. What an answer *means* differs, and stands in ``executing`` and
``compensating``.
"""

from enum import Enum, auto
from typing import Any

from swit_saga_server.core.draft import Draft
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import EventType
from swit_saga_server.core.gate import OPEN, Reason, Waiting
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Call, CompensationState, StepState
from swit_saga_server.core.record import evolve
from swit_saga_server.core.retry import RetryPolicy, delay_after
from swit_saga_server.core.states import CompensationStatus, Effect, StepStatus
from swit_saga_server.core.units import NEVER, Instant

FIRST_MOMENT = Instant(1)
"""The earliest there is: 0 is never."""


class Over(Enum):
    """Why no further attempt follows an unanswered one."""

    NOT_WORTH_IT = auto()
    """The error is not worth another, or the saga goes forward no more."""
    ATTEMPTS = auto()
    """All that the policy allows were made."""
    TIME = auto()
    """The step's total timeout leaves no time for another."""


def call_of(step: StepState, kind: Kind) -> Call:
    """The step's call in this direction."""
    if kind is Kind.EXECUTE:
        return step.call
    assert step.compensation is not None
    return step.compensation.call


def set_call(draft: Draft, index: int, kind: Kind, call: Call, **more: Any) -> None:
    """Change a call; ``more`` fields are the step's own, or of its compensation."""
    if kind is Kind.EXECUTE:
        draft.set_step(index, call=call, **more)
    else:
        comp = draft.steps[index].compensation or CompensationState()
        draft.set_step(index, compensation=evolve(comp, call=call, **more))


def policy_of(draft: Draft, index: int, kind: Kind) -> RetryPolicy:
    """The retry policy in force."""
    described, settings = draft.definition.steps[index], draft.before.settings
    if kind is Kind.EXECUTE:
        return described.retry_policy or settings.retry_policy
    return described.compensation.retry_policy or settings.compensation_retry_policy


def refusal(draft: Draft, index: int, kind: Kind) -> Reason | None:
    """Why the gate lets no attempt be intended now; None if it does. What is held back is noted in the draft."""
    if draft.gate is OPEN:
        return None
    participant = draft.definition.steps[index].participant
    places = draft.gate.places(participant, kind)
    if isinstance(places, Reason):
        reason = places
    elif draft.open_commands(participant) < places and draft.open_commands() < draft.gate.in_all(kind):
        return None
    else:
        reason = Reason.FULL
    draft.waiting.append(Waiting(index, kind, participant, reason))
    return reason


def intend(draft: Draft, index: int, kind: Kind) -> None:
    """Make the next attempt: durable before it is sent (invariant 6), and from then on the effect is ``maybe``."""
    step = draft.steps[index]
    before = step.call if kind is Kind.EXECUTE else step.compensation.call if step.compensation else Call()
    first = before.attempts == 0
    limit = policy_of(draft, index, kind).attempts_allowed
    not_after = _limit(draft, index, kind)
    call = evolve(
        before,
        generation=before.generation or 1,
        attempts=before.attempts + 1,
        sends=before.sends + 1,
        in_flight=True,
        # Earlier attempts in doubt may start until their own time is over.
        not_after=max(not_after, before.not_after) if before.doubt else not_after,
        retry_at=NEVER,
        started_at=before.started_at or draft.now,
        last_attempt_at=draft.now,
    )
    metadata: dict[str, Any] = {} if first else {"delay_ms": before.backoff // 1000, **_direction(kind)}
    if kind is Kind.EXECUTE:
        event = EventType.STEP_STARTED if first else EventType.RETRY_ATTEMPTED
        draft.record_attempt(event, index, call.attempts, limit, StepStatus.RUNNING, metadata=metadata)
        effect = Effect.MAYBE if step.effect is Effect.NONE else step.effect
        draft.set_step(index, max_attempts=limit, call=call, status=StepStatus.RUNNING, effect=effect)
    else:
        event = EventType.COMPENSATION_STEP_STARTED if first else EventType.RETRY_ATTEMPTED
        becomes = StepStatus.COMPENSATING if first else step.status
        draft.record_attempt(event, index, call.attempts, limit, becomes, metadata=metadata)
        set_call(draft, index, kind, call, status=CompensationStatus.RUNNING, max_attempts=limit)
        if first:
            draft.set_step(index, status=StepStatus.COMPENSATING)


def resend(draft: Draft, index: int, kind: Kind) -> None:
    """Send an open attempt again under its own number: not charged, with an attempt's full time, and in doubt."""
    call = call_of(draft.steps[index], kind)
    not_after = max(call.not_after, _limit(draft, index, kind))
    set_call(draft, index, kind, evolve(call, sends=call.sends + 1, doubt=True, not_after=not_after))


def leave_in_doubt(draft: Draft, index: int, kind: Kind, error: SagaError) -> Over | None:
    """The open attempt ended without a certain answer: in doubt, and tried again if there is any use in it.

    Returns:
        None if another attempt follows; else why none does, and then nothing but the doubt is noted.
    """
    step = draft.steps[index]
    call = evolve(call_of(step, kind), in_flight=False, doubt=True)
    set_call(draft, index, kind, call)
    stopped = kind is Kind.EXECUTE and draft.stop_cause is not None
    if stopped or not error.retryable:
        return Over.NOT_WORTH_IT
    policy = policy_of(draft, index, kind)
    if call.attempts >= policy.attempts_allowed:
        return Over.ATTEMPTS
    delay = delay_after(policy, call.attempts, call.backoff, draft.chance)
    total = _total_deadline(draft, index, kind)
    if total and draft.now + delay >= total:
        return Over.TIME
    record_failure(draft, index, kind, step.status, error)
    set_call(
        draft, index, kind, evolve(call, retry_at=max(draft.now + delay, FIRST_MOMENT), backoff=delay), error=error
    )
    return None


def record_failure(draft: Draft, index: int, kind: Kind, becomes: StepStatus, error: SagaError) -> None:
    """Add the event of an attempt that did not succeed."""
    call, event = call_of(draft.steps[index], kind), EventType.STEP_FAILED
    if kind is Kind.COMPENSATE:
        event = EventType.COMPENSATION_STEP_FAILED
    duration = draft.now - call.last_attempt_at
    draft.record_attempt(event, index, call.attempts, _max(draft, index, kind), becomes, error=error, duration=duration)


def record_exhaustion(draft: Draft, index: int, kind: Kind, error: SagaError) -> None:
    """Add the event of attempts that are used up."""
    step = draft.steps[index]
    attempts, metadata = call_of(step, kind).attempts, _direction(kind)
    draft.record_attempt(
        EventType.RETRY_EXHAUSTED, index, attempts, _max(draft, index, kind), step.status, error=error,
        metadata=metadata,
    )  # fmt: skip


def silence(draft: Draft, call: Call) -> SagaError:
    """What is known of an attempt that nobody answered."""
    return draft.made_up(
        "DEADLINE_EXCEEDED", f"no answer to attempt {call.attempts} by its not-after time", ErrorType.TIMEOUT
    )


def _direction(kind: Kind) -> dict[str, str]:
    return {} if kind is Kind.EXECUTE else {"kind": kind.value}


def _max(draft: Draft, index: int, kind: Kind) -> int:
    step = draft.steps[index]
    if kind is Kind.EXECUTE:
        return step.max_attempts
    return step.compensation.max_attempts if step.compensation is not None else 0


def _limit(draft: Draft, index: int, kind: Kind) -> Instant:
    """Not-after of an attempt sent now. The saga's deadline cuts an Execute, and never a Compensate."""
    described, own = draft.definition.steps[index], draft.before.settings.step_timeout
    if kind is Kind.COMPENSATE:
        return draft.now + (described.compensation.timeout or described.timeout or own)
    limit = min(draft.now + (described.timeout or own), draft.deadline)
    if described.total_timeout is None:
        return limit
    started = draft.steps[index].call.started_at or draft.now
    return min(limit, started + described.total_timeout)


def _total_deadline(draft: Draft, index: int, kind: Kind) -> Instant:
    """When the call runs out of its total timeout; 0 if it has none, or has not begun."""
    total = draft.definition.steps[index].total_timeout if kind is Kind.EXECUTE else None
    started = draft.steps[index].call.started_at
    return started + total if total is not None and started else NEVER
