"""A command as it leaves for a participant: the core's bare ``Command`` filled in from the saga and its definition."""

from collections.abc import Mapping
from typing import Any

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.effects import Command, Withdraw
from swit_saga_server.core.inputs import Kind
from swit_saga_server.core.model import Effect, Saga, compensation_key, idempotency_key
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import record
from swit_saga_server.core.units import Instant, Span


@record(frozen=True, slots=True, kw_only=True)
class ParticipantCommand:
    """Everything a participant is told (design §5).

    Attributes:
        not_after: Nothing may be started after this; absolute, by the store's clock.
        timeout: The same, relative to when the command was made; the RPC's deadline.
        epoch: The ownership epoch under which it is sent.
        execute_key: For Compensate: the key the Execute carried; else empty.
        certainty: For Compensate: ``done`` if the effect is known, ``maybe`` if not; else ``none``.
        reason: For Compensate: why the saga stopped.
        rejected_status_codes: gRPC status names this step takes as rejected.
    """

    kind: Kind
    saga_id: str
    step_id: str
    step_index: int
    participant: str
    action: str
    attempt: int
    resend: int
    idempotency_key: str
    not_after: Instant
    timeout: Span
    epoch: int
    completion_token: str
    traceparent: str
    tracestate: str
    definition_id: str
    definition_version: int
    correlation_id: str
    metadata: Mapping[str, Any]
    labels: Mapping[str, str]
    input: Payload | None
    output: Payload | None
    execute_key: str
    certainty: Effect
    initial_data: Payload | None
    reason: str
    rejected_status_codes: tuple[str, ...]

    @property
    def command_id(self) -> str:
        """Unique per attempt; a resend has the same."""
        return command_id(self.saga_id, self.kind, self.step_index, self.attempt)


def command_id(saga_id: str, kind: Kind, step_index: int, attempt: int) -> str:
    """Names one attempt of one call of one saga."""
    return f"{saga_id}/{step_index}/{kind}/{attempt}"


def withdrawn_id(saga: Saga, effect: Withdraw) -> str:
    """The id of the command that ``effect`` withdraws."""
    return command_id(saga.id, effect.kind, effect.step_index, effect.attempt)


def fill(saga: Saga, definition: Definition, command: Command, epoch: int, now: Instant) -> ParticipantCommand:
    """The command as it goes out.

    Args:
        saga: The applied state the command was derived from.
        definition: The saga's own version.
        command: What is asked.
        epoch: Of the partition's lease.
        now: The time by the store's clock.
    """
    step = saga.steps[command.step_index]
    described = definition.steps[command.step_index]
    execute_key = idempotency_key(saga.id, step.id)
    undo = command.kind is Kind.COMPENSATE
    call = step.compensation.call if undo and step.compensation else step.call
    return ParticipantCommand(
        kind=command.kind,
        saga_id=saga.id,
        step_id=step.id,
        step_index=step.index,
        participant=described.participant,
        action=described.action_name,
        attempt=command.attempt,
        resend=command.resend,
        idempotency_key=compensation_key(saga.id, step.id) if undo else execute_key,
        not_after=call.not_after,
        timeout=max(call.not_after - now, 0),
        epoch=epoch,
        completion_token="",  # Asynchronous completion fills it; no step asks for one yet.
        traceparent=saga.trace.traceparent,
        tracestate=saga.trace.tracestate,
        definition_id=saga.definition_id,
        definition_version=saga.definition_version,
        correlation_id=saga.correlation_id,
        metadata=described.metadata,
        labels=saga.labels,
        input=saga.input_of(step.index),
        output=step.output if undo else None,
        execute_key=execute_key if undo else "",
        certainty=step.effect if undo else Effect.NONE,
        initial_data=saga.initial_data if undo else None,
        reason=saga.stop_reason if undo else "",
        rejected_status_codes=described.rejected_status_codes,
    )
