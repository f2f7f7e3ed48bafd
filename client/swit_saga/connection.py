"""The way to a coordinator that all parts of a client share: made by the first call, closed once, for all of them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc.aio

from swit_saga.calls import call
from swit_saga.channel import Stubs
from swit_saga.errors import CallError, ClientClosed, from_rpc_error
from swit_saga.forks import Home
from swit_saga.loops import running_loop
from swit_saga.streams import CanStream, Metadata, Shape, Shared

WHAT = "this client"


def _ignore(message: Any) -> None:
    pass


class Connection:
    """Makes the calls of a client.

    Attributes:
        timeout_s: Of every call that is given no other, retries included.
    """

    def __init__(
        self, connect: Callable[[], Stubs], *, metadata: Mapping[str, str], timeout_s: float, begun: bool = False
    ) -> None:
        """Use the stubs of ``connect``, which is called once at most, and send ``metadata`` with every call.

        It belongs to the process that makes the first call; if it has ``begun``, to this one.
        """
        self.timeout_s = timeout_s
        self._home = Home()
        if begun:
            self._home.enter(WHAT)
        self._connect = connect
        self._stubs: Stubs | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._metadata = tuple(metadata.items())
        self._shared: dict[Shape, Shared] = {}
        self._closed = False

    @property
    def stubs(self) -> Stubs:
        """The coordinator's services.

        Raises:
            ClientClosed: There is no connection any more.
            ForkedError: It is another process's.
            RuntimeError: It is another event loop's.
        """
        if self._closed:
            raise ClientClosed
        self._home.enter(WHAT)
        if self._stubs is None:
            self._stubs, self._loop = self._connect(), running_loop()
        elif running_loop() is not self._loop:
            raise RuntimeError(
                "this client was used in another event loop before, and belongs to that one; make a client in each "
                "asyncio.run(), or use SagaClient"
            )
        return self._stubs

    def shared(self, shape: Shape, on_message: Callable[[Any], None] = _ignore) -> Any:
        """A unary RPC whose calls share a stream, if these stubs can open one; ``on_message`` is given what is read.

        Raises:
            ClientClosed: There is no connection any more.
        """
        stubs = self.stubs
        if (shared := self._shared.get(shape)) is not None:
            return shared
        alone = getattr(stubs.coordinator, shape.alone)
        if not isinstance(stubs, CanStream):
            return alone
        shared = self._shared[shape] = Shared(shape, stubs, alone, on_message)
        return shared

    async def call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        """Make a call that is safe to repeat, until it is answered or its time is over.

        Raises:
            CallError: See ``swit_saga.calls.call``.
            ClientClosed: The client was closed before or meanwhile.
        """

        async def attempt(request: Any, **how: Any) -> Any:
            with self.open():
                return await method(request, **how)

        return await call(attempt, request, timeout_s=timeout_s or self.timeout_s, metadata=self.metadata())

    async def call_once(self, method: Any, request: Any) -> Any:
        """Make a call that is not repeated.

        Raises:
            CallError, ClientClosed: As ``call``.
        """
        with self.open():
            try:
                return await method(request, timeout=self.timeout_s, metadata=self.metadata() or None)
            except grpc.aio.AioRpcError as failed:
                raise from_rpc_error(failed) from failed

    @contextmanager
    def open(self) -> Iterator[None]:
        """What is under way when the client is closed ends with ``ClientClosed``, however the transport says it."""
        if self._closed:
            raise ClientClosed
        self._home.enter(WHAT)
        try:
            yield
        except (asyncio.CancelledError, CallError) as ended:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise ClientClosed from ended
            raise

    def metadata(self) -> Metadata:
        """The caller's metadata and, if OpenTelemetry is in use, the current trace context."""
        try:
            from opentelemetry import propagate
        except ImportError:
            return self._metadata
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        given = {key for key, _ in self._metadata}
        return (*self._metadata, *((k, v) for k, v in carrier.items() if k not in given))

    async def close(self) -> None:
        """Let go of everything that is this process's. Safe to call twice."""
        self._closed = True
        if self._home.is_elsewhere:
            return
        for shared in self._shared.values():
            await shared.close()
        if self._stubs is not None:
            await self._stubs.close()
