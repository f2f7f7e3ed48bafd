"""What a saga should do: an immutable description, checked once when it is registered or sent along."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from swit_saga_server.core.errors import InvalidDefinition, Violation
from swit_saga_server.core.record import record
from swit_saga_server.core.retry import RetryPolicy
from swit_saga_server.core.units import NO_TIME, Span

MAX_STEPS = 1_000
MAX_ID_LENGTH = 200


class CompensationStrategy(StrEnum):
    """In which order, and how stubbornly, effects are undone."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    BEST_EFFORT = "best_effort"
    CUSTOM = "custom"
    NONE = "none"


class CoordinatorMode(StrEnum):
    """Who decides what comes next: the coordinator, the participants' events, or a selector per saga."""

    ORCHESTRATION = "orchestration"
    CHOREOGRAPHY = "choreography"
    HYBRID = "hybrid"


@record(frozen=True, slots=True, kw_only=True)
class CompensationDefinition:
    """How a step is undone.

    Attributes:
        disabled: The step has nothing to undo. A step without compensation must say so.
        timeout: Per attempt; None takes the step's own.
        retry_policy: None takes the definition's ``compensation_retry_policy``.
    """

    disabled: bool = False
    timeout: Span | None = None
    retry_policy: RetryPolicy | None = None


@record(frozen=True, slots=True, kw_only=True)
class StepDefinition:
    """One step.

    Attributes:
        id: Unique within the saga.
        name: For people; the id if empty.
        participant: The *name* of a participant, never an address.
        action: What the participant is asked to do; the step's id if empty.
        timeout: Per attempt; None takes the coordinator's ``step_timeout``.
        total_timeout: From the first attempt's intent over all attempts; None is unbounded.
        delay: Wait before the first attempt, after the previous step's success is durable.
        retry_policy: None takes the saga's.
        compensation: How it is undone.
        rejected_status_codes: gRPC status names that, from a plain servicer, mean *rejected* for this step.
        metadata: JSON-like; sent to the participant.
    """

    id: str
    name: str = ""
    description: str = ""
    participant: str
    action: str = ""
    timeout: Span | None = None
    total_timeout: Span | None = None
    delay: Span = NO_TIME
    retry_policy: RetryPolicy | None = None
    compensation: CompensationDefinition = CompensationDefinition()
    rejected_status_codes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def action_name(self) -> str:
        """The action asked of the participant."""
        return self.action or self.id


@record(frozen=True, slots=True, kw_only=True)
class Definition:
    """A saga's structure and behaviour. Steps run as a chain, in the order given.

    Attributes:
        id: Names the definition over all its versions.
        timeout: From start to outcome; None takes the coordinator's ``default_timeout``.
        retry_policy: For steps without their own; None takes the coordinator's.
        compensation_retry_policy: For compensations without their own; None takes the coordinator's.
    """

    id: str
    name: str = ""
    description: str = ""
    steps: tuple[StepDefinition, ...]
    timeout: Span | None = None
    retry_policy: RetryPolicy | None = None
    compensation_retry_policy: RetryPolicy | None = None
    compensation_strategy: CompensationStrategy = CompensationStrategy.SEQUENTIAL
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def validate(self) -> None:
        """Check everything that can be checked without knowing the participants.

        Raises:
            InvalidDefinition: With one violation per thing wrong, all at once.
        """
        found = tuple(_violations(self))
        if found:
            raise InvalidDefinition(found)


def _violations(d: Definition) -> list[Violation]:
    found: list[Violation] = []

    def bad(where: str, what: str) -> None:
        found.append(Violation(where, what))

    def check_id(where: str, value: str) -> None:
        if not value:
            bad(where, "must not be empty")
        elif len(value) > MAX_ID_LENGTH:
            bad(where, f"is {len(value)} characters long; at most {MAX_ID_LENGTH}")
        elif not value.isprintable() or value != value.strip() or "/" in value:
            bad(where, f"{value!r} must be printable, without '/' and without spaces at its ends")

    def check_span(where: str, value: Span | None) -> None:
        if value is not None and value <= 0:
            bad(where, "must be greater than 0")

    def check_retry(where: str, policy: RetryPolicy | None) -> None:
        if policy is None:
            return
        if policy.max_attempts < 1:
            bad(f"{where}.max_attempts", f"is {policy.max_attempts}; must be at least 1")
        if policy.initial_delay < 0:
            bad(f"{where}.initial_delay", "must not be negative")
        if policy.max_delay < policy.initial_delay:
            bad(f"{where}.max_delay", "must not be less than initial_delay")
        if not 1.0 <= policy.multiplier <= 1_000.0:
            bad(f"{where}.multiplier", f"is {policy.multiplier}; must be between 1 and 1000")

    check_id("id", d.id)
    check_span("timeout", d.timeout)
    check_retry("retry_policy", d.retry_policy)
    check_retry("compensation_retry_policy", d.compensation_retry_policy)
    if not d.steps:
        bad("steps", "must have at least one step")
    if len(d.steps) > MAX_STEPS:
        bad("steps", f"has {len(d.steps)} steps; at most {MAX_STEPS}")
    seen: set[str] = set()
    for i, step in enumerate(d.steps):
        at = f"steps[{i}]"
        check_id(f"{at}.id", step.id)
        if step.id in seen:
            bad(f"{at}.id", f"{step.id!r} is used by an earlier step")
        seen.add(step.id)
        check_id(f"{at}.participant", step.participant)
        check_span(f"{at}.timeout", step.timeout)
        check_span(f"{at}.total_timeout", step.total_timeout)
        if step.delay < 0:
            bad(f"{at}.delay", "must not be negative")
        check_retry(f"{at}.retry_policy", step.retry_policy)
        check_span(f"{at}.compensation.timeout", step.compensation.timeout)
        check_retry(f"{at}.compensation.retry_policy", step.compensation.retry_policy)
    return found
