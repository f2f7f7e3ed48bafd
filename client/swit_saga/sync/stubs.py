"""The coordinator's services over a *blocking* gRPC channel, awaited from an event loop: what ``SagaClient`` stands on.

Not grpc.aio, which has one poller for all event loops of a process: closing a private loop raised "Event loop is
closed" in the program's *own* loop, out of grpc's callback (grpcio 1.85). Blocking channels may stand beside it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any

import grpc

from swit_saga.channel import CHANNEL_OPTIONS
from swit_saga.errors import from_rpc_error
from swit_saga.health import HealthStub
from swit_saga.streams import Metadata, StreamCall
from swit_saga.v1 import (
    coordinator_service_pb2_grpc,
    definition_service_pb2_grpc,
    operator_service_pb2_grpc,
)


class BlockingStubs:
    """See ``swit_saga.channel.Stubs``. The channel is made when it is used first, and closed with these stubs."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None) -> None:
        """Say where to; ``credentials`` as for a channel."""
        self._target = target
        self._credentials = credentials
        self._made = False

    @cached_property
    def _channel(self) -> grpc.Channel:
        self._made = True
        if self._credentials is not None:
            return grpc.secure_channel(self._target, self._credentials, options=CHANNEL_OPTIONS)
        return grpc.insecure_channel(self._target, options=CHANNEL_OPTIONS)

    @cached_property
    def _blocking(self) -> Any:
        return coordinator_service_pb2_grpc.CoordinatorServiceStub(self._channel)

    @cached_property
    def coordinator(self) -> Any:
        """See ``swit_saga.channel.Stubs``."""
        return _Stub(self._blocking)

    @cached_property
    def definitions(self) -> Any:
        """See ``swit_saga.channel.Stubs``."""
        return _Stub(definition_service_pb2_grpc.DefinitionServiceStub(self._channel))

    @cached_property
    def operator(self) -> Any:
        """See ``swit_saga.channel.Stubs``."""
        return _Stub(operator_service_pb2_grpc.OperatorServiceStub(self._channel))

    @cached_property
    def health(self) -> Any:
        """See ``swit_saga.channel.Stubs``."""
        return _Stub(HealthStub(self._channel))

    def open_stream(self, rpc: str, metadata: Metadata) -> StreamCall:
        """See ``swit_saga.streams.CanStream``."""
        return _StreamCall(getattr(self._blocking, rpc), metadata)

    async def close(self) -> None:
        """Close the channel."""
        if self._made:
            await asyncio.to_thread(self._channel.close)


class _Stub:
    """Looks like a generated stub of grpc.aio."""

    def __init__(self, stub: object) -> None:
        self._stub = stub

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        method = getattr(self._stub, rpc)
        return _unary(method) if hasattr(method, "future") else lambda *args, **more: _Stream(method(*args, **more))


def _unary(method: Any) -> Callable[..., Any]:
    async def call(request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()
        future = method.future(request, timeout=timeout, metadata=metadata)
        future.add_done_callback(lambda _: _deliver(loop, answered, None))
        try:
            await answered
        except asyncio.CancelledError:
            future.cancel()
            raise
        try:
            return future.result()
        except grpc.RpcError as failed:
            raise from_rpc_error(failed) from failed

    return call


class _Stream:
    """Looks like a streaming call. A daemon thread waits for each message when it is asked for, and not before, so
    that a reader who does not read is noticed by the server.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._wanted: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._read, args=(iter(call),), name="swit-saga-stream", daemon=True).start()

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Any:
        loop = asyncio.get_running_loop()
        message: asyncio.Future[Any] = loop.create_future()
        self._wanted.put((loop, message))
        return await message

    async def aclose(self) -> None:
        """End the call and its thread."""
        self.end()

    def end(self) -> None:
        """See ``aclose``."""
        self._call.cancel()
        self._wanted.put(None)

    def _read(self, messages: Iterator[Any]) -> None:
        while (wanted := self._wanted.get()) is not None:
            try:
                _deliver(*wanted, next(messages))
            except StopIteration:
                _deliver(*wanted, StopAsyncIteration())
            except grpc.RpcError as failed:
                _deliver(*wanted, from_rpc_error(failed))


class _StreamCall:
    """A call, see ``swit_saga.streams.StreamCall``. gRPC takes what is to be sent in a thread of its own."""

    def __init__(self, method: Any, metadata: Metadata) -> None:
        self._unsent: queue.SimpleQueue[Any | None] = queue.SimpleQueue()
        self._call = method(iter(self._unsent.get, None), metadata=metadata or None)
        self._messages = _Stream(self._call)

    async def write(self, message: Any) -> None:
        self._unsent.put(message)

    async def read(self) -> Any | None:
        try:
            return await anext(self._messages)
        except StopAsyncIteration:
            return None

    async def done_writing(self) -> None:
        self._unsent.put(None)

    def cancel(self) -> None:
        """End both threads. Safe to call twice."""
        self._unsent.put(None)
        self._messages.end()


def _deliver(loop: asyncio.AbstractEventLoop, waiting: "asyncio.Future[Any]", outcome: Any) -> None:
    def deliver() -> None:
        if waiting.done():  # Cancelled meanwhile.
            return
        if isinstance(outcome, BaseException):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)

    with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
        loop.call_soon_threadsafe(deliver)
