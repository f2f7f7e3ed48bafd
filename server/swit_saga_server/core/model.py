"""What a saga is: immutable values, changed only by making new ones. The stored truth, nothing derived.

What a saga waits for (``agenda``), a step's input and the current data (``dataflow``) are *derived* from these fields,
so that they can never disagree with them.
"""

from collections.abc import Mapping
from dataclasses import field, fields
from operator import attrgetter
from typing import Any

from swit_saga_server.core.definition import CompensationStrategy, CoordinatorMode
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.identity import SendId
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.record import record
from swit_saga_server.core.retry import DEFAULT_COMPENSATION_RETRY, DEFAULT_RETRY, RetryPolicy
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState, StepStatus, StopCause
from swit_saga_server.core.units import MINUTE, NEVER, NO_TIME, SECOND, Instant, Span


@record(frozen=True, slots=True, kw_only=True)
class Call:
    """The attempts at one thing asked of a participant, an Execute or a Compensate. One shape serves both.

    Attributes:
        generation: Of the latest attempt; 0 before the first.
        attempts: Attempts intended so far; also the number of the latest one.
        sends: Sends of all attempts so far; also the number of the latest one.
        in_flight: The latest attempt is intended and not yet answered.
        doubt: Some send of this call ended, or may end, without an answer: it may have happened.
        not_after: The latest moment any unanswered attempt may still start at the participant.
        retry_at: When the next attempt is intended; 0 if none waits.
        backoff: The last delay, for decorrelated jitter.
        started_at: When the first attempt was intended; 0 if never.
        last_attempt_at: When the latest attempt was intended; 0 if never.
    """

    generation: int = 0
    attempts: int = 0
    sends: int = 0
    in_flight: bool = False
    doubt: bool = False
    not_after: Instant = NEVER
    retry_at: Instant = NEVER
    backoff: Span = NO_TIME
    started_at: Instant = NEVER
    last_attempt_at: Instant = NEVER

    @property
    def send_id(self) -> SendId:
        """The latest send."""
        return SendId(self.generation, self.attempts, self.sends)

    @property
    def resends(self) -> int:
        """Times an attempt was sent again under its own number, after a restart or takeover."""
        return self.sends - self.attempts


@record(frozen=True, slots=True, kw_only=True)
class CompensationState:
    """How far a step's undoing is.

    Attributes:
        status: Where it stands.
        call: Its attempts.
        max_attempts: Attempts allowed by the policy in force.
        completed_at: When it was confirmed, skipped or given up; 0 before.
        error: The latest failure.
    """

    status: CompensationStatus = CompensationStatus.PENDING
    call: Call = Call()
    max_attempts: int = 0
    completed_at: Instant = NEVER
    error: SagaError | None = None


@record(frozen=True, slots=True, kw_only=True)
class StepState:
    """How far one step is.

    Attributes:
        id: The step's id in the definition.
        index: Its place in the definition, from 0.
        status: Where it stands.
        effect: Whether there is something to undo.
        call: The attempts at Execute.
        max_attempts: Attempts allowed by the policy in force.
        ready_at: When a delayed step may first be sent; 0 if it does not wait.
        created_at: When the saga was created.
        completed_at: When the step completed or failed for good; 0 before.
        output: What Execute returned; None if it returned nothing or is not known.
        error: The latest failure.
        compensation: None until stopping decides that this step is to be undone (or has nothing to undo).
    """

    id: str
    index: int
    status: StepStatus = StepStatus.PENDING
    effect: Effect = Effect.NONE
    call: Call = Call()
    max_attempts: int = 0
    ready_at: Instant = NEVER
    created_at: Instant = NEVER
    completed_at: Instant = NEVER
    output: Payload | None = None
    error: SagaError | None = None
    compensation: CompensationState | None = None


@record(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """W3C trace context of the caller and the saga's own span (https://www.w3.org/TR/trace-context/).

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: The saga's own span, 16 hex digits; parent of every command's span.
        parent_span_id: The caller's span; empty if the caller sent none.
        flags: Trace flags, 1 is sampled.
        tracestate: Passed on as it came.
    """

    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    flags: int = 1
    tracestate: str = ""

    @property
    def traceparent(self) -> str:
        """The header for what happens within the saga's span; empty without a trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}" if self.trace_id else ""


@record(frozen=True, slots=True, kw_only=True)
class Settings:
    """Coordinator defaults, resolved when a saga starts and kept with it, so that a restart changes nothing."""

    timeout: Span = 30 * MINUTE
    step_timeout: Span = 30 * SECOND
    retry_policy: RetryPolicy = DEFAULT_RETRY
    compensation_retry_policy: RetryPolicy = DEFAULT_COMPENSATION_RETRY


@record(frozen=True, slots=True, kw_only=True)
class Saga:
    """One run of a definition.

    Attributes:
        id: Chosen by the caller or the coordinator; unique for ever.
        version: Transitions so far; grows by exactly 1 per transition (invariant 4).
        state: Where it stands.
        definition_id, definition_version, definition_digest: The immutable definition it is pinned to
            (invariant 17). Version 0 is an inline definition.
        settings: Effective timeout and retry policies.
        steps: In definition order.
        last_sequence: Events so far.
        stop_cause: Why it no longer goes forward; None while it does. Set once.
        stop_reason: The canceller's words, or the failing step's error message.
        fingerprint: Of the request as sent; tells a repeat from a conflict.
        quarantined: Times in a row the machine itself failed on this saga (see ``quarantine``); 0 is healthy.
        quarantined_until: When a quarantined saga is tried again; 0 if it is healthy.
        source: The coordinator that created it.
        service: The calling service, if it said so.
        started_by: Who started it.
    """

    id: str
    version: int = 0
    state: SagaState = SagaState.PENDING
    definition_id: str
    definition_version: int = 0
    definition_digest: str = ""
    name: str = ""
    description: str = ""
    mode: CoordinatorMode = CoordinatorMode.ORCHESTRATION
    compensation_strategy: CompensationStrategy = CompensationStrategy.SEQUENTIAL
    settings: Settings = Settings()
    steps: tuple[StepState, ...]
    created_at: Instant
    updated_at: Instant
    started_at: Instant = NEVER
    completed_at: Instant = NEVER
    timed_out_at: Instant = NEVER
    initial_data: Payload | None = None
    error: SagaError | None = None
    stop_cause: StopCause | None = None
    stop_reason: str = ""
    last_sequence: int = 0
    fingerprint: str = ""
    quarantined: int = 0
    quarantined_until: Instant = NEVER
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    correlation_id: str = ""
    source: str = ""
    service: str = ""
    trace: TraceContext = TraceContext()
    started_by: Principal = ANONYMOUS

    @property
    def deadline(self) -> Instant:
        """When the saga as a whole times out; counted from start."""
        return (self.started_at or self.created_at) + self.settings.timeout

    @property
    def current_step(self) -> int:
        """Index of the step the saga is at: the first not yet over, or the last when all are."""
        for step in self.steps:
            if not step.status.is_passed:
                return step.index
        return len(self.steps) - 1


PROGRESS = (
    "version", "state", "last_sequence", "updated_at", "started_at", "completed_at", "timed_out_at", "error",
    "stop_cause", "stop_reason", "quarantined", "quarantined_until",
)  # fmt: skip
"""What transitions change in a saga, its steps apart. Stored in this order: names are only ever appended."""

_origin = attrgetter(*(f.name for f in fields(Saga) if f.name not in (*PROGRESS, "steps")))


def same_origin(one: Saga, other: Saga) -> bool:
    """Whether all but progress and steps is the same: what a saga was started with, most of it and seldom changed."""
    return bool(_origin(one) == _origin(other))


def is_in_flight(saga: Saga) -> bool:
    """Whether a command may be out: what a takeover must send again."""
    for step in saga.steps:
        if step.call.in_flight or (step.compensation is not None and step.compensation.call.in_flight):
            return True
    return False
