"""Leases in Redis, by its own clock."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

from swit_saga_server.core.units import Instant, Span
from swit_saga_server.store.contract import Lease
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.hints import RedisHints
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.scripts import Scripts


class RedisLeases:
    """``Leases`` in Redis."""

    def __init__(self, redis: RedisConnection, keys: Keys, scripts: Scripts, hints: RedisHints) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._hints = hints

    async def now(self) -> Instant:
        """See the contract."""
        seconds, micros = await self._redis.do(lambda c: c.time())
        return int(seconds) * 1_000_000 + int(micros)

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """See the contract."""
        nonce = secrets.token_hex(8)
        found = await self._scripts.run("lease", [self._keys.lease(partition)], "acquire", owner, nonce, term)
        return Lease(partition, int(found[0]), nonce, int(found[1])) if found else None

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """See the contract."""
        found = await asyncio.gather(
            *(
                self._scripts.run("lease", [self._keys.lease(x.partition)], "renew", x.epoch, x.nonce, term)
                for x in leases
            )
        )
        return [
            replace(x, expires_at=int(renewed[0])) if renewed else None
            for x, renewed in zip(leases, found, strict=True)
        ]

    async def release(self, leases: Sequence[Lease]) -> None:
        """See the contract."""
        for x in leases:
            await self._scripts.run("lease", [self._keys.lease(x.partition)], "release", x.epoch, x.nonce, 0)
            await self._hints.give("lease", x.partition)

    async def attend(self, owner: str, term: Span) -> Sequence[str]:
        """See the contract."""
        now, living = await self.now(), self._keys.living
        _, _, found = await self._redis.pipeline(
            [("ZREMRANGEBYSCORE", living, "-inf", now), ("ZADD", living, now + term, owner), ("ZRANGE", living, 0, -1)]
        )
        return sorted(o.decode() for o in found)

    async def leave(self, owner: str) -> None:
        """See the contract."""
        await self._redis.do(lambda c: c.zrem(self._keys.living, owner))
