"""The coordinator's services as the client calls them, and over a grpc.aio channel."""

from typing import Any, Protocol

import grpc
import grpc.aio

from swit_saga.addresses import check_target
from swit_saga.errors import from_rpc_error
from swit_saga.forks import enter_grpc_with_asyncio
from swit_saga.health import HealthStub
from swit_saga.limits import MAX_MESSAGE_BYTES
from swit_saga.streams import Metadata, StreamCall
from swit_saga.v1 import (
    coordinator_service_pb2_grpc,
    definition_service_pb2_grpc,
    operator_service_pb2_grpc,
)

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # While calls are under way. A coordinator takes a ping every ten seconds; more would end the connection.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A coordinator sends less than a stock client receives, unless it is set to larger payloads.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A coordinator that comes back is found again within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    # In truth how long an attempt to connect may take; with less, a coordinator far away or busy is never reached.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Connections of its own: else a process that was forked off would talk on its parent's.
    ("grpc.use_local_subchannel_pool", 1),
    # http_proxy in the environment is for the web. Who has a proxy for gRPC gives a channel of their own.
    ("grpc.enable_http_proxy", 0),
)


def checked_target(target: str) -> str:
    """The address of a coordinator, see ``swit_saga.addresses.check_target``.

    Raises:
        ValueError: It is none.
    """
    try:
        return check_target(target)
    except ValueError as wrong:
        raise ValueError(f"target: {wrong}") from None


class Stubs(Protocol):
    """The coordinator's services as the client calls them: over a channel, or in process.

    They look like grpc.aio's generated stubs.
    """

    @property
    def coordinator(self) -> Any:
        """CoordinatorService."""
        ...

    @property
    def definitions(self) -> Any:
        """DefinitionService."""
        ...

    @property
    def operator(self) -> Any:
        """OperatorService."""
        ...

    @property
    def health(self) -> Any:
        """See ``swit_saga.health``."""
        ...

    async def close(self) -> None:
        """Let go of connections that are the client's own."""
        ...


class ChannelStubs:
    """The services over a grpc.aio channel."""

    def __init__(self, channel: grpc.aio.Channel, *, owned: bool) -> None:
        """Use ``channel``. If it is ``owned`` it is closed with these stubs."""
        self.coordinator: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(channel)
        self.definitions: Any = definition_service_pb2_grpc.DefinitionServiceStub(channel)
        self.operator: Any = operator_service_pb2_grpc.OperatorServiceStub(channel)
        self.health: Any = HealthStub(channel)
        self._channel = channel
        self._owned = owned

    @classmethod
    def to(cls, target: str, credentials: grpc.ChannelCredentials | None) -> "ChannelStubs":
        """Over a channel made here, and closed with these stubs.

        Raises:
            ForkedError: This process was forked off one that had used gRPC with asyncio.
        """
        enter_grpc_with_asyncio()
        channel = (
            grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
            if credentials is not None
            else grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        )
        return cls(channel, owned=True)

    def open_stream(self, rpc: str, metadata: Metadata) -> StreamCall:
        """See ``swit_saga.streams.CanStream``."""
        return _StreamCall(getattr(self.coordinator, rpc)(metadata=metadata or None))

    async def close(self) -> None:
        """Close the channel if it was made here."""
        if self._owned:
            await self._channel.close()


class _StreamCall:
    """A call over grpc.aio, see ``swit_saga.streams.StreamCall``."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.write, self.done_writing, self.cancel = call.write, call.done_writing, call.cancel

    async def read(self) -> Any | None:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as failed:
            raise from_rpc_error(failed) from failed
        return None if message is grpc.aio.EOF else message
