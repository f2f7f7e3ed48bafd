"""Definitions and retry policies."""

from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.v1 import definition_pb2 as pb
from swit_saga_server.core.definition import (
    CompensationDefinition,
    CompensationStrategy,
    CoordinatorMode,
    Definition,
    StepDefinition,
)
from swit_saga_server.core.errors import InvalidDefinition, Violation
from swit_saga_server.core.retry import DEFAULT_RETRY, Backoff, Jitter, RetryPolicy
from swit_saga_server.store.contract import StoredDefinition
from swit_saga_server.wire.basic import duration, enum_member, enum_value, mapping, span, struct, timestamp


@lru_cache
def retry_policy(policy: RetryPolicy | None) -> pb.RetryPolicy | None:
    """None for None. Kept, for every saga shown has one of a few; not to be changed."""
    if policy is None:
        return None
    return pb.RetryPolicy(
        backoff=enum_value(pb.BackoffKind, "BACKOFF_KIND", policy.backoff),
        initial_delay=duration(policy.initial_delay),
        max_delay=duration(policy.max_delay),
        multiplier=policy.multiplier,
        max_attempts=policy.max_attempts,
        jitter=enum_value(pb.Jitter, "JITTER", policy.jitter),
    )


def read_retry_policy(policy: pb.RetryPolicy, path: str) -> RetryPolicy:
    """With the documented defaults for what is left out.

    Raises:
        InvalidDefinition: An enum number this version does not know.
    """
    try:
        initial = span(policy.initial_delay) if policy.HasField("initial_delay") else DEFAULT_RETRY.initial_delay
        default_cap = max(DEFAULT_RETRY.max_delay, initial)
        return RetryPolicy(
            backoff=enum_member(Backoff, pb.BackoffKind, "BACKOFF_KIND", policy.backoff, Backoff.EXPONENTIAL),
            initial_delay=initial,
            max_delay=span(policy.max_delay) if policy.HasField("max_delay") else default_cap,
            multiplier=policy.multiplier or DEFAULT_RETRY.multiplier,
            max_attempts=policy.max_attempts or DEFAULT_RETRY.max_attempts,
            jitter=enum_member(Jitter, pb.Jitter, "JITTER", policy.jitter, Jitter.FULL),
        )
    except ValueError as unknown:
        raise InvalidDefinition((Violation(path, str(unknown)),)) from unknown


def definition(found: Definition | StoredDefinition) -> pb.SagaDefinition:
    """A definition, with the output-only fields if it is a stored one."""
    d = found.definition if isinstance(found, StoredDefinition) else found
    made = pb.SagaDefinition(
        id=d.id,
        name=d.name,
        description=d.description,
        steps=[_step(s) for s in d.steps],
        timeout=duration(d.timeout),
        retry_policy=retry_policy(d.retry_policy),
        compensation_strategy=enum_value(pb.CompensationStrategy, "COMPENSATION_STRATEGY", d.compensation_strategy),
        compensation_retry_policy=retry_policy(d.compensation_retry_policy),
        metadata=struct(d.metadata),
    )
    if isinstance(found, StoredDefinition):
        made.version, made.digest, made.disabled = found.version, found.digest, found.disabled
        made.registered_at.CopyFrom(timestamp(found.registered_at) or Timestamp())
    return made


def read_definition(d: pb.SagaDefinition) -> Definition:
    """The core's form. Have it admitted by ``wire.door`` first, and call ``Definition.validate`` after.

    Raises:
        InvalidDefinition: An enum number this version does not know.
    """
    try:
        strategy = enum_member(
            CompensationStrategy, pb.CompensationStrategy, "COMPENSATION_STRATEGY", d.compensation_strategy,
            CompensationStrategy.SEQUENTIAL,
        )  # fmt: skip
    except ValueError as unknown:
        raise InvalidDefinition((Violation("compensation_strategy", str(unknown)),)) from unknown
    return Definition(
        id=d.id,
        name=d.name,
        description=d.description,
        steps=tuple(_read_step(s, f"steps[{i}]") for i, s in enumerate(d.steps)),
        timeout=span(d.timeout) if d.HasField("timeout") else None,
        retry_policy=read_retry_policy(d.retry_policy, "retry_policy") if d.HasField("retry_policy") else None,
        compensation_retry_policy=(
            read_retry_policy(d.compensation_retry_policy, "compensation_retry_policy")
            if d.HasField("compensation_retry_policy")
            else None
        ),
        compensation_strategy=strategy,
        metadata=mapping(d.metadata),
    )


def read_mode(value: int) -> CoordinatorMode:
    """The mode asked for; orchestration if none is.

    Raises:
        ValueError: A number this version does not know.
    """
    return enum_member(CoordinatorMode, pb.CoordinatorMode, "COORDINATOR_MODE", value, CoordinatorMode.ORCHESTRATION)


def _step(s: StepDefinition) -> pb.StepDefinition:
    c = s.compensation
    return pb.StepDefinition(
        id=s.id,
        name=s.name,
        description=s.description,
        participant=s.participant,
        action=s.action,
        timeout=duration(s.timeout),
        total_timeout=duration(s.total_timeout),
        retry_policy=retry_policy(s.retry_policy),
        compensation=pb.CompensationDefinition(
            disabled=c.disabled, timeout=duration(c.timeout), retry_policy=retry_policy(c.retry_policy)
        ),
        kind=pb.STEP_KIND_COMPENSATABLE,
        delay=duration(s.delay) if s.delay else None,
        metadata=struct(s.metadata),
        rejected_status_codes=s.rejected_status_codes,
    )


def _read_step(s: pb.StepDefinition, path: str) -> StepDefinition:
    c = s.compensation
    policy_path = f"{path}.compensation.retry_policy"
    return StepDefinition(
        id=s.id,
        name=s.name,
        description=s.description,
        participant=s.participant,
        action=s.action,
        timeout=span(s.timeout) if s.HasField("timeout") else None,
        total_timeout=span(s.total_timeout) if s.HasField("total_timeout") else None,
        delay=span(s.delay),
        retry_policy=(
            read_retry_policy(s.retry_policy, f"{path}.retry_policy") if s.HasField("retry_policy") else None
        ),
        compensation=CompensationDefinition(
            disabled=c.disabled,
            timeout=span(c.timeout) if c.HasField("timeout") else None,
            retry_policy=read_retry_policy(c.retry_policy, policy_path) if c.HasField("retry_policy") else None,
        ),
        rejected_status_codes=tuple(s.rejected_status_codes),
        metadata=mapping(s.metadata),
    )
