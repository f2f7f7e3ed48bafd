"""Who calls: what a handler may know of it, whatever the transport."""

from dataclasses import dataclass

from swit_saga_server.core.model import TraceContext
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.telemetry import parse_traceparent

MAX_TRACESTATE = 512
"""Characters of a trace state; the W3C asks for no more. A longer one is left out, as one that is malformed."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of a caller.

    Attributes:
        traceparent, tracestate: W3C trace context; empty without one.
        time_left_s: Until its deadline; None without one.
        principal: Who it is; nobody in particular without authentication.
    """

    traceparent: str = ""
    tracestate: str = ""
    time_left_s: float | None = None
    principal: Principal = ANONYMOUS


def trace_of(traceparent: str, tracestate: str) -> TraceContext | None:
    """The caller's trace; None if it brings none, or one that is malformed."""
    context = parse_traceparent(traceparent)
    if context is None:
        return None
    if len(tracestate) > MAX_TRACESTATE or not (tracestate.isascii() and tracestate.isprintable()):
        tracestate = ""  # It goes on to participants as a header.
    return TraceContext(
        trace_id=f"{context.trace_id:032x}",
        parent_span_id=f"{context.span_id:016x}",
        flags=context.trace_flags,
        tracestate=tracestate,
    )
