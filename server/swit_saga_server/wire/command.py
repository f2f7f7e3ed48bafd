"""Commands as they are sent."""

from swit_saga.v1 import command_pb2, participant_service_pb2, payload_pb2
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import Effect
from swit_saga_server.engine.commands import ParticipantCommand

STOCK_COMMAND_BYTES = (4 << 20) - (64 << 10)
"""A command that any gRPC server takes without being told to, with what stands around it in a message."""
METADATA_BYTES = 6 << 10
"""Of all that ``metadata`` makes: what gRPC adds, and a proxy on the way, must have room beside it."""
HEADER_OVERHEAD = 32
"""For which each header counts beside its own bytes (RFC 7541, 4.1)."""

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
    """What a proxy or an interceptor may want to read without the body.

    ASCII only: ids may hold any characters. A server as it comes takes 8 KiB of headers, so that what is too long for
    them is left out, and never cut: part of an id is another id.
    """
    pairs = {
        "swit-generation": str(c.send_id.generation),
        "swit-attempt": str(c.send_id.attempt),
        "swit-send": str(c.send_id.send),
        "swit-not-after-ms": str(c.not_after // 1000),
        "swit-epoch": str(c.epoch),
        "traceparent": c.traceparent,
        "swit-saga-id": c.saga_id,
        "swit-step-id": c.step_id,
        "swit-idempotency-key": c.idempotency_key,
        "tracestate": c.tracestate,
    }
    made, left = list[tuple[str, str]](), METADATA_BYTES
    for key, value in pairs.items():
        header = value if value.isascii() and value.isprintable() else _header(value)
        size = len(key) + len(header) + HEADER_OVERHEAD
        if header and size <= left:
            made.append((key, header))
            left -= size
    return tuple(made)


def _header(value: str) -> str:
    """What headers cannot hold is spelled out."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in value)


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
