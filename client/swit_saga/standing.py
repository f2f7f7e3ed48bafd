"""A gRPC server that stands up again.

A call whose path is no UTF-8 ends the loop by which a ``grpc.aio`` server takes calls: the process lives on, and
nothing listens any more. Nobody can answer such a call before gRPC has decoded it, so the server is made anew instead;
calls under way end UNAVAILABLE.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import grpc.aio

LOOK_S = 0.2
"""How often it is looked whether the server still takes calls. gRPC's own word comes only when its last connection has
gone, and whoever made it fall may hold one for as long as they like.
"""
PAUSE_S = 0.2
"""Between tries to listen again, should somebody else have taken the port meanwhile."""

FALLEN: list[grpc.aio.Server] = []
"""Kept for as long as the process lives: a server that is freed before its last connection has gone blocks the process
when the last of all servers is freed, and whoever made it fall may hold one.
"""


class StandingServer:
    """A server at one address, made anew whenever it has ended by itself.

    Attributes:
        port: The port bound; the same for every server.
        server: The one that listens now.
    """

    def __init__(self, make: Callable[[], grpc.aio.Server], listen: str, on_fall: Callable[[], None]) -> None:
        """Bind; nothing is served yet.

        Args:
            make: A server with all its services, not bound.
            listen: HOST:PORT, or what else gRPC takes. Port 0 picks one.
            on_fall: Told that a server has ended, before the next one is made. gRPC itself logs why.

        Raises:
            RuntimeError: The address cannot be bound.
        """
        self._make = make
        self._on_fall = on_fall
        self.server = make()
        self.port = self.server.add_insecure_port(listen)
        host, colon, port = listen.rpartition(":")
        self._address = f"{host}:{self.port}" if colon and port.isdecimal() else listen
        self._standing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve, until ``stop``."""
        await self.server.start()
        self._standing = asyncio.create_task(self._stand())

    async def stop(self, grace_s: float) -> None:
        """Take no new calls and end those under way after ``grace_s``. Safe to call twice."""
        standing, self._standing = self._standing, None
        if standing is not None:
            standing.cancel()
            with suppress(asyncio.CancelledError):
                await standing
        await self.server.stop(grace_s)

    async def _stand(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if not is_running(self.server):
                self._on_fall()
                FALLEN.append(self.server)
                self.server = await self._again()

    async def _again(self) -> grpc.aio.Server:
        while True:
            made = self._make()
            try:
                made.add_insecure_port(self._address)
            except RuntimeError:
                await asyncio.sleep(PAUSE_S)
                continue
            await made.start()
            return made


def is_running(server: grpc.aio.Server) -> bool:
    """Whether a server that was started takes calls; True where gRPC does not say."""
    ask = getattr(getattr(server, "_server", None), "is_running", None)
    return ask is None or bool(ask())
