"""Leases in Redis, by its own clock."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

from swit_saga_server.core.errors import NameTaken
from swit_saga_server.core.units import NO_TIME, Instant, Span
from swit_saga_server.store.contract import Lease, Peer
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.levels import LOWEST
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.hints import RedisHints
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.pulse import DESCRIPTION, Pulse
from swit_saga_server.store.redis.scripts import Scripts


class RedisLeases:
    """``Leases`` in Redis."""

    def __init__(
        self, redis: RedisConnection, keys: Keys, scripts: Scripts, hints: RedisHints, fleet: Fleet, pulse: Pulse
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._hints = hints
        self._fleet = fleet
        self._pulse = pulse

    async def now(self) -> Instant:
        """See the contract."""
        seconds, micros = await self._redis.do(lambda c: c.time())
        return Instant(int(seconds) * 1_000_000 + int(micros))

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """See the contract."""
        nonce = secrets.token_hex(8)
        found = await self._scripts.run("lease", [self._keys.lease(partition)], "acquire", owner, nonce, term)
        return Lease(partition, int(found[0]), nonce, Instant(found[1])) if found else None

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """See the contract."""
        found = await asyncio.gather(
            *(
                self._scripts.run("lease", [self._keys.lease(x.partition)], "renew", x.epoch, x.nonce, term)
                for x in leases
            )
        )
        return [
            replace(x, expires_at=Instant(renewed[0])) if renewed else None
            for x, renewed in zip(leases, found, strict=True)
        ]

    async def release(self, leases: Sequence[Lease]) -> None:
        """See the contract."""
        for x in leases:
            await self._scripts.run("lease", [self._keys.lease(x.partition)], "release", x.epoch, x.nonce, 0)
            await self._hints.give("lease", x.partition)

    async def heartbeat(self, owner: str, term: Span, level: int, instance: str = "") -> Sequence[Peer]:
        """See the contract."""
        if instance and (holder := await self._claim(owner, instance, term)) != instance:
            raise NameTaken(f"the name {owner!r} is another coordinator's", holder=holder)
        now, living, levels = await self.now(), self._keys.living, self._keys.levels
        _, _, _, found, known, beat, meta, *confirmed = await self._redis.pipeline(
            [
                ("ZREMRANGEBYSCORE", living, "-inf", now),
                ("HSET", levels, owner, level),
                ("ZADD", living, now + term, owner),
                ("ZRANGE", living, 0, -1),
                ("HGETALL", levels),
                ("HINCRBY", self._keys.meta, "beat", 1),
                ("HMGET", self._keys.meta, *DESCRIPTION),
                *self._pulse.confirm,
            ]
        )
        await self._pulse.felt(int(beat), meta, confirmed)
        of: dict[bytes, bytes] = known if isinstance(known, dict) else dict(zip(known[::2], known[1::2], strict=True))
        if gone := of.keys() - set(found):
            # One that comes back at this very moment counts as of the lowest level until it speaks again.
            await self._redis.do(lambda c: c.hdel(levels, *gone))
        peers = [Peer(o.decode(), int(of.get(o, LOWEST))) for o in sorted(found)]
        self._fleet.met(peers)
        return peers

    async def _claim(self, owner: str, instance: str, term: Span) -> str:
        """Who has the name then."""
        holder: bytes = await self._scripts.run("claim", [self._keys.name(owner)], instance, term // 1000)
        return holder.decode()

    async def deregister(self, owner: str, instance: str = "") -> None:
        """See the contract."""
        if instance and await self._claim(owner, instance, NO_TIME) != instance:
            return
        await self._redis.pipeline([("ZREM", self._keys.living, owner), ("HDEL", self._keys.levels, owner)])
