"""A walk over the index that says most about a filter, merged over all partitions."""

from collections.abc import Iterable, Sequence
from typing import Any

from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import SagaFilter, SagaOrder
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.decode import scored
from swit_saga_server.store.redis.encode import label
from swit_saga_server.store.redis.keys import Keys

CHUNK = 64


class _Cursor:
    """Where the walk stands in one index of one partition."""

    __slots__ = ("bound", "buffer", "done", "key", "skip")

    def __init__(self, key: str, bound: str) -> None:
        self.key = key
        self.bound = bound  # The score to read from, inclusive.
        self.skip = 0  # Items with that very score that were read already.
        self.buffer: list[tuple[int, str]] = []
        self.done = False


class Walk:
    """Candidates for a listing, in its order; the filter is still to be applied to each."""

    def __init__(
        self,
        redis: RedisConnection,
        keys: Keys,
        partitions: Iterable[int],
        wanted: SagaFilter,
        order: SagaOrder,
        after: Sequence[Any] | None,
    ) -> None:
        """Begin after ``after`` (sort key, id); None begins at the start."""
        self._redis = redis
        self._descending = order.value.endswith("desc")
        self._after: tuple[int, str] | None = (after[0], after[1]) if after else None
        by_creation = order.value.startswith("created")
        low = wanted.created_from if by_creation else wanted.updated_from
        high = wanted.created_to if by_creation else wanted.updated_to
        first = str(low or "-inf")
        last = f"({high}" if high else "+inf"
        start, self._end = (last, first) if self._descending else (first, last)
        if self._after is not None:
            start = str(self._after[0])
        names = _indexes(wanted) if by_creation else ["upd"]
        self._cursors = [_Cursor(f"{keys.of(p)}{name}", start) for p in partitions for name in names]

    async def next(self, number: int) -> list[tuple[int, str]]:
        """The next candidates, ``number`` at most, as (sort key, id); none at the end."""
        found: list[tuple[int, str]] = []
        while len(found) < number:
            await self._fill()
            heads = [c for c in self._cursors if c.buffer]
            if not heads:
                return found
            # Until one buffer with more behind it is empty, the smallest head is the next of all.
            while len(found) < number and all(c.buffer or c.done for c in self._cursors):
                live = [c for c in self._cursors if c.buffer]
                if not live:
                    return found
                best = (max if self._descending else min)(live, key=lambda c: c.buffer[0])
                found.append(best.buffer.pop(0))
        return found

    async def _fill(self) -> None:
        empty = [c for c in self._cursors if not c.buffer and not c.done]
        while empty:
            verb = "ZREVRANGEBYSCORE" if self._descending else "ZRANGEBYSCORE"
            commands = [(verb, c.key, c.bound, self._end, "WITHSCORES", "LIMIT", c.skip, CHUNK) for c in empty]
            replies = await self._redis.pipeline(commands)
            for cursor, reply in zip(empty, replies, strict=True):
                items = scored([reply])
                cursor.done = len(items) < CHUNK
                if items:
                    last = items[-1][1]
                    same = sum(1 for _, score in items if score == last)
                    cursor.skip = same + (cursor.skip if cursor.bound == str(last) else 0)
                    cursor.bound = str(last)
                cursor.buffer = [(score, i) for i, score in items if self._is_after(score, i)]
            empty = [c for c in empty if not c.buffer and not c.done]

    def _is_after(self, score: int, saga_id: str) -> bool:
        if self._after is None:
            return True
        return (score, saga_id) < self._after if self._descending else (score, saga_id) > self._after


def _indexes(wanted: SagaFilter) -> list[str]:
    if wanted.labels:
        return [f"lab:{label(*next(iter(sorted(wanted.labels.items()))))}"]
    if wanted.stuck:
        return ["stuck"]
    if wanted.states:
        return [f"st:{state}" for state in sorted(wanted.states)]
    if wanted.definition_ids:
        return [f"def:{i}" for i in sorted(wanted.definition_ids)]
    return ["all"]


def matches(saga: Saga, due_at: Instant, wanted: SagaFilter) -> bool:
    """The whole filter, on a saga as loaded."""
    return (
        (not wanted.states or saga.state in wanted.states)
        and (not wanted.definition_ids or saga.definition_id in wanted.definition_ids)
        and wanted.created_from <= saga.created_at < (wanted.created_to or saga.created_at + 1)
        and wanted.updated_from <= saga.updated_at < (wanted.updated_to or saga.updated_at + 1)
        and all(saga.labels.get(k) == v for k, v in wanted.labels.items())
        and all(k in saga.metadata and _same(saga.metadata[k], v) for k, v in wanted.metadata.items())
        and (not wanted.overdue_at or 0 < due_at < wanted.overdue_at)
        and (not wanted.stuck or saga.quarantined > 0)
    )


def _same(found: Any, wanted: str | float | bool) -> bool:
    """Equal and of one JSON type: ``true`` is not 1, and 1 is 1.0."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, str) or isinstance(wanted, str):
        return isinstance(found, str) and found == wanted
    return isinstance(found, int | float) and found == wanted
