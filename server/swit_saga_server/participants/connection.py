"""What a transport holds of a remote participant: a connection that carries calls and streams, of whatever make."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga.v1.participant_stream_service_pb2 import StreamRequest, StreamResponse
from swit_saga_server.core.errors import Portable

Metadata: TypeAlias = Sequence[tuple[str, str]]


def nobody_asks() -> None:
    """For transports whose participant's description is of no interest."""


class CallFailed(Portable):
    """A call ended without a response, or a stream ended.

    Attributes:
        code: The gRPC status's name.
        details: The status's text.
        stack_trace: The participant's traceback, if it sent one.
    """

    def __init__(self, code: str, details: str, stack_trace: str = "") -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.stack_trace = stack_trace


class Stream(Protocol):
    """One ``ParticipantStreamService.Stream``. One reader and one writer use it at a time."""

    async def read(self) -> StreamResponse:
        """The next message.

        Raises:
            CallFailed: The stream is over; UNAVAILABLE if the participant ended it in good order.
        """
        ...

    async def write(self, request: StreamRequest) -> None:
        """Returns when the stream takes more.

        Raises:
            CallFailed: The stream is over; what it was written may have arrived, or not.
        """
        ...

    def cancel(self) -> None:
        """End it from this side; a ``read`` that waits raises. Safe to call twice and after its end."""
        ...


class Connection(Protocol):
    """To one participant at one address. It is made when first needed, on the running event loop."""

    @property
    def address(self) -> str:
        """Where it leads, for people."""
        ...

    def open_stream(self) -> Stream:
        """A new stream. Whether anybody serves it is found out by reading."""
        ...

    async def execute(self, request: ExecuteRequest, timeout_s: float, metadata: Metadata) -> ExecuteResponse:
        """``ParticipantService.Execute``, once: a connection repeats nothing by itself.

        Args:
            request: What is asked.
            timeout_s: How long the caller waits, which the participant is told; the call may end by itself then.
            metadata: See ``wire.command.metadata``.

        Raises:
            CallFailed: There is no response; the request may have arrived, or not.
        """
        ...

    async def compensate(self, request: CompensateRequest, timeout_s: float, metadata: Metadata) -> CompensateResponse:
        """The same for ``ParticipantService.Compensate``."""
        ...

    async def changed(self) -> None:
        """Return once the connection that is up now has gone: what is reached then may be another participant."""
        ...

    async def close(self) -> None:
        """Let go of it. Calls and streams that are open fail."""
        ...
