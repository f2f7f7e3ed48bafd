"""Starts made at the same time on one client share a stream by themselves: calls of one turn of the event loop go out
in one message, and each is answered on its own.

To its callers this is StartSaga: the same answers, the same errors, safe to repeat. What a stream cannot say about one
start, because the stream itself failed, is found out by asking again, by a new stream or by a call of its own.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import grpc
from google.rpc import status_pb2

from swit_saga.errors import CallError, TimedOutError, UnavailableError, UnsupportedError, from_status
from swit_saga.v1 import coordinator_service_pb2 as pb

Metadata: TypeAlias = tuple[tuple[str, str], ...]
Item: TypeAlias = pb.StartSagasResponse.Item

MESSAGE_ITEMS, MESSAGE_BYTES = 256, 96 << 10
"""Starts in one message at most, and their size, below every server's limit. A larger start goes by itself, so that the
limit meets that one start."""
IDLE_S, LIFE_S = 10.0, 60.0
"""A stream ends when it was not used for ``IDLE_S``, and is replaced after ``LIFE_S``: behind a load balancer the next
one may go to another server."""
FORGET_S = 600.0
"""A server that does not know the stream is asked again after this: it may have been replaced."""


class StartsCall(Protocol):
    """One open call of StartSagas."""

    async def write(self, message: pb.StartSagasRequest) -> None:
        """Send a message; may raise anything once the call has ended, ``read`` tells why."""
        ...

    async def read(self) -> pb.StartSagasResponse | None:
        """The next message; None after the last.

        Raises:
            CallError: The call has failed.
        """
        ...

    async def done_writing(self) -> None:
        """No more messages come from here."""
        ...

    def cancel(self) -> None:
        """Let go of the call, whether it has ended or not. Safe to call twice."""
        ...


@runtime_checkable
class CanStream(Protocol):
    """Stubs that can open a stream of starts."""

    def open_starts(self, metadata: Metadata) -> StartsCall:
        """A new call of StartSagas."""
        ...


class Starts:
    """Looks like the stub's StartSaga. All methods belong to one event loop."""

    def __init__(self, stubs: CanStream, alone: Callable[..., Any]) -> None:
        """Share streams of ``stubs``; ``alone`` makes a call of its own."""
        self._stubs = stubs
        self._alone = alone
        self._stream: _Stream | None = None
        self._streams: set[_Stream] = set()
        self._not_known_until = 0.0

    async def __call__(
        self, request: pb.StartSagaRequest, timeout: float | None = None, metadata: Metadata | None = None
    ) -> Any:
        """Start a saga.

        Returns:
            A StartSagaResponse, or its like with ``saga`` and ``created``, the saga without payloads and steps.

        Raises:
            CallError, grpc.aio.AioRpcError: As a call of its own would have ended.
        """
        headers = dict(metadata or ())
        trace = headers.pop("traceparent", ""), headers.pop("tracestate", "")
        stream = self._open_stream(headers) if request.ByteSize() <= MESSAGE_BYTES else None
        if stream is not None:
            try:
                async with asyncio.timeout(timeout):
                    return await stream.start(request, *trace)
            except TimeoutError as silent:
                self._leave(stream)
                text = f"saga {request.saga_id!r}: no answer in time; whether it was started is unknown"
                raise TimedOutError(text, code=grpc.StatusCode.DEADLINE_EXCEEDED) from silent
            except UnavailableError:
                self._leave(stream)  # The next attempt may find another server.
                raise
            except _StreamFailed as failed:
                self._leave(stream)
                if isinstance(failed.error, UnsupportedError):
                    self._not_known_until = asyncio.get_running_loop().time() + FORGET_S
        return await self._alone(request, timeout=timeout, metadata=metadata)

    async def close(self) -> None:
        """End the streams; who still waits gets ``UnavailableError``."""
        self._stream = None
        for stream in list(self._streams):
            await stream.close()

    def _open_stream(self, headers: Mapping[str, str]) -> "_Stream | None":
        """The stream for calls with these headers; None if they cannot share one."""
        now = asyncio.get_running_loop().time()
        if now < self._not_known_until:
            return None
        if self._stream is not None and (self._stream.has_ended or now > self._stream.opened_at + LIFE_S):
            self._leave(self._stream)
        if self._stream is None:
            call = self._stubs.open_starts(tuple(headers.items()))
            self._stream = _Stream(call, headers, self._leave, self._streams.discard)
            self._streams.add(self._stream)
        return self._stream if self._stream.headers == headers else None

    def _leave(self, stream: "_Stream") -> None:
        """Nothing more goes on this stream; it ends when all it has taken is answered."""
        if self._stream is stream:
            self._stream = None
        stream.no_more()


class _StreamFailed(Exception):
    """The stream ended, in a way that says nothing about any one start."""

    def __init__(self, error: CallError) -> None:
        super().__init__(str(error))
        self.error = error


class _Stream:
    """One call of StartSagas: a task that writes what has come together, and one that reads."""

    def __init__(
        self,
        call: StartsCall,
        headers: Mapping[str, str],
        idle: Callable[["_Stream"], None],
        ended: Callable[["_Stream"], None],
    ) -> None:
        self.headers = dict(headers)
        self.has_ended = False
        self._loop = asyncio.get_running_loop()
        self.opened_at = self._used_at = self._loop.time()
        self._call = call
        self._idle, self._end = idle, ended
        self._ids = 0
        self._unsent: dict[int, pb.StartSagasRequest.Item] = {}
        self._waiting: dict[int, asyncio.Future[Item]] = {}
        self._no_more = False
        self._more = asyncio.Event()
        self._timer = self._loop.call_later(IDLE_S, self._look)
        self._writer = asyncio.create_task(self._write())
        self._reader = asyncio.create_task(self._read())

    async def start(self, request: pb.StartSagaRequest, traceparent: str, tracestate: str) -> Item:
        """Send it with whatever else comes together in this turn of the loop, and wait for its answer."""
        self._ids += 1
        item_id = self._ids
        self._unsent[item_id] = pb.StartSagasRequest.Item(
            item_id=item_id, start=request, traceparent=traceparent, tracestate=tracestate
        )
        answered: asyncio.Future[Item] = self._loop.create_future()
        self._waiting[item_id] = answered
        self._more.set()
        try:
            item = await answered
        finally:
            self._unsent.pop(item_id, None)
            self._waiting.pop(item_id, None)
            self._used_at = self._loop.time()
        if item.status.code:
            raise from_status(
                status_pb2.Status(code=item.status.code, message=item.status.message, details=item.status.details)
            )
        return item

    def no_more(self) -> None:
        """End when all is answered. Safe to call twice."""
        self._no_more = True
        self._more.set()

    async def close(self) -> None:
        """End now. Safe to call twice."""
        self._writer.cancel()
        self._reader.cancel()
        await asyncio.gather(self._writer, self._reader, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while self._unsent or not self._no_more:
                if not self._unsent:
                    self._more.clear()
                    await self._more.wait()
                    continue
                await self._call.write(self._next_message())
            await self._call.done_writing()
        except Exception:
            # The call is over; the reader learns why and tells those who wait.
            self._no_more = True

    def _next_message(self) -> pb.StartSagasRequest:
        items: list[pb.StartSagasRequest.Item] = []
        size = 0
        for item in self._unsent.values():
            size += item.ByteSize()
            if items and (size > MESSAGE_BYTES or len(items) == MESSAGE_ITEMS):
                break
            items.append(item)
        for item in items:
            del self._unsent[item.item_id]
        return pb.StartSagasRequest(items=items)

    async def _read(self) -> None:
        failure: Exception = _StreamFailed(CallError("the stream of starts ended", code=grpc.StatusCode.OK))
        try:
            while (message := await self._call.read()) is not None:
                for item in message.items:
                    waiting = self._waiting.get(item.item_id)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(item)
        except CallError as broken:
            # Unavailable is nobody's fault; anything else says nothing about the starts that wait: each asks alone.
            failure = broken if isinstance(broken, UnavailableError) else _StreamFailed(broken)
        finally:
            self.has_ended = self._no_more = True
            self._timer.cancel()
            self._writer.cancel()
            self._call.cancel()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(failure)
            self._end(self)

    def _look(self) -> None:
        idle_s = self._loop.time() - self._used_at
        if not self._waiting and idle_s >= IDLE_S:
            self._idle(self)
        else:
            self._timer = self._loop.call_later(max(IDLE_S - idle_s, IDLE_S / 2), self._look)
