"""Listing from Redis: sorted by creation it reads an index; by change, it looks through what changed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage
from swit_saga_server.store.paging import make_tokens, read_token
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.decode import decode_saga, read_rows
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.query import Walk, matches

FIRST_READ, MORE = 8, 8
"""Sagas read at first: how large they are says how many are read next, so many times as many at most."""


class RedisListing:
    """``Listing`` from Redis; ``query`` finds the candidates."""

    def __init__(self, redis: RedisConnection, keys: Keys, codec: Codec) -> None:
        self._redis = redis
        self._keys = keys
        self._codec = codec

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """See the contract."""
        key = [replace(wanted, overdue_at=Instant(wanted.overdue_at > 0)), order.value]
        after = read_token(key, page_token, int, str)
        walk = Walk(self._redis, self._keys, range(self._keys.partitions), wanted, order, after)
        page: list[tuple[int, Saga]] = []
        number, size, is_full = FIRST_READ, 0, False
        while not is_full and (ids := await walk.next(min(number, page_size + 1))):
            rows = await read_rows(self._redis, self._keys, [i for _, i in ids])
            sizes = [sum(map(len, row.values())) for row in rows]
            for (score, saga_id), row, row_size in zip(ids, rows, sizes, strict=True):
                saga, due = decode_saga(self._codec, saga_id, row)
                if saga is None or not matches(saga, due, wanted):
                    continue
                if is_full := len(page) == page_size or size >= PAGE_BYTES:
                    break
                page.append((score, saga))
                size += row_size
            each = max(sum(sizes) // len(ids), 1)
            number = max(min(number * MORE, (PAGE_BYTES - size) // each), 1)
        tokens = make_tokens(key, [[score, saga.id] for score, saga in page])
        return SagaPage(tuple(saga for _, saga in page), tokens[-1] if is_full else "", tokens)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        which = [(p, s) for p in range(self._keys.partitions) for s in SagaState]
        found = await self._redis.pipeline([("ZCARD", f"{self._keys.of(p)}st:{s}") for p, s in which])
        counts: dict[SagaState, int] = defaultdict(int)
        for (_, state), number in zip(which, found, strict=True):
            if number:
                counts[state] += number
        return dict(counts)
