"""A TCP link between two processes that can be cut, slowed down, made to lose replies, or to refuse."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias, TypeVar

from tests.support.redis_server import free_port

Filter: TypeAlias = Callable[[bytes], tuple[bytes, bool]]
"""Given what came back from the target: what of it goes on to the caller, and whether the connection is then cut."""

CHUNK = 1 << 16
L = TypeVar("L", bound="Link")


class Link:
    """Listens on ``port`` and passes everything on to ``target``; one process's only way to another.

    Attributes:
        fired: How often each fault met something: connections ``cut``, replies ``dropped``, chunks ``delayed``,
            connections ``refused``.
        delay_s: How much later everything arrives, both ways.
        dropping: What comes back is lost. When it is switched off, the connections that lost something are cut: TCP
            has no gaps.
        refusing: Connections are reset as soon as they are made.
    """

    def __init__(
        self,
        target: int,
        make_filter: Callable[[], Filter] | None = None,
        *,
        make_both: Callable[[], tuple[Filter, Filter]] | None = None,
    ) -> None:
        """``make_filter`` makes what looks at each connection's replies; ``make_both``, at what is asked, too."""
        self.target = target
        self.port = free_port()
        self.fired: Counter[str] = Counter()
        self.delay_s = 0.0
        self.dropping = False
        self.refusing = False
        self._make_filter = make_filter
        self._make_both = make_both
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._torn: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; on the same port after a ``stop``."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        if self._server is not None:
            self._server.close()
            self.cut()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Reset all connections, whatever is under way on them."""
        for near, far in list(self._open.items()):
            self.fired["cut"] += 1
            near.transport.abort()
            far.transport.abort()

    def heal(self) -> None:
        """No faults from now on; what has lost something is cut."""
        self.delay_s, self.dropping, self.refusing = 0.0, False, False
        for near in list(self._torn):
            near.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, near))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self.refusing:
            self.fired["refused"] += 1
            near.transport.abort()
            return
        try:
            back, far = await asyncio.open_connection("127.0.0.1", self.target)
        except BaseException as failed:
            near.transport.abort()
            if isinstance(failed, OSError):
                return
            raise
        self._open[near] = far
        ask, look = self._filters()
        ways = [asyncio.create_task(self._up(reader, far, ask)), asyncio.create_task(self._down(back, near, look))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.pop(near, None)
            self._torn.discard(near)
            for way in ways:
                way.cancel()
            # Both before the first wait, which a stop may cancel.
            near.close()
            far.close()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (near, far):
                with suppress(OSError):
                    await writer.wait_closed()

    def _filters(self) -> tuple[Filter | None, Filter | None]:
        if self._make_both is not None:
            return self._make_both()
        return None, self._make_filter() if self._make_filter is not None else None

    async def _up(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, ask: Filter | None) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._wait()
                far.write(ask(data)[0] if ask is not None else data)
                await far.drain()

    async def _down(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter, look: Filter | None) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._wait()
                if self.dropping or near in self._torn:
                    self.fired["dropped"] += 1
                    self._torn.add(near)
                    if self.dropping:
                        continue
                    return
                kept, cut = look(data) if look is not None else (data, False)
                near.write(kept)
                await near.drain()
                if cut:
                    self.fired["dropped"] += 1
                    return

    async def _wait(self) -> None:
        if self.delay_s:
            self.fired["delayed"] += 1
            await asyncio.sleep(self.delay_s)  # noqa: TID251 # The delay is the fault.


@asynccontextmanager
async def linked(link: L) -> AsyncIterator[L]:
    await link.start()
    try:
        yield link
    finally:
        await link.stop()
