"""A proxy that resets HTTP/2 streams, as those do that restart, time out or are overrun; later it passes all on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 1, 2, 7, 8, 11


def _frame(kind: int, stream: int, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + content


class Resets:
    """Resets the first stream of each of the first ``times`` connections; those that come later reach the target.

    Attributes:
        address: Where it listens.
        done: Streams reset so far.
    """

    def __init__(self, target: str, error: int, times: int) -> None:
        self.address = ""
        self.done = 0
        self._target = target
        self._error = error
        self._times = times
        self._serving: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                if self.done < self._times:
                    await self._reset(reader, writer)
                else:
                    await self._pass_on(reader, writer)
        finally:
            await _close(writer)
            self._serving.discard(task)

    async def end(self) -> None:
        """End what is under way."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving)

    async def _reset(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_frame(SETTINGS, 0))
        await reader.readexactly(len(PREFACE))
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == HEADERS:
                self.done += 1
                writer.write(_frame(RST_STREAM, int.from_bytes(head[5:], "big"), self._error.to_bytes(4, "big")))
                await writer.drain()
                if self.done == self._times:
                    await reader.read(64)  # What the caller still says; then it is another connection's turn.
                    return

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target.rsplit(":", 1)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            await _close(far_writer)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()
    sink.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def resetting(target: str, error: int, *, times: int) -> AsyncIterator[Resets]:
    """A proxy before ``target`` that resets ``times`` streams with an HTTP/2 error code."""
    resets = Resets(target, error, times)
    server = await asyncio.start_server(resets.accept, "127.0.0.1", 0)
    resets.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield resets
    finally:
        server.close()
        await resets.end()
        await server.wait_closed()
