"""Listing from Redis: sorted by creation it reads an index; by change, it looks through what changed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage
from swit_saga_server.store.paging import make_token, read_token
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.decode import read_sagas
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.query import Walk, matches


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
        while len(page) <= page_size and (ids := await walk.next(page_size + 1)):
            sagas = await read_sagas(self._redis, self._keys, self._codec, [i for _, i in ids])
            for (score, _), (saga, due) in zip(ids, sagas, strict=True):
                if saga is not None and matches(saga, due, wanted):
                    page.append((score, saga))
        token = ""
        if len(page) > page_size:
            score, saga = page[page_size - 1]
            token = make_token(key, [score, saga.id])
        return SagaPage(tuple(saga for _, saga in page[:page_size]), token)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        which = [(p, s) for p in range(self._keys.partitions) for s in SagaState]
        found = await self._redis.pipeline([("ZCARD", f"{self._keys.of(p)}st:{s}") for p, s in which])
        counts: dict[SagaState, int] = defaultdict(int)
        for (_, state), number in zip(which, found, strict=True):
            if number:
                counts[state] += number
        return dict(counts)
