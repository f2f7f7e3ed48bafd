"""Hints over Redis: published on one channel by whoever did something, heard by all."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import Hint
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.tasks import end

log = get_logger(__name__)

LISTEN_AGAIN_S = 1.0


class RedisHints:
    """``Hints`` by publish and subscribe."""

    def __init__(self, redis: RedisConnection, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._listeners: list[Callable[[Hint], None]] = []
        self._listening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Subscribe, and keep doing so."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Listen no more. Safe to call twice, and before ``open``."""
        if self._listening is not None:
            await end([self._listening])
            self._listening = None

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """See the contract."""
        self._listeners.append(on_hint)

        def stop() -> None:
            with suppress(ValueError):
                self._listeners.remove(on_hint)

        return stop

    async def give(self, kind: str, partition: int) -> None:
        """Tell all coordinators. Best-effort: without it, the others find out a little later."""
        with suppress(StoreUnavailable):
            await self._redis.do(lambda c: c.publish(self._keys.hints, f"{kind}:{partition}"))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.messages(self._keys.hints) as messages:
                    async for message in messages:
                        kind, _, partition = message.decode(errors="replace").partition(":")
                        # Others publish, too: a coordinator that starts tries whether it may.
                        if partition.isdecimal():
                            for on_hint in list(self._listeners):
                                on_hint(Hint(kind, int(partition)))
            except StoreUnavailable as lost:
                log.debug("hints_lost", error=str(lost))
            except Exception:
                # Without hints all goes on, only later; nobody would see why.
                log.exception("hints_lost")
            await asyncio.sleep(LISTEN_AGAIN_S)
