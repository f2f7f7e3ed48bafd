"""Inboxes in Redis: a hash of entries and their order in each partition; an answer is a key that expires."""

from collections.abc import Sequence

import msgpack

from swit_saga_server.store.contract import InboxEntry
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.hints import RedisHints
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.scripts import Scripts


class RedisInbox:
    """``Inbox`` in Redis."""

    def __init__(self, redis: RedisConnection, keys: Keys, scripts: Scripts, hints: RedisHints) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._hints = hints

    async def post(self, entry: InboxEntry) -> None:
        """See the contract."""
        partition = self._keys.partition_of(entry.saga_id)
        body = msgpack.packb((entry.saga_id, entry.body))
        p = self._keys.of(partition)
        await self._scripts.run_with_values("post", [self._keys.lease(partition)], p, entry.entry_id, body)
        await self._hints.give("inbox", partition)

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """See the contract."""
        p = self._keys.of(partition)
        ids = await self._redis.do(lambda c: c.zrange(f"{p}inq", 0, limit - 1))
        if not ids:
            return []
        bodies = await self._redis.do(lambda c: c.hmget(f"{p}in", ids))
        entries = []
        for entry_id, body in zip(ids, bodies, strict=True):
            if body is not None:  # Consumed between the two reads.
                saga_id, asked, *_ = msgpack.unpackb(body)
                entries.append(InboxEntry(entry_id=entry_id.decode(), saga_id=saga_id, body=asked))
        return entries

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """See the contract."""
        p = self._keys.of(self._keys.partition_of(entry.saga_id))
        found: bytes | None = await self._redis.do(lambda c: c.get(f"{p}ans:{entry.entry_id}"))
        return found
