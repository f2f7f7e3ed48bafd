"""Sagas and their events, with every field of the specification filled, the derived ones too."""

from collections.abc import Callable, Iterable
from importlib.metadata import version as installed_version
from typing import TypeAlias

from swit_saga.v1 import definition_pb2, error_pb2, event_pb2, payload_pb2
from swit_saga.v1 import saga_pb2 as pb
from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.dataflow import current_data, input_of, result_data
from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.events import SCHEMA_VERSION, SagaEvent
from swit_saga_server.core.identity import Kind, idempotency_key
from swit_saga_server.core.model import CompensationState, Saga, StepState
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NEVER
from swit_saga_server.wire.basic import duration, enum_member, enum_value, error, payload, struct, timestamp
from swit_saga_server.wire.definition import retry_policy

WritePayload: TypeAlias = Callable[[Payload | None], payload_pb2.Payload | None]
WriteError: TypeAlias = Callable[[SagaError | None], error_pb2.SagaError | None]

SERVICE_VERSION = installed_version("swit-saga")


def state(value: SagaState) -> "pb.SagaState.ValueType":
    """The proto value."""
    found: pb.SagaState.ValueType = enum_value(pb.SagaState, "SAGA_STATE", value)
    return found


def read_state(value: int) -> SagaState:
    """The core value.

    Raises:
        ValueError: Unspecified, or a number this version does not know.
    """
    if value == pb.SAGA_STATE_UNSPECIFIED:
        raise ValueError("SAGA_STATE_UNSPECIFIED is not a state")
    return enum_member(SagaState, pb.SagaState, "SAGA_STATE", value, SagaState.PENDING)


def saga(
    s: Saga,
    definition: Definition | None,
    steps: Iterable[StepState] | None = None,
    *,
    payload: WritePayload = payload,
    error: WriteError = error,
) -> pb.Saga:
    """A saga as others see it, however large that is; ``fitting`` is what callers are sent.

    Args:
        s: The applied state.
        definition: The version it is pinned to; None gives the basic view, without payloads and steps.
        steps: Only these of its steps; None for all.
        payload, error: How they are written.
    """
    made = pb.Saga(
        id=s.id,
        definition_id=s.definition_id,
        name=s.name,
        description=s.description,
        state=state(s.state),
        current_step=s.current_step,
        total_steps=len(s.steps),
        created_at=timestamp(s.created_at),
        updated_at=timestamp(s.updated_at),
        started_at=timestamp(s.started_at),
        completed_at=timestamp(s.completed_at),
        timed_out_at=timestamp(s.timed_out_at),
        error=error(s.error),
        timeout=duration(s.settings.timeout),
        retry_policy=retry_policy(s.settings.retry_policy),
        metadata=struct(s.metadata),
        trace_id=s.trace.trace_id,
        span_id=s.trace.span_id,
        parent_span_id=s.trace.parent_span_id,
        version=s.version,
        definition_version=s.definition_version,
        definition_digest=s.definition_digest,
        mode=enum_value(definition_pb2.CoordinatorMode, "COORDINATOR_MODE", s.mode),
        labels=s.labels,
        stop_cause=enum_value(pb.StopCause, "STOP_CAUSE", s.stop_cause),
        stop_reason=s.stop_reason,
        correlation_id=s.correlation_id,
        source=s.source,
        service=s.service,
        deadline=timestamp(s.deadline),
        due_at=timestamp(due_at(s)),
        last_sequence=s.last_sequence,
        compensation_strategy=enum_value(
            definition_pb2.CompensationStrategy, "COMPENSATION_STRATEGY", s.compensation_strategy
        ),
        stuck=s.quarantined > 0,
        started_by=s.started_by,
    )
    if definition is not None:
        for field, value in (
            (made.initial_data, s.initial_data),
            (made.current_data, current_data(s)),
            (made.result_data, result_data(s)),
        ):
            written = payload(value)
            if written is not None:
                field.CopyFrom(written)
        made.step_states.extend(
            _step(s, step, definition.steps[step.index], payload, error)
            for step in (s.steps if steps is None else steps)
        )
    return made


def result(s: Saga) -> pb.Saga:
    """A completed saga for those who want its result: most who wait do, and all of it costs ten times as much."""
    return pb.Saga(
        id=s.id,
        definition_id=s.definition_id,
        definition_version=s.definition_version,
        name=s.name,
        state=state(s.state),
        version=s.version,
        created_at=timestamp(s.created_at),
        updated_at=timestamp(s.updated_at),
        started_at=timestamp(s.started_at),
        completed_at=timestamp(s.completed_at),
        result_data=payload(result_data(s)),
    )


def head(s: Saga) -> pb.Saga:
    """A saga for those who started it and want to know no more than that."""
    made = pb.Saga()
    write_head(made, s)
    return made


def write_head(into: pb.Saga, s: Saga) -> None:
    """Fill in a head where it stands, among many for one: a message handed to a constructor is copied."""
    into.id = s.id
    into.definition_id = s.definition_id
    into.definition_version = s.definition_version
    into.state = state(s.state)
    into.version = s.version


def event(e: SagaEvent, s: Saga) -> event_pb2.SagaEvent:
    """An event as others see it: what it says itself, and what its saga's header says for all its events."""
    return event_pb2.SagaEvent(
        id=f"{s.id}/{e.sequence}",
        saga_id=s.id,
        step_id=e.step_id,
        type=e.type,
        version=SCHEMA_VERSION,
        timestamp=timestamp(e.at),
        correlation_id=s.correlation_id,
        data=payload(e.data),
        previous_state=e.previous_state,
        new_state=e.new_state,
        error=error(e.error),
        duration=duration(e.duration) if e.duration else None,
        attempt=e.attempt,
        max_attempts=e.max_attempts,
        metadata=struct(e.metadata),
        source=s.source,
        service=e.service,
        service_version=SERVICE_VERSION,
        trace_id=s.trace.trace_id,
        span_id=s.trace.span_id,
        parent_span_id=s.trace.parent_span_id,
        sequence=e.sequence,
        definition_id=s.definition_id,
        definition_version=s.definition_version,
        principal=e.principal,
    )


def _step(
    s: Saga, step: StepState, described: StepDefinition, payload: WritePayload, error: WriteError
) -> pb.StepState:
    call = step.call
    return pb.StepState(
        id=step.id,
        saga_id=s.id,
        step_index=step.index,
        name=described.name or step.id,
        state=enum_value(pb.StepStatus, "STEP_STATUS", step.status),
        attempts=call.attempts,
        max_attempts=step.max_attempts,
        created_at=timestamp(step.created_at),
        started_at=timestamp(call.started_at),
        completed_at=timestamp(step.completed_at),
        last_attempt_at=timestamp(call.last_attempt_at),
        input_data=payload(input_of(s, step.index)),
        output_data=payload(step.output),
        error=error(step.error),
        compensation_state=_compensation(s, step, step.compensation, error) if step.compensation else None,
        metadata=struct(described.metadata),
        participant=described.participant,
        action=described.action_name,
        effect=enum_value(pb.Effect, "EFFECT", step.effect),
        kind=definition_pb2.STEP_KIND_COMPENSATABLE,
        in_flight=call.in_flight,
        resends=call.resends,
        retry_at=timestamp(call.retry_at or (NEVER if call.attempts else step.ready_at)),
        not_after=timestamp(call.not_after),
        idempotency_key=idempotency_key(s.id, step.id, Kind.EXECUTE, call.generation),
        generation=call.generation,
        sends=call.sends,
    )


def _compensation(s: Saga, step: StepState, c: CompensationState, error: WriteError) -> pb.CompensationState:
    return pb.CompensationState(
        state=enum_value(pb.CompensationStatus, "COMPENSATION_STATUS", c.status),
        attempts=c.call.attempts,
        max_attempts=c.max_attempts,
        started_at=timestamp(c.call.started_at),
        completed_at=timestamp(c.completed_at),
        error=error(c.error),
        resends=c.call.resends,
        retry_at=timestamp(c.call.retry_at),
        idempotency_key=idempotency_key(s.id, step.id, Kind.COMPENSATE, c.call.generation),
        in_flight=c.call.in_flight,
        generation=c.call.generation,
        sends=c.call.sends,
    )
