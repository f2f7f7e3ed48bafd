"""A command as it leaves for a participant: the core's bare ``Command`` filled in from the saga and its definition."""

from collections.abc import Mapping
from typing import Any

from swit_saga_server.core.dataflow import input_of
from swit_saga_server.core.definition import Definition
from swit_saga_server.core.effects import CancelCommand, Command
from swit_saga_server.core.identity import Kind, SendId, idempotency_key
from swit_saga_server.core.inputs import Answer, Answered
from swit_saga_server.core.model import Saga
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import record
from swit_saga_server.core.states import Effect
from swit_saga_server.core.units import NO_TIME, Instant, Span


@record(frozen=True, slots=True, kw_only=True)
class ParticipantCommand:
    """Everything that is sent to a participant.

    Attributes:
        not_after: Nothing may be started after this; absolute, by the store's clock.
        timeout: The same, relative to when the command was made; the RPC's deadline.
        epoch: The ownership epoch under which it is sent.
        execute_key: For Compensate: the key the Execute carried; else empty.
        certainty: For Compensate: ``done`` if the effect is known, ``maybe`` if not; else ``none``.
        reason: For Compensate: why the saga stopped.
        rejected_status_codes: gRPC status names this step takes as rejected.
        compensatable: For Execute: the step will be undone if the saga fails.
    """

    kind: Kind
    saga_id: str
    step_id: str
    step_index: int
    participant: str
    action: str
    send_id: SendId
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
    compensatable: bool = False

    @property
    def attempt(self) -> int:
        """Which attempt this is."""
        return self.send_id.attempt

    @property
    def resends(self) -> int:
        """Times an attempt of this call had been sent again before."""
        return self.send_id.send - self.send_id.attempt

    @property
    def command_id(self) -> str:
        """Unique per send; as ``command_id`` below makes it, without the call, for every send needs it."""
        send_id = self.send_id
        return f"{self.saga_id}/{self.step_index}/{self.kind}/{send_id.generation}.{send_id.attempt}.{send_id.send}"

    def answered(self, answer: Answer) -> Answered:
        """The input for the saga: ``answer`` is this send's."""
        return Answered(self.kind, self.step_index, self.send_id, answer)


def command_id(saga_id: str, kind: Kind, step_index: int, send_id: SendId) -> str:
    """Names one send of one call of one saga."""
    return f"{saga_id}/{step_index}/{kind}/{send_id.generation}.{send_id.attempt}.{send_id.send}"


def cancelled_id(saga: Saga, effect: CancelCommand) -> str:
    """The id of the command that ``effect`` cancels."""
    return command_id(saga.id, effect.kind, effect.step_index, effect.send_id)


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
    undo = command.kind is Kind.COMPENSATE
    call = step.compensation.call if undo and step.compensation else step.call
    return ParticipantCommand(
        kind=command.kind,
        saga_id=saga.id,
        step_id=step.id,
        step_index=step.index,
        participant=described.participant,
        action=described.action_name,
        send_id=command.send_id,
        idempotency_key=idempotency_key(saga.id, step.id, command.kind, command.send_id.generation),
        not_after=call.not_after,
        timeout=max(call.not_after - now, NO_TIME),
        epoch=epoch,
        completion_token="",  # Asynchronous completion fills it; no step asks for one yet.
        traceparent=saga.trace.traceparent,
        tracestate=saga.trace.tracestate,
        definition_id=saga.definition_id,
        definition_version=saga.definition_version,
        correlation_id=saga.correlation_id,
        metadata=described.metadata,
        labels=saga.labels,
        input=input_of(saga, step.index),
        output=step.output if undo else None,
        execute_key=idempotency_key(saga.id, step.id, Kind.EXECUTE, step.call.generation) if undo else "",
        certainty=step.effect if undo else Effect.NONE,
        initial_data=saga.initial_data if undo else None,
        reason=saga.stop_reason if undo else "",
        rejected_status_codes=described.rejected_status_codes and described.rejecting_codes,
        compensatable=not (undo or described.compensation.disabled),
    )
