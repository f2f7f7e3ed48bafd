"""Sagas as a program writes them: ``Saga`` and ``Step`` build the protobuf definition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from swit_saga.durations import DurationLike, duration_message
from swit_saga.ids import given_number
from swit_saga.trees import tree
from swit_saga.v1 import definition_pb2 as pb


def _retry(backoff: "pb.BackoffKind.ValueType", jitter: str, **more: Any) -> pb.RetryPolicy:
    names = {name.removeprefix("JITTER_").lower(): value for name, value in pb.Jitter.items() if value}
    if jitter not in names:
        raise ValueError(f"jitter {jitter!r} is not one of {', '.join(names)}")
    more["max_attempts"] = given_number(more["max_attempts"], "max_attempts", lowest=1)
    if (growth := more.get("multiplier")) is not None and not growth >= 1:
        raise ValueError(f"multiplier must be at least 1, not {growth}")
    return pb.RetryPolicy(backoff=backoff, jitter=names[jitter], **more)


def no_retry() -> pb.RetryPolicy:
    """One attempt only."""
    return pb.RetryPolicy(backoff=pb.BACKOFF_KIND_NONE, max_attempts=1, jitter=pb.JITTER_NONE)


def fixed(delay: DurationLike, *, max_attempts: int = 5, jitter: str = "none") -> pb.RetryPolicy:
    """The same delay before every further attempt."""
    d = duration_message(delay)
    return _retry(pb.BACKOFF_KIND_FIXED, jitter, initial_delay=d, max_delay=d, max_attempts=max_attempts)


def linear(
    initial: DurationLike, *, max_delay: DurationLike = "30s", max_attempts: int = 5, jitter: str = "full"
) -> pb.RetryPolicy:
    """The delay grows by ``initial`` with every attempt, up to ``max_delay``."""
    first, cap = duration_message(initial), duration_message(max_delay)
    return _retry(pb.BACKOFF_KIND_LINEAR, jitter, initial_delay=first, max_delay=cap, max_attempts=max_attempts)


def exponential(
    initial: DurationLike,
    *,
    multiplier: float = 2.0,
    max_delay: DurationLike = "30s",
    max_attempts: int = 5,
    jitter: str = "full",
) -> pb.RetryPolicy:
    """The delay is multiplied with every attempt, up to ``max_delay``.

    Args:
        initial: Before the second attempt.
        multiplier: At least 1.
        max_delay: Cap, jitter included.
        max_attempts: The first attempt included.
        jitter: ``none``, ``full``, ``equal`` or ``decorrelated``.
    """
    return _retry(
        pb.BACKOFF_KIND_EXPONENTIAL,
        jitter,
        initial_delay=duration_message(initial),
        max_delay=duration_message(max_delay),
        multiplier=multiplier,
        max_attempts=max_attempts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How a step is undone, where it differs from the step.

    Attributes:
        timeout: Per attempt; None takes the step's.
        retry: None takes the saga's ``compensation_retry``.
    """

    timeout: DurationLike | None = None
    retry: pb.RetryPolicy | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a saga.

    Attributes:
        id: Unique within the saga.
        participant: Name of the participant that does it.
        action: What it is asked for; the id if empty.
        timeout: Per attempt; None takes the coordinator's.
        total_timeout: Over all attempts; None is unbounded.
        delay: Wait before the first attempt.
        retry: None takes the saga's.
        compensation: How it is undone; False says that there is nothing to undo.
        rejected_status_codes: gRPC status names that, from a plain servicer, mean *rejected* for this step.
        metadata: Sent to the participant with every command.
    """

    id: str
    participant: str
    action: str = ""
    timeout: DurationLike | None = None
    total_timeout: DurationLike | None = None
    delay: DurationLike | None = None
    retry: pb.RetryPolicy | None = None
    compensation: Compensation | bool = True
    rejected_status_codes: Sequence[str] = ()
    name: str = ""
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_proto(self) -> pb.StepDefinition:
        """As it is sent.

        Raises:
            ValueError: A duration cannot be read, or metadata not be sent.
            TypeError: Metadata is of a type that cannot be sent.
        """
        undo = self.compensation
        made = pb.StepDefinition(
            id=self.id,
            name=self.name,
            description=self.description,
            participant=self.participant,
            action=self.action,
            timeout=duration_message(self.timeout),
            total_timeout=duration_message(self.total_timeout),
            delay=duration_message(self.delay),
            retry_policy=self.retry,
            rejected_status_codes=self.rejected_status_codes,
        )
        if isinstance(undo, Compensation):
            made.compensation.CopyFrom(
                pb.CompensationDefinition(timeout=duration_message(undo.timeout), retry_policy=undo.retry)
            )
        elif not undo:
            made.compensation.disabled = True
        if self.metadata:
            made.metadata.CopyFrom(tree(self.metadata))
        return made


@dataclass(frozen=True, slots=True)
class Saga:
    """A saga: steps that run one after another and are undone in reverse.

    Attributes:
        id: Names the definition over all its versions.
        steps: In the order they run.
        timeout: From start to outcome; None takes the coordinator's.
        retry: For steps without their own.
        compensation_retry: For compensations without their own.
        metadata: Copied to every saga that brings none.
    """

    id: str
    steps: Sequence[Step]
    timeout: DurationLike | None = None
    retry: pb.RetryPolicy | None = None
    compensation_retry: pb.RetryPolicy | None = None
    name: str = ""
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_proto(self) -> pb.SagaDefinition:
        """As it is sent.

        Raises:
            ValueError: A duration cannot be read, or metadata not be sent.
            TypeError: Metadata is of a type that cannot be sent.
        """
        made = pb.SagaDefinition(
            id=self.id,
            name=self.name,
            description=self.description,
            steps=[step.to_proto() for step in self.steps],
            timeout=duration_message(self.timeout),
            retry_policy=self.retry,
            compensation_retry_policy=self.compensation_retry,
        )
        if self.metadata:
            made.metadata.CopyFrom(tree(self.metadata))
        return made


DefinitionLike: TypeAlias = Saga | pb.SagaDefinition
"""A definition as a program writes it, or as it is sent."""


def definition_message(definition: DefinitionLike) -> pb.SagaDefinition:
    """A definition as it is sent.

    Raises:
        ValueError, TypeError: See ``Saga.to_proto``.
    """
    return definition.to_proto() if isinstance(definition, Saga) else definition
