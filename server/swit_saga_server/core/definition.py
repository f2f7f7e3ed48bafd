"""What a saga should do: an immutable description, checked once when it is registered or sent along."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from swit_saga_server.core import bounds
from swit_saga_server.core.errors import InvalidDefinition, Violation
from swit_saga_server.core.limits import MAX_ATTEMPTS, MAX_STEPS
from swit_saga_server.core.record import record
from swit_saga_server.core.retry import RetryPolicy
from swit_saga_server.core.units import MICROSECOND, NO_TIME, Span


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

    @property
    def rejecting_codes(self) -> tuple[str, ...]:
        """Those of ``rejected_status_codes`` that can be a certain no; older definitions may have others."""
        return tuple(c for c in self.rejected_status_codes if c in bounds.REJECTING_STATUS_CODES)


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


def repeated_ids(ids: Iterable[str]) -> Iterator[Violation]:
    """What is wrong with the ids of a definition's steps, taken together."""
    seen: set[str] = set()
    for i, step_id in enumerate(ids):
        if step_id in seen:
            yield Violation(f"steps[{i}].id", f"{step_id!r} is used by an earlier step")
        seen.add(step_id)


def low_cap(initial_delay: Span, max_delay: Span) -> Iterator[Violation]:
    """What is wrong with the delays of a retry policy, taken together."""
    if max_delay < initial_delay:
        yield Violation("max_delay", "must not be less than initial_delay")


def retry_violations(policy: RetryPolicy) -> Iterator[Violation]:
    """Everything wrong with a retry policy, whoever gave it."""
    for field_name, fault in (
        ("initial_delay", bounds.span_fault(policy.initial_delay)),
        ("max_delay", bounds.span_fault(policy.max_delay)),
        ("multiplier", bounds.multiplier_fault(policy.multiplier)),
        ("max_attempts", bounds.count_fault(policy.max_attempts, 1, MAX_ATTEMPTS)),
    ):
        if fault:
            yield Violation(field_name, fault)
    yield from low_cap(policy.initial_delay, policy.max_delay)


def _violations(d: Definition) -> Iterator[Violation]:
    steps = [(f"steps[{i}]", step) for i, step in enumerate(d.steps)]
    named = [("id", d.id)]
    spans: list[tuple[str, Span | None, Span]] = [("timeout", d.timeout, MICROSECOND)]
    policies = [("retry_policy", d.retry_policy), ("compensation_retry_policy", d.compensation_retry_policy)]
    for at, step in steps:
        named += [(f"{at}.id", step.id), (f"{at}.participant", step.participant)]
        spans += [
            (f"{at}.timeout", step.timeout, MICROSECOND),
            (f"{at}.total_timeout", step.total_timeout, MICROSECOND),
            (f"{at}.delay", step.delay, NO_TIME),
            (f"{at}.compensation.timeout", step.compensation.timeout, MICROSECOND),
        ]
        policies += [
            (f"{at}.retry_policy", step.retry_policy),
            (f"{at}.compensation.retry_policy", step.compensation.retry_policy),
        ]
    for where, name in named:
        if fault := bounds.id_fault(name):
            yield Violation(where, fault)
    for where, span, lowest in spans:
        if span is not None and (fault := bounds.span_fault(span, lowest)):
            yield Violation(where, fault)
    for where, policy in policies:
        for v in retry_violations(policy) if policy is not None else ():
            yield Violation(f"{where}.{v.field}", v.description)
    if not d.steps:
        yield Violation("steps", "must have at least one step")
    if len(d.steps) > MAX_STEPS:
        yield Violation("steps", f"has {len(d.steps)} steps; at most {MAX_STEPS}")
    yield from repeated_ids(step.id for step in d.steps)
