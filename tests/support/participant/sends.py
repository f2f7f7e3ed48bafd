"""Commands as the engine hands them to a transport."""

import time
from typing import Any

from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import Effect
from swit_saga_server.core.units import Instant, Span
from swit_saga_server.engine.commands import ParticipantCommand


def command(
    saga: str = "s", value: Any = "fine", *, kind: Kind = Kind.EXECUTE, attempt: int = 1, left_s: float = 60
) -> ParticipantCommand:
    undo = kind is Kind.COMPENSATE
    return ParticipantCommand(
        kind=kind, saga_id=saga, step_id="do", step_index=0, participant="shop", action="do",
        send_id=SendId(1, attempt, attempt),
        idempotency_key=f"{saga}/do{'/undo' if undo else ''}", not_after=Instant((time.time() + left_s) * 1e6),
        timeout=Span(left_s * 1e6), epoch=1, completion_token="", definition_id="d", definition_version=1,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate="", correlation_id="",
        metadata={}, labels={}, input=Payload("text/plain", value), output=None, reason="", initial_data=None,
        execute_key=f"{saga}/do" if undo else "",
        certainty=Effect.MAYBE if undo else Effect.NONE, rejected_status_codes=(),
    )  # fmt: skip
