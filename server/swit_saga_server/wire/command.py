"""Commands out, answers in. An error has the time that the participant gave it, or none: the ledger dates it."""

from collections.abc import Mapping

from swit_saga.v1 import command_pb2, error_pb2, participant_service_pb2, payload_pb2
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.inputs import Answer, Completed, Rejected, Unknown
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import evolve
from swit_saga_server.core.states import Effect
from swit_saga_server.core.units import NEVER
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.wire.basic import read_error, read_payload

REJECTED_STATUS = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "OUT_OF_RANGE"})
"""From a plain servicer these mean *rejected*: libraries and proxies do not make them up."""

_STATUS_TYPES: Mapping[str, ErrorType] = {
    "DEADLINE_EXCEEDED": ErrorType.TIMEOUT,
    "UNAVAILABLE": ErrorType.NETWORK,
    "CANCELLED": ErrorType.NETWORK,
    "PERMISSION_DENIED": ErrorType.SYSTEM,
    "UNAUTHENTICATED": ErrorType.SYSTEM,
}

UNDATED = NEVER
"""The time of an error that nobody dated yet."""

_CERTAINTY = {
    Effect.DONE: command_pb2.CERTAINTY_COMPLETED,
    Effect.MAYBE: command_pb2.CERTAINTY_UNKNOWN,
    Effect.NONE: command_pb2.CERTAINTY_UNSPECIFIED,
}


def execute_request(c: ParticipantCommand) -> participant_service_pb2.ExecuteRequest:
    """The Execute as it is sent."""
    made = participant_service_pb2.ExecuteRequest()
    write_execute(made, c)
    return made


def compensate_request(c: ParticipantCommand) -> participant_service_pb2.CompensateRequest:
    """The Compensate as it is sent."""
    made = participant_service_pb2.CompensateRequest()
    write_compensate(made, c)
    return made


def write_execute(into: participant_service_pb2.ExecuteRequest, c: ParticipantCommand) -> None:
    """Fill in an Execute where it stands, in a batch for one: a message handed to a constructor is copied."""
    _write_context(into.command, c)
    if c.input is not None:
        _write_payload(into.input, c.input)


def write_compensate(into: participant_service_pb2.CompensateRequest, c: ParticipantCommand) -> None:
    """The same for a Compensate."""
    _write_context(into.command, c)
    for part, value in ((into.input, c.input), (into.output, c.output), (into.initial_data, c.initial_data)):
        if value is not None:
            _write_payload(part, value)
    into.execute_idempotency_key = c.execute_key
    into.certainty = _CERTAINTY[c.certainty]
    into.reason = c.reason


def metadata(c: ParticipantCommand) -> tuple[tuple[str, str], ...]:
    """What a proxy or an interceptor may want to read without the body. ASCII only: ids may hold any characters."""
    pairs = {
        "swit-saga-id": c.saga_id,
        "swit-step-id": c.step_id,
        "swit-generation": str(c.send_id.generation),
        "swit-attempt": str(c.send_id.attempt),
        "swit-send": str(c.send_id.send),
        "swit-idempotency-key": c.idempotency_key,
        "swit-not-after-ms": str(c.not_after // 1000),
        "swit-epoch": str(c.epoch),
        "traceparent": c.traceparent,
        "tracestate": c.tracestate,
    }
    return tuple((k, v.encode("ascii", "backslashreplace").decode()) for k, v in pairs.items() if v)


def execute_answer(response: participant_service_pb2.ExecuteResponse) -> Answer:
    """What an ExecuteResponse says."""
    match response.WhichOneof("answer"):
        case "completed":
            out = response.completed
            return Completed(read_payload(out.output) if out.HasField("output") else None)
        case "rejected":
            return _rejected(response.rejected)
        case other:
            return _no_answer(other)


def compensate_answer(response: participant_service_pb2.CompensateResponse) -> Answer:
    """What a CompensateResponse says."""
    match response.WhichOneof("answer"):
        case "completed":
            return Completed()
        case "rejected":
            return _rejected(response.rejected)
        case other:
            return _no_answer(other)


def status_answer(c: ParticipantCommand, code: str, details: str, stack_trace: str = "") -> Answer:
    """What an aborted call means. Only the participant's own certain statuses are a rejection.

    Args:
        c: What was asked.
        code: The gRPC status's name.
        details: Its text.
        stack_trace: The participant's, if it sent one.
    """
    first = c.send_id.send == 1
    rejected = code in REJECTED_STATUS or code in c.rejected_status_codes or (code == "ALREADY_EXISTS" and first)
    error = SagaError(
        code=code,
        message=details,
        type=ErrorType.BUSINESS if rejected else _STATUS_TYPES.get(code, ErrorType.SERVICE),
        retryable=not rejected,
        stack_trace=stack_trace,
    )
    return Rejected(error) if rejected else Unknown(error)


def unknown_answer(error: error_pb2.SagaError) -> Unknown:
    """What a participant's failure means that came by the stream; always worth another attempt."""
    return Unknown(evolve(read_error(error, UNDATED, ErrorType.SERVICE), retryable=True))


def broken_answer(code: str, details: str) -> Unknown:
    """What a stream's end means to each command that it carried: no status of a stream speaks of one command."""
    kind = _STATUS_TYPES.get(code, ErrorType.SERVICE)
    return Unknown(SagaError(code=code, message=details, type=kind, retryable=True))


def failed_here(error: Exception) -> Unknown:
    """Something went wrong on our side, such as an answer that cannot be read: no certain answer."""
    text = f"{type(error).__name__}: {error}"
    return Unknown(SagaError(code="CALL_FAILED", message=text, type=ErrorType.SYSTEM, retryable=True))


def no_answer() -> Unknown:
    """What an answer without an answer means."""
    return _no_answer(None)


def _write_context(into: command_pb2.CommandContext, c: ParticipantCommand) -> None:
    into.saga_id = c.saga_id
    into.step_id = c.step_id
    into.step_index = c.step_index
    into.participant = c.participant
    into.action = c.action
    send_id = c.send_id
    into.generation = send_id.generation
    into.attempt = send_id.attempt
    into.send = send_id.send
    into.resend = c.resends
    into.idempotency_key = c.idempotency_key
    if c.not_after:
        into.not_after.seconds, micros = divmod(c.not_after, 1_000_000)
        into.not_after.nanos = micros * 1000
    into.timeout.seconds, micros = divmod(c.timeout, 1_000_000)
    into.timeout.nanos = micros * 1000
    into.ownership_epoch = c.epoch
    into.completion_token = c.completion_token
    into.traceparent = c.traceparent
    into.tracestate = c.tracestate
    into.definition_id = c.definition_id
    into.definition_version = c.definition_version
    into.correlation_id = c.correlation_id
    into.compensatable = c.compensatable
    if c.metadata:
        into.metadata.update(dict(c.metadata))
    if c.labels:
        into.labels.update(c.labels)


def _write_payload(into: payload_pb2.Payload, value: Payload) -> None:
    into.content_type = value.content_type
    if isinstance(value.data, str):
        into.text = value.data
    else:
        into.binary = value.data


def _rejected(answer: command_pb2.Rejected) -> Rejected:
    error = read_error(answer.error, UNDATED, ErrorType.BUSINESS)
    return Rejected(error if answer.HasField("error") else _made_up("REJECTED", "rejected without a reason"))


def _no_answer(kind: str | None) -> Unknown:
    if kind == "pending":
        text = "the participant answered 'pending', which this version of the coordinator does not support"
        return Unknown(_made_up("PENDING_NOT_SUPPORTED", text))
    return Unknown(_made_up("EMPTY_ANSWER", "the participant answered without saying what became of it", retry=True))


def _made_up(code: str, message: str, *, retry: bool = False) -> SagaError:
    return SagaError(code=code, message=message, type=ErrorType.DATA, retryable=retry)
