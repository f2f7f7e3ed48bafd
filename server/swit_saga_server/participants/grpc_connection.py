"""A participant reached by gRPC, without encryption."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from swit_saga.connecting import in_words
from swit_saga.forks import enter_grpc_with_asyncio
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga.v1.participant_stream_service_pb2 import DescribeRequest, DescribeResponse, StreamRequest, StreamResponse
from swit_saga_server.core.limits import MAX_MESSAGE_BYTES, MAX_TEXT_BYTES
from swit_saga_server.core.texts import cut
from swit_saga_server.participants.connection import CallFailed, Metadata
from swit_saga_server.wire import decoding

M = TypeVar("M", ExecuteResponse, CompensateResponse)

EXECUTE, COMPENSATE = "/swit_saga.v1.ParticipantService/Execute", "/swit_saga.v1.ParticipantService/Compensate"
DESCRIBE = "/swit_saga.v1.ParticipantStreamService/Describe"
STREAM = "/swit_saga.v1.ParticipantStreamService/Stream"

STATUS_BYTES = 8 << 20
"""Of a status and all other headers that a participant answers with; one of more is *unknown*."""

DESCRIPTION_BYTES = 2 << 20
"""Of what a participant says of itself; more is not read."""
KEEPALIVE_S = 330
"""How long a connection is silent, with calls under way, before it is asked whether it still is one.

gRPC's servers as they come (Go, Java, C++, Python) take more than one such ping in 5 minutes for abuse: from the third
on they end the connection and break every call on it. Half a minute more keeps clear of that, and just below the 350 s
after which some load balancers forget a silent connection.
"""

ACKNOWLEDGED_S = 10
"""What is sent, pings too, is acknowledged by the other machine within this, or the connection is given up. gRPC has
the kernel see to it (TCP_USER_TIMEOUT), but only on channels that ping.
"""

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # One retry layer, ours: gRPC's own would send a command twice under one attempt number.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
    ("grpc.keepalive_timeout_ms", ACKNOWLEDGED_S * 1000),
    ("grpc.http2.max_pings_without_data", 0),
    # What is over max_payload_bytes is judged here, with words, and not by gRPC.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A status travels in headers, up to three bytes for one. With a limit below the other gRPC refuses by chance.
    ("grpc.max_metadata_size", STATUS_BYTES),
    ("grpc.absolute_max_metadata_size", STATUS_BYTES),
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
        self._calls: dict[str, Any] = {}
        """By path; kept, for making one costs as much as a tenth of a call."""

    def open_stream(self) -> "GrpcStream":
        """See ``Connection``."""
        stream: Any = self._connected().stream_stream(STREAM, request_serializer=StreamRequest.SerializeToString)
        return GrpcStream(stream())

    async def execute(self, request: ExecuteRequest, timeout_s: float, metadata: Metadata) -> ExecuteResponse:
        """See ``Connection``."""
        return await self._call(EXECUTE, request, timeout_s, metadata, decoding.execute_response)

    async def compensate(self, request: CompensateRequest, timeout_s: float, metadata: Metadata) -> CompensateResponse:
        """See ``Connection``."""
        return await self._call(COMPENSATE, request, timeout_s, metadata, decoding.compensate_response)

    async def describe(self, timeout_s: float) -> DescribeResponse:
        """``ParticipantStreamService.Describe``, once.

        Raises:
            CallFailed: It did not say, or does not serve this.
        """
        call: Any = self._connected().unary_unary(DESCRIBE, request_serializer=DescribeRequest.SerializeToString)
        try:
            described = await call(DescribeRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as failed:
            raise _call_failed(failed) from failed
        if len(described) > DESCRIPTION_BYTES:
            raise CallFailed("RESOURCE_EXHAUSTED", f"its description has {len(described)} bytes")
        try:
            return DescribeResponse.FromString(described)
        except DecodeError as garbage:
            raise CallFailed(decoding.UNREADABLE_ANSWER, f"its description cannot be decoded: {garbage}") from garbage

    async def changed(self) -> None:
        """See ``Connection``."""
        channel = self._connected()
        while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(state)

    async def close(self) -> None:
        """See ``Connection``."""
        channel, self._channel = self._channel, None
        self._calls.clear()
        if channel is not None:
            await channel.close()

    def _connected(self) -> grpc.aio.Channel:
        if self._channel is None:
            enter_grpc_with_asyncio()
            self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        return self._channel

    async def _call(
        self, path: str, request: Message, timeout_s: float, metadata: Metadata, decode: Callable[[bytes], M]
    ) -> M:
        """Responses come as bytes: of one that does not decode more can be saved than gRPC would."""
        call = self._calls.get(path)
        if call is None:
            call = self._connected().unary_unary(path, request_serializer=type(request).SerializeToString)
            self._calls[path] = call
        try:
            return decode(await call(request, timeout=timeout_s, metadata=metadata))
        except grpc.aio.AioRpcError as failed:
            raise _call_failed(failed) from failed
        except DecodeError as garbage:
            raise CallFailed(decoding.UNREADABLE_ANSWER, f"the answer cannot be decoded: {garbage}") from garbage


class GrpcStream:
    """See ``Stream``."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def read(self) -> StreamResponse:
        """See ``Stream``."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as broken:
            raise _call_failed(broken) from broken
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallFailed("CANCELLED", "the stream was cancelled on this side") from None
        if response is grpc.aio.EOF:
            raise CallFailed("UNAVAILABLE", await self._call.details() or "the participant ended the stream")
        try:
            return decoding.stream_response(response)
        except DecodeError as garbage:
            raise CallFailed("INTERNAL", f"the participant sent what is not a StreamResponse: {garbage}") from garbage

    async def write(self, request: StreamRequest) -> None:
        """See ``Stream``."""
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as broken:
            raise _call_failed(broken) from broken
        except asyncio.InvalidStateError as over:
            raise CallFailed("UNAVAILABLE", str(over)) from over

    def cancel(self) -> None:
        """See ``Stream``."""
        self._call.cancel()


def _call_failed(failed: grpc.aio.AioRpcError) -> CallFailed:
    said = in_words(failed.code(), failed.details() or "", "participant")
    return CallFailed(failed.code().name, cut(said, MAX_TEXT_BYTES), _stack_trace(failed))


def _stack_trace(failed: grpc.aio.AioRpcError) -> str:
    """The participant's traceback, if the SDK attached one as google.rpc.DebugInfo."""
    try:
        status = rpc_status.from_call(failed)  # type: ignore[arg-type] # it has all that is asked of it
    except (ValueError, DecodeError):
        return ""
    debug = error_details_pb2.DebugInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(debug):
            return "\n".join(debug.stack_entries) or debug.detail
    return ""
