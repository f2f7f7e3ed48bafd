"""Sagas as a program writes them: ``Saga`` and ``Step`` build the protobuf definition."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from swit_saga.durations import DurationLike, duration_message
from swit_saga.given import given, given_count, given_list, given_text
from swit_saga.trees import tree
from swit_saga.v1 import definition_pb2 as pb


def _retry(backoff: "pb.BackoffKind.ValueType", jitter: str, max_attempts: int, **more: Any) -> pb.RetryPolicy:
    given_count(max_attempts, "max_attempts", least=1)
    names = {name.removeprefix("JITTER_").lower(): value for name, value in pb.Jitter.items() if value}
    if jitter not in names:
        raise ValueError(f"jitter {jitter!r} is not one of {', '.join(names)}")
    return pb.RetryPolicy(backoff=backoff, jitter=names[jitter], max_attempts=max_attempts, **more)


def no_retry() -> pb.RetryPolicy:
    """One attempt only."""
    return pb.RetryPolicy(backoff=pb.BACKOFF_KIND_NONE, max_attempts=1, jitter=pb.JITTER_NONE)


def fixed(delay: DurationLike, *, max_attempts: int = 5, jitter: str = "none") -> pb.RetryPolicy:
    """The same delay before every further attempt.

    Raises:
        ValueError, TypeError: One of these is none; the message names it.
    """
    d = duration_message(delay, "delay")
    return _retry(pb.BACKOFF_KIND_FIXED, jitter, max_attempts, initial_delay=d, max_delay=d)


def linear(
    initial: DurationLike, *, max_delay: DurationLike = "30s", max_attempts: int = 5, jitter: str = "full"
) -> pb.RetryPolicy:
    """The delay grows by ``initial`` with every attempt, up to ``max_delay``.

    Raises:
        ValueError, TypeError: As ``fixed``.
    """
    first, cap = duration_message(initial, "initial"), duration_message(max_delay, "max_delay")
    return _retry(pb.BACKOFF_KIND_LINEAR, jitter, max_attempts, initial_delay=first, max_delay=cap)


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

    Raises:
        ValueError, TypeError: As ``fixed``.
    """
    if not isinstance(multiplier, int | float) or isinstance(multiplier, bool):
        raise TypeError(f"multiplier must be a number, not {type(multiplier).__name__}: {multiplier!r:.80}")
    if not (math.isfinite(multiplier) and multiplier >= 1):
        raise ValueError(f"multiplier is {multiplier!r:.80}; it must be at least 1")
    return _retry(
        pb.BACKOFF_KIND_EXPONENTIAL,
        jitter,
        max_attempts,
        initial_delay=duration_message(initial, "initial"),
        max_delay=duration_message(max_delay, "max_delay"),
        multiplier=multiplier,
    )


def _check_retry(retry: object, name: str) -> None:
    if retry is not None:
        given(retry, name, pb.RetryPolicy, "write exponential(...), linear(...), fixed(...) or no_retry()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How a step is undone, where it differs from the step.

    Attributes:
        timeout: Per attempt; None takes the step's.
        retry: None takes the saga's ``compensation_retry``.
    """

    timeout: DurationLike | None = None
    retry: pb.RetryPolicy | None = None

    def __post_init__(self) -> None:
        duration_message(self.timeout, "compensation: timeout")
        _check_retry(self.retry, "compensation: retry")


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

    Raises:
        ValueError, TypeError: One of these is no such thing; the message says which, of which step.
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

    def __post_init__(self) -> None:
        step = f"step {given_text(self.id, 'a step: id')!r:.80}"
        for name in ("participant", "action", "name", "description"):
            given_text(getattr(self, name), f"{step}: {name}")
        for name in ("timeout", "total_timeout", "delay"):
            duration_message(getattr(self, name), f"{step}: {name}")
        _check_retry(self.retry, f"{step}: retry")
        if not isinstance(self.compensation, bool):
            how = "or True or False; of its retries it is told by Compensation(retry=...)"
            given(self.compensation, f"{step}: compensation", Compensation, how)
        for code in given_list(self.rejected_status_codes, f"{step}: rejected_status_codes", "names of statuses"):
            given_text(code, f"{step}: rejected_status_codes")

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

    Raises:
        ValueError, TypeError: One of these is no such thing; the message says which, of which saga.
    """

    id: str
    steps: Sequence[Step]
    timeout: DurationLike | None = None
    retry: pb.RetryPolicy | None = None
    compensation_retry: pb.RetryPolicy | None = None
    name: str = ""
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        saga = f"saga {given_text(self.id, 'a saga: id')!r:.80}"
        for i, step in enumerate(given_list(self.steps, f"{saga}: steps", "steps")):
            given(step, f"{saga}: steps[{i}]", Step)
        for name in ("name", "description"):
            given_text(getattr(self, name), f"{saga}: {name}")
        duration_message(self.timeout, f"{saga}: timeout")
        _check_retry(self.retry, f"{saga}: retry")
        _check_retry(self.compensation_retry, f"{saga}: compensation_retry")

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
        TypeError: It is neither.
        ValueError, TypeError: See ``Saga.to_proto``.
    """
    if isinstance(definition, Saga):
        return definition.to_proto()
    if not isinstance(definition, pb.SagaDefinition):
        raise TypeError(f"the definition must be a Saga (or a SagaDefinition), not {type(definition).__name__}")
    return definition
