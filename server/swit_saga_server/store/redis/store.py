"""The store on Redis, put together from its ports."""

from swit_saga_server.core.errors import StoreRefused
from swit_saga_server.store.assembled import AssembledStore
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.redis.checks import Durability, check, check_rights
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.definitions import RedisDefinitions
from swit_saga_server.store.redis.hints import RedisHints
from swit_saga_server.store.redis.inbox import RedisInbox
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.leases import RedisLeases
from swit_saga_server.store.redis.listing import RedisListing
from swit_saga_server.store.redis.pulse import SCHEMA, Pulse, describe
from swit_saga_server.store.redis.reading import RedisReading
from swit_saga_server.store.redis.retention import RedisRetention
from swit_saga_server.store.redis.rounds import RedisRounds
from swit_saga_server.store.redis.scripts import Scripts


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
        codec: Codec = PRESENT,
    ) -> None:
        """Say where; nothing is connected yet.

        Args:
            options: How to reach Redis.
            prefix: Of every key, so that several systems can share one Redis.
            partitions: For a new store; an existing one keeps its own.
            durability: When a write counts as done.
            replicas: That must have it, for ``replicated``.
            codec: What this version reads and writes; tests of upgrades hand in those of others.

        Raises:
            ValueError: The URL is not one of those in ``RedisOptions``.
        """
        self._redis = redis = RedisConnection(options)
        self._durability = durability
        self._replicas = replicas
        self._timeout_s = options.timeout_s
        self._keys = keys = Keys(prefix, partitions)
        self._scripts = scripts = Scripts(redis)
        fleet = Fleet(codec)
        self._published = hints = RedisHints(redis, keys)
        super().__init__(
            leases=RedisLeases(redis, keys, scripts, hints, fleet, Pulse(redis, keys, scripts)),
            rounds=RedisRounds(keys, scripts, hints, fleet, is_cluster=redis.is_cluster),
            inbox=RedisInbox(redis, keys, scripts, hints),
            reading=RedisReading(redis, keys, codec),
            listing=RedisListing(redis, keys, codec),
            retention=RedisRetention(redis, keys, scripts),
            definitions=RedisDefinitions(redis, keys, scripts, fleet),
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
        self._redis.is_trusted = True
        self._published.open()
        self._redis.troubles.watch(self._probe)

    def _check_schema(self, schema: int) -> None:
        keys = f"the keys under {self._keys.prefix!r} have schema {schema}"
        if schema < SCHEMA:
            raise StoreRefused(
                f"{keys}, of before the first release, and this version reads {SCHEMA}: let the version that wrote them"
                " finish its sagas, then use another prefix or delete the keys"
            )
        if schema > SCHEMA:
            raise StoreRefused(f"{keys}, of a newer version, and this one reads {SCHEMA}: use that version")

    async def close(self) -> None:
        """See the contract."""
        await self._redis.troubles.close()
        await self._published.close()
        await self._redis.close()
        self._redis.is_trusted = False

    @property
    def trouble(self) -> str:
        """See the contract."""
        return self._redis.troubles.current

    async def _probe(self) -> None:
        """All that is ever asked of it, tried: rights that were taken away are named before a saga needs them."""
        await check_rights(
            self._redis, self._keys.prefix, self._keys.hints, self._scripts.confirmation, subscribes=False
        )

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
        # Looked at before anything is written: another schema may be another's.
        (schema,) = await self._redis.do(lambda c: c.hmget(self._keys.meta, "schema"))
        if schema is not None:
            self._check_schema(int(schema))
        found = await describe(self._redis, self._keys)
        assert found[1] is not None
        self._keys.partitions = int(found[1])
