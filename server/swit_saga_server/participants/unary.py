"""Participants reached by one unary gRPC call per command."""

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from swit_saga.v1 import participant_service_pb2_grpc
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Unknown
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.telemetry import open_span
from swit_saga_server.wire import command as wire

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # One retry layer, ours: gRPC's own would send a command twice under one attempt number.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    # A participant that comes back is found again within a second or two, whatever the retry policy.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # In truth how long an attempt to connect may take; with less, a participant far away or busy is never reached.
    ("grpc.min_reconnect_backoff_ms", 2_000),
)


class UnaryTransport:
    """One participant at one address."""

    def __init__(self, participant: str, address: str, deliver: Deliver) -> None:
        """Name the participant and where it is; the connection is made when first needed, on the running loop."""
        self._participant = participant
        self._address = address
        self._deliver = deliver
        self._channel: grpc.aio.Channel | None = None
        self._stub: participant_service_pb2_grpc.ParticipantServiceAsyncStub | None = None
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Commands not yet answered."""
        return len(self._calls)

    def knows(self, participant: str, action: str) -> str | None:
        """Always None: what a participant elsewhere can do is not known before it is asked."""
        return None

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        for command in commands:
            task = asyncio.create_task(self._call(command))
            self._calls[command.command_id] = task

    def withdraw(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.withdraw``."""
        for command_id in command_ids:
            task = self._calls.get(command_id)
            if task is not None:
                task.cancel()

    async def close(self) -> None:
        """Cancel what is out; nothing more is delivered."""
        self._closed = True
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _call(self, command: ParticipantCommand) -> None:
        try:
            answer = await self._answer(command)
        finally:
            if self._calls.get(command.command_id) is asyncio.current_task():
                del self._calls[command.command_id]
        if not self._closed:
            self._deliver(command.saga_id, command.answered(answer))

    async def _answer(self, command: ParticipantCommand) -> Answer:
        span = open_span(command, self._address)
        failure = "withdrawn"
        try:
            answer = await self._ask(command, span.command if span is not None else command)
            failure = answer.error.code if isinstance(answer, Unknown) else ""
        finally:
            if span is not None:
                span.end(failure)
        return answer

    async def _ask(self, command: ParticipantCommand, carried: ParticipantCommand) -> Answer:
        try:
            stub = self._connected()
            timeout_s, metadata = command.timeout / 1e6, wire.metadata(carried)
            if command.kind is Kind.EXECUTE:
                request = wire.execute_request(carried)
                return wire.execute_answer(await stub.Execute(request, timeout=timeout_s, metadata=metadata))
            undo = wire.compensate_request(carried)
            return wire.compensate_answer(await stub.Compensate(undo, timeout=timeout_s, metadata=metadata))
        except grpc.aio.AioRpcError as aborted:
            return wire.status_answer(command, aborted.code(), aborted.details() or "", _stack_trace(aborted))
        except Exception as error:
            # Something on our side of the call, such as an answer that cannot be parsed: still no certain answer.
            text = f"{type(error).__name__}: {error}"
            return Unknown(SagaError(code="CALL_FAILED", message=text, type=ErrorType.SYSTEM, retryable=True))

    @property
    def channel(self) -> grpc.aio.Channel:
        """To the participant; made when first asked for, on the running loop."""
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
        return self._channel

    def _connected(self) -> "participant_service_pb2_grpc.ParticipantServiceAsyncStub":
        if self._stub is None:
            self._stub = participant_service_pb2_grpc.ParticipantServiceStub(self.channel)
        return self._stub


def _stack_trace(aborted: grpc.aio.AioRpcError) -> str:
    """The participant's traceback, if the SDK attached one as google.rpc.DebugInfo."""
    try:
        status = rpc_status.from_call(aborted)  # type: ignore[arg-type] # it has all that is asked of it
    except ValueError:
        return ""
    debug = error_details_pb2.DebugInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(debug):
            return "\n".join(debug.stack_entries) or debug.detail
    return ""
