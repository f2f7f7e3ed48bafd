"""Calls made at the same time on one client share a stream by themselves: those of one turn of the event loop go out
in one message, and each is answered on its own.

To its callers a shared call is the unary one: the same answers, the same errors, safe to repeat. What a stream cannot
say about one call, because the stream itself failed, is found out by asking again, by a new stream or by a call of its
own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import grpc
from google.rpc import status_pb2

from swit_saga.errors import CallError, Portable, TimedOutError, UnavailableError, UnsupportedError, from_status

Metadata: TypeAlias = tuple[tuple[str, str], ...]

MESSAGE_ITEMS, MESSAGE_BYTES = 256, 96 << 10
"""Calls in one message at most, and their size, below every server's limit. A larger one goes by itself, so that the
limit meets that one call."""
IDLE_S, LIFE_S = 10.0, 60.0
"""A stream ends when it was not used for ``IDLE_S``, and is replaced after ``LIFE_S``: behind a load balancer the next
one may go to another server."""
FORGET_S = 600.0
"""A server that does not know the stream is asked again after this: it may have been replaced."""
STREAMS_TRIED = 2
"""A call goes by itself when this many streams failed under it."""


class StreamCall(Protocol):
    """One open call that streams both ways."""

    async def write(self, message: Any) -> None:
        """Send a message; may raise anything once the call has ended, ``read`` tells why."""
        ...

    async def read(self) -> Any | None:
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
    """Stubs that can open streams."""

    def open_stream(self, rpc: str, metadata: Metadata) -> StreamCall:
        """A new call of a streaming RPC of CoordinatorService."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """What the shared form of an RPC looks like.

    Attributes:
        rpc: Its name.
        alone: Name of the RPC whose calls are shared.
        item: Makes an item of its id, the unary request, traceparent and tracestate.
        message: Makes a message of items and of the ids of items sent before that are given up.
        can_give_up: Whether items sent can be given up.
        max_open: Items under way on one stream; past it another is opened. None is no limit.
        silence: What is to be said of a request that got no answer in time.
    """

    rpc: str
    alone: str
    item: Callable[[int, Any, str, str], Any]
    message: Callable[[Sequence[Any], Sequence[int]], Any]
    can_give_up: bool
    max_open: int | None
    silence: Callable[[Any], str]


class Shared:
    """Looks like the stub of the unary RPC. All methods belong to one event loop."""

    def __init__(
        self, shape: Shape, stubs: CanStream, alone: Callable[..., Any], on_message: Callable[[Any], None]
    ) -> None:
        """Share streams of ``stubs``; ``alone`` makes a call of its own; ``on_message`` is given every message read."""
        self._shape = shape
        self._on_message = on_message
        self._stubs = stubs
        self._alone = alone
        self._stream: _Stream | None = None
        self._streams: set[_Stream] = set()
        self._not_known_until = 0.0
        self._closed = False

    async def __call__(self, request: Any, timeout: float | None = None, metadata: Metadata | None = None) -> Any:
        """Make the call.

        Returns:
            The unary RPC's response, or an item with the same fields.

        Raises:
            CallError, grpc.aio.AioRpcError: As a call of its own would have ended.
        """
        headers = dict(metadata or ())
        trace = headers.pop("traceparent", ""), headers.pop("tracestate", "")
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        tries = STREAMS_TRIED if request.ByteSize() <= MESSAGE_BYTES else 0
        while tries and (stream := self._open_stream(headers)) is not None:
            tries -= 1
            try:
                async with asyncio.timeout_at(until):
                    return await stream.ask(request, *trace)
            except TimeoutError as silent:
                self._leave(stream)
                raise TimedOutError(self._shape.silence(request), code=grpc.StatusCode.DEADLINE_EXCEEDED) from silent
            except UnavailableError:
                self._leave(stream)  # The next attempt may find another server.
                raise
            except _StreamFailed as failed:
                self._leave(stream)
                if self._closed:
                    raise failed.error from failed
                if isinstance(failed.error, UnsupportedError):
                    self._not_known_until = loop.time() + FORGET_S
        left_s = None if until is None else max(until - loop.time(), 0.001)
        return await self._alone(request, timeout=left_s, metadata=metadata)

    async def close(self) -> None:
        """End the streams; who still waits gets a ``CallError``. Nothing more may be called."""
        self._closed = True
        self._stream = None
        for stream in list(self._streams):
            await stream.close()

    def _open_stream(self, headers: Mapping[str, str]) -> "_Stream | None":
        """The stream for calls with these headers; None if they cannot share one."""
        now = asyncio.get_running_loop().time()
        if now < self._not_known_until:
            return None
        if self._stream is not None and (
            self._stream.has_ended or self._stream.is_full or now > self._stream.opened_at + LIFE_S
        ):
            self._leave(self._stream)
        if self._stream is None:
            call = self._stubs.open_stream(self._shape.rpc, tuple(headers.items()))
            self._stream = _Stream(self._shape, call, headers, self._on_message, self._leave, self._streams.discard)
            self._streams.add(self._stream)
        return self._stream if self._stream.headers == headers else None

    def _leave(self, stream: "_Stream") -> None:
        """Nothing more goes on this stream; it ends when all it has taken is answered."""
        if self._stream is stream:
            self._stream = None
        stream.no_more()


class _StreamFailed(Portable):
    """The stream ended, in a way that says nothing about any one call."""

    def __init__(self, error: CallError) -> None:
        super().__init__(str(error))
        self.error = error


class _Stream:
    """One open stream: a task that writes what has come together, and one that reads."""

    def __init__(
        self,
        shape: Shape,
        call: StreamCall,
        headers: Mapping[str, str],
        on_message: Callable[[Any], None],
        idle: Callable[["_Stream"], None],
        ended: Callable[["_Stream"], None],
    ) -> None:
        self.headers = dict(headers)
        self.has_ended = False
        self._shape = shape
        self._loop = asyncio.get_running_loop()
        self.opened_at = self._used_at = self._loop.time()
        self._call = call
        self._on_message = on_message
        self._idle, self._end = idle, ended
        self._ids = 0
        self._unsent: dict[int, Any] = {}
        self._given_up: list[int] = []
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._no_more = False
        self._more = asyncio.Event()
        self._timer = self._loop.call_later(IDLE_S, self._look)
        self._writer = asyncio.create_task(self._write())
        self._reader = asyncio.create_task(self._read())

    @property
    def is_full(self) -> bool:
        """No more should be asked on it now."""
        return self._shape.max_open is not None and len(self._waiting) >= self._shape.max_open

    async def ask(self, request: Any, traceparent: str, tracestate: str) -> Any:
        """Send it with whatever else comes together in this turn of the loop, and wait for its answer."""
        self._ids += 1
        item_id = self._ids
        self._unsent[item_id] = self._shape.item(item_id, request, traceparent, tracestate)
        answered: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[item_id] = answered
        self._more.set()
        try:
            item = await answered
        finally:
            unsent = self._unsent.pop(item_id, None)
            if answered.cancelled() and unsent is None and self._shape.can_give_up:
                self._given_up.append(item_id)
            del self._waiting[item_id]
            if self._given_up or (self._no_more and not self._waiting):
                self._more.set()
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
            # Open until the last answer, for what is given up meanwhile must be said.
            while not self._no_more or self._unsent or self._given_up or self._waiting:
                if not (self._unsent or self._given_up):
                    self._more.clear()
                    await self._more.wait()
                    continue
                await self._call.write(self._next_message())
            await self._call.done_writing()
        except Exception:
            # The call is over; the reader learns why and tells those who wait.
            self._no_more = True

    def _next_message(self) -> Any:
        items: list[Any] = []
        size = 0
        for item in self._unsent.values():
            size += item.ByteSize()
            if items and (size > MESSAGE_BYTES or len(items) == MESSAGE_ITEMS):
                break
            items.append(item)
        for item in items:
            del self._unsent[item.item_id]
        given_up, self._given_up = self._given_up, []
        return self._shape.message(items, given_up)

    async def _read(self) -> None:
        failure: Exception = _StreamFailed(CallError(f"{self._shape.rpc} ended", code=grpc.StatusCode.OK))
        try:
            while (message := await self._call.read()) is not None:
                self._on_message(message)
                for item in message.items:
                    waiting = self._waiting.get(item.item_id)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(item)
        except CallError as broken:
            # Unavailable is nobody's fault; anything else says nothing about the calls that wait: each asks again.
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
