"""Removal from Redis."""

from collections.abc import Sequence

from swit_saga_server.core.states import TERMINAL_STATES
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import Lease
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.scripts import Scripts


class RedisRetention:
    """``Retention`` in Redis."""

    def __init__(self, redis: RedisConnection, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """See the contract."""
        if self._keys.partition_of(saga_id) != lease.partition:
            return False
        removed = await self._scripts.run(
            "delete",
            [self._keys.lease(lease.partition)],
            self._keys.of(lease.partition),
            saga_id,
            lease.epoch,
            lease.nonce,
            *sorted(TERMINAL_STATES),
        )
        return bool(removed)

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """See the contract."""
        key = f"{self._keys.of(partition)}exp"
        found = await self._redis.do(lambda c: c.zrangebyscore(key, "-inf", f"({older_than}", start=0, num=limit))
        return [i.decode() for i in found]
