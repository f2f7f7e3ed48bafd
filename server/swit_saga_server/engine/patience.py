"""How the engine waits: between tries of what must succeed in the end, and for others on the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

YIELD_EVERY = 64
"""Sagas decided or applied, or items taken, without a pause: all else on the event loop waits for as long."""

T = TypeVar("T")


class Backoff:
    """Waits that double, from ``first_s`` to ``max_s``."""

    def __init__(self, first_s: float = 0.05, max_s: float = 1.0) -> None:
        self._wait_s = first_s
        self._max_s = max_s

    async def wait(self) -> None:
        """Wait once; the next time for twice as long."""
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(2 * self._wait_s, self._max_s)


async def until_answered(read: Callable[[], Awaitable[T]]) -> T:
    """A read that is tried until the store answers; the callers have deadlines of their own."""
    backoff = Backoff()
    while True:
        try:
            return await read()
        except StoreUnavailable as unavailable:
            log.debug("read_failed", error=str(unavailable))
            await backoff.wait()
