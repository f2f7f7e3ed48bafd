"""Spans on the way to participants. Our own, because the aio client instrumentation leaks spans on cancelled calls.

Without an OpenTelemetry SDK set up by the host program this only passes the saga's trace context on.
"""

import re
from dataclasses import dataclass, replace

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from swit_saga_server.engine.commands import ParticipantCommand

_TRACEPARENT = re.compile(r"\s*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\s*", re.ASCII)
"""Of later versions, too, which may have more to say."""
_tracer = trace.get_tracer("swit_saga_server")


@dataclass(frozen=True, slots=True)
class CommandSpan:
    """A client span around one command, child of the saga's span.

    Attributes:
        command: The command, carrying the span's context instead of the saga's.
        span: Not ended yet.
    """

    command: ParticipantCommand
    span: Span

    def end(self, failure: str = "") -> None:
        """The command is over; ``failure`` says why it has no certain answer."""
        if failure:
            self.span.set_status(StatusCode.ERROR, failure)
        self.span.end()


def is_recorded() -> bool:
    """Whether the host program has set up an SDK; until then no span would be anything but the caller's context."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def open_span(command: ParticipantCommand, address: str) -> CommandSpan | None:
    """A span for a command that is sent now; None without an SDK or a trace to be part of."""
    if not (command.traceparent and is_recorded()):
        return None
    parent = parse_traceparent(command.traceparent, command.tracestate)
    if parent is None:
        return None
    attributes: dict[str, str | int] = {
        "rpc.system": "grpc",
        "server.address": address,
        "saga.id": command.saga_id,
        "saga.step": command.step_id,
        "saga.attempt": command.attempt,
    }
    context = trace.set_span_in_context(NonRecordingSpan(parent))
    name = f"{command.participant}/{command.action} {command.kind}"
    span = _tracer.start_span(name, context, SpanKind.CLIENT, attributes)
    own = span.get_span_context()
    return CommandSpan(replace(command, traceparent=format_traceparent(own)) if own.is_valid else command, span)


def parse_traceparent(header: str, tracestate: str = "") -> SpanContext | None:
    """A W3C traceparent header; None if it is empty or malformed."""
    parts = _TRACEPARENT.fullmatch(header)
    if parts is None or parts[1] == "ff" or (parts[1] == "00" and parts[5]):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in parts.group(2, 3, 4))
    context = SpanContext(trace_id, span_id, True, TraceFlags(flags), TraceState.from_header([tracestate]))
    return context if context.is_valid else None


def format_traceparent(context: SpanContext) -> str:
    """The W3C header of a span."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
