"""Reading from Redis."""

from collections.abc import Sequence

from swit_saga_server.core.errors import CursorOutOfRange
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import Due, FeedItem
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.decode import read_sagas, scored
from swit_saga_server.store.redis.keys import Keys


class RedisReading:
    """``Reading`` from Redis."""

    def __init__(self, redis: RedisConnection, keys: Keys, codec: Codec) -> None:
        self._redis = redis
        self._keys = keys
        self._codec = codec

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """See the contract."""
        return [saga for saga, _ in await read_sagas(self._redis, self._keys, self._codec, saga_ids)]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """See the contract."""
        if limit <= 0:
            return []
        key = f"{self._keys.of_saga(saga_id)}ev:{saga_id}"
        found = await self._redis.do(lambda c: c.lrange(key, max(after, 0), max(after, 0) + limit - 1))
        return [self._codec.unpack_event(data) for data in found]

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """See the contract."""
        key = f"{self._keys.of(partition)}due"
        command = ("ZRANGEBYSCORE", key, "-inf", until, "WITHSCORES", "LIMIT", 0, limit)
        return [Due(i, Instant(at)) for i, at in scored(await self._redis.pipeline([command]))]

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """See the contract."""
        key = f"{self._keys.of(partition)}fly"
        low = b"(" + after.encode() if after else b"-"
        found = await self._redis.do(lambda c: c.zrangebylex(key, low, b"+", start=0, num=limit))
        return [i.decode() for i in found]

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """See the contract."""
        p = self._keys.of(partition)
        # The end first: what is committed in between lies beyond it.
        commands = [("GET", f"{p}pos"), ("XRANGE", f"{p}feed", f"({after}-0", "+", "COUNT", limit)]
        last, found = await self._redis.pipeline(commands)
        end = int(last or 0)
        if after > end:
            raise CursorOutOfRange(
                f"the feed of partition {partition} ends at {end}, before {after}: the store went back", oldest=end
            )
        if not found and after < end:
            raise CursorOutOfRange(f"the feed of partition {partition} has nothing before {end} any more", oldest=end)
        if not found:
            return []
        entries = [(int(at.split(b"-")[0]), f[b"i"].decode(), int(f[b"n"]), int(f[b"q"])) for at, f in found]
        if entries[0][0] - entries[0][2] > after:
            oldest = entries[0][0] - entries[0][2]
            raise CursorOutOfRange(f"the feed of partition {partition} begins after {oldest}", oldest=oldest)
        commands = [("LRANGE", f"{p}ev:{i}", q - n, q - 1) for _, i, n, q in entries]
        items = [
            FeedItem(last - n + k, saga_id, self._codec.unpack_event(data))
            for (last, saga_id, n, _), events in zip(entries, await self._redis.pipeline(commands), strict=True)
            for k, data in enumerate(events, 1)
        ]
        return [item for item in items if item.position > after][:limit]

    async def feed_end(self, partition: int) -> int:
        """See the contract."""
        return int(await self._redis.do(lambda c: c.get(f"{self._keys.of(partition)}pos")) or 0)
