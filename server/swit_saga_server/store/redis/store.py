"""The store on Redis, put together from its ports."""

from swit_saga_server.core.errors import StoreRefused
from swit_saga_server.store.assembled import AssembledStore
from swit_saga_server.store.redis.checks import Durability, check
from swit_saga_server.store.redis.connection import RedisConnection, RedisOptions
from swit_saga_server.store.redis.definitions import RedisDefinitions
from swit_saga_server.store.redis.hints import RedisHints
from swit_saga_server.store.redis.inbox import RedisInbox
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.leases import RedisLeases
from swit_saga_server.store.redis.listing import RedisListing
from swit_saga_server.store.redis.reading import RedisReading
from swit_saga_server.store.redis.retention import RedisRetention
from swit_saga_server.store.redis.rounds import RedisRounds
from swit_saga_server.store.redis.scripts import Scripts

SCHEMA = "2"


class RedisStore(AssembledStore):
    """State shared by any number of coordinators. See ``keys`` for what is kept where."""

    def __init__(
        self,
        options: RedisOptions,
        *,
        prefix: str = "swit-saga:",
        partitions: int = 64,
        durability: Durability = Durability.RELAXED,
        replicas: int = 1,
    ) -> None:
        """Say where; nothing is connected yet.

        Args:
            options: How to reach Redis.
            prefix: Of every key, so that several systems can share one Redis.
            partitions: For a new store; an existing one keeps its own.
            durability: When a write counts as done.
            replicas: That must have it, for ``replicated``.

        Raises:
            ValueError: The URL is not one of those in ``RedisOptions``.
        """
        self._redis = redis = RedisConnection(options)
        self._durability = durability
        self._replicas = replicas
        self._timeout_s = options.timeout_s
        self._keys = keys = Keys(prefix, partitions)
        self._scripts = scripts = Scripts(redis)
        self._published = hints = RedisHints(redis, keys)
        super().__init__(
            leases=RedisLeases(redis, keys, scripts, hints),
            rounds=RedisRounds(keys, scripts, hints, is_cluster=redis.is_cluster),
            inbox=RedisInbox(redis, keys, scripts, hints),
            reading=RedisReading(redis, keys),
            listing=RedisListing(redis, keys),
            retention=RedisRetention(redis, keys, scripts),
            definitions=RedisDefinitions(redis, keys, scripts),
            hints=hints,
        )

    @property
    def partitions(self) -> int:
        """See the contract."""
        return self._keys.partitions

    async def open(self) -> None:
        """See the contract."""
        await self._redis.open()
        try:
            await self._set_up()
        except BaseException:
            await self._redis.close()
            raise
        self._published.open()

    async def close(self) -> None:
        """See the contract."""
        await self._published.close()
        await self._redis.close()

    async def _set_up(self) -> None:
        version, confirmation = await check(
            self._redis,
            self._durability,
            self._replicas,
            self._timeout_s,
            prefix=self._keys.prefix,
            channel=self._keys.hints,
        )
        self._scripts.prepare(version, confirmation)
        found = await self._redis.do(lambda c: c.hmget(self._keys.meta, "schema", "partitions"))
        if found[0] is None:
            await self._redis.do(lambda c: c.hsetnx(self._keys.meta, "partitions", self._keys.partitions))
            await self._redis.do(lambda c: c.hsetnx(self._keys.meta, "schema", SCHEMA))
            found = await self._redis.do(lambda c: c.hmget(self._keys.meta, "schema", "partitions"))
        if found[0] != SCHEMA.encode():
            raise StoreRefused(
                f"the keys under {self._keys.prefix!r} have schema {found[0]!r}; this version reads {SCHEMA}"
            )
        self._keys.partitions = int(found[1])
