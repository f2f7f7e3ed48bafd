"""What lies between a participant and whoever asks it: requests in, replies out, whichever way they travel."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from swit_saga.v1.error_pb2 import SagaError
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga_server.core.units import Span

Request: TypeAlias = ExecuteRequest | CompensateRequest
Reply: TypeAlias = ExecuteResponse | CompensateResponse | SagaError | None
"""An error if the handler failed, whose code is the name of a gRPC status; None for silence."""

FOR_EVER = Span(1 << 60)
"""Of a participant that never serves the stream."""


class Receiver(Protocol):
    """A participant, as the network sees it.

    Attributes:
        name: As definitions name it.
        is_streamed: Coordinators are told to ask it for a stream.
        serves_from: It serves the stream from then on, microseconds from the beginning.
        credits: Commands that it takes at a time by one stream.
    """

    name: str
    is_streamed: bool
    serves_from: Span
    credits: int

    def receive(self, request: Request, copy: int, reply: Callable[[Reply], None]) -> None:
        """A command arrived, or the network's ``copy`` of one (2). ``reply`` is called once, at any later time."""
        ...


def named(request: Request) -> str:
    """Which send it is: what befalls it hangs on that."""
    c = request.command
    kind = "execute" if isinstance(request, ExecuteRequest) else "compensate"
    return f"{c.saga_id}/{c.step_index}/{kind}/{c.generation}.{c.attempt}.{c.send}"
