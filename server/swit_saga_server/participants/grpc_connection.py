"""A participant reached by gRPC, without encryption."""

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from swit_saga.v1 import participant_service_pb2_grpc, participant_stream_service_pb2_grpc
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga.v1.participant_stream_service_pb2 import StreamRequest, StreamResponse
from swit_saga_server.participants.connection import CallFailed, Metadata

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
    # http_proxy in the environment is for the web: by it, a participant would be asked for at the proxy.
    ("grpc.enable_http_proxy", 0),
)


class GrpcConnection:
    """See ``Connection``."""

    def __init__(self, address: str) -> None:
        """Name the address; nothing is opened yet."""
        self.address = address
        self._channel: grpc.aio.Channel | None = None
        self._stub: participant_service_pb2_grpc.ParticipantServiceAsyncStub | None = None

    def open_stream(self) -> "GrpcStream":
        """See ``Connection``."""
        return GrpcStream(participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(self._connected()).Stream())

    async def execute(self, request: ExecuteRequest, timeout_s: float, metadata: Metadata) -> ExecuteResponse:
        """See ``Connection``."""
        try:
            return await self._calls().Execute(request, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as failed:
            raise _call_failed(failed) from failed

    async def compensate(self, request: CompensateRequest, timeout_s: float, metadata: Metadata) -> CompensateResponse:
        """See ``Connection``."""
        try:
            return await self._calls().Compensate(request, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as failed:
            raise _call_failed(failed) from failed

    async def changed(self) -> None:
        """See ``Connection``."""
        channel = self._connected()
        while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(state)

    async def close(self) -> None:
        """See ``Connection``."""
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close()

    def _connected(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        return self._channel

    def _calls(self) -> "participant_service_pb2_grpc.ParticipantServiceAsyncStub":
        if self._stub is None:
            self._stub = participant_service_pb2_grpc.ParticipantServiceStub(self._connected())
        return self._stub


class GrpcStream:
    """See ``Stream``."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def read(self) -> StreamResponse:
        """See ``Stream``."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as broken:
            raise CallFailed(broken.code().name, broken.details() or "") from broken
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallFailed("CANCELLED", "the stream was cancelled on this side") from None
        if response is grpc.aio.EOF:
            raise CallFailed("UNAVAILABLE", await self._call.details() or "the participant ended the stream")
        if response is None:  # How gRPC says that it could not be decoded.
            raise CallFailed("INTERNAL", "the participant sent what is not a StreamResponse")
        message: StreamResponse = response
        return message

    async def write(self, request: StreamRequest) -> None:
        """See ``Stream``."""
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as broken:
            raise CallFailed(broken.code().name, broken.details() or "") from broken
        except asyncio.InvalidStateError as over:
            raise CallFailed("UNAVAILABLE", str(over)) from over

    def cancel(self) -> None:
        """See ``Stream``."""
        self._call.cancel()


def _call_failed(failed: grpc.aio.AioRpcError) -> CallFailed:
    return CallFailed(failed.code().name, failed.details() or "", _stack_trace(failed))


def _stack_trace(failed: grpc.aio.AioRpcError) -> str:
    """The participant's traceback, if the SDK attached one as google.rpc.DebugInfo."""
    try:
        status = rpc_status.from_call(failed)  # type: ignore[arg-type] # it has all that is asked of it
    except ValueError:
        return ""
    debug = error_details_pb2.DebugInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(debug):
            return "\n".join(debug.stack_entries) or debug.detail
    return ""
