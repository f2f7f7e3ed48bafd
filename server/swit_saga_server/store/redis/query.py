"""A walk over the index that says most about a filter, merged over all partitions."""

from bisect import insort
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
MAX_CURSORS = 2_048
"""Of a walk by definitions: with more, it looks through all sagas instead."""


class _Cursor:
    """Where the walk stands in one index of one partition."""

    __slots__ = ("at", "bound", "buffer", "done", "key", "skip")

    def __init__(self, key: str, bound: str) -> None:
        self.key = key
        self.bound = bound  # The score to read from, inclusive.
        self.skip = 0  # Items with that very score that were read already.
        self.buffer: list[tuple[int, str]] = []
        self.at = 0  # The next in it.
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
        parts = list(partitions)
        names = _indexes(wanted, MAX_CURSORS // len(parts)) if by_creation else ["upd"]
        self._cursors = [_Cursor(f"{keys.of(p)}{name}", start) for p in parts for name in names]
        self._empty = list(range(len(self._cursors)))
        """Numbers of the cursors to read on."""
        self._heads: list[tuple[int, str, int]] = []
        """The first of each buffer, ascending, with its cursor's number."""

    async def next(self, number: int) -> list[tuple[int, str]]:
        """The next candidates, ``number`` at most, as (sort key, id); none at the end."""
        found: list[tuple[int, str]] = []
        while len(found) < number:
            await self._fill()
            if not self._heads:
                return found
            # Until one buffer with more behind it is empty, the first of all heads is the next of all.
            while len(found) < number and self._heads:
                score, saga_id, n = self._heads.pop(-1 if self._descending else 0)
                found.append((score, saga_id))
                cursor = self._cursors[n]
                cursor.at += 1
                if cursor.at < len(cursor.buffer):
                    insort(self._heads, (*cursor.buffer[cursor.at], n))
                elif not cursor.done:
                    self._empty.append(n)
                    break
        return found

    async def _fill(self) -> None:
        empty = self._empty
        while empty:
            verb = "ZREVRANGEBYSCORE" if self._descending else "ZRANGEBYSCORE"
            cursors = [self._cursors[n] for n in empty]
            commands = [(verb, c.key, c.bound, self._end, "WITHSCORES", "LIMIT", c.skip, CHUNK) for c in cursors]
            replies = await self._redis.pipeline(commands)
            for cursor, reply in zip(cursors, replies, strict=True):
                items = scored([reply])
                cursor.done = len(items) < CHUNK
                if items:
                    last = items[-1][1]
                    same = sum(1 for _, score in items if score == last)
                    cursor.skip = same + (cursor.skip if cursor.bound == str(last) else 0)
                    cursor.bound = str(last)
                cursor.buffer = [(score, i) for i, score in items if self._is_after(score, i)]
                cursor.at = 0
            self._heads += [(*self._cursors[n].buffer[0], n) for n in empty if self._cursors[n].buffer]
            empty = [n for n in empty if not self._cursors[n].buffer and not self._cursors[n].done]
        self._empty = []
        self._heads.sort()

    def _is_after(self, score: int, saga_id: str) -> bool:
        if self._after is None:
            return True
        return (score, saga_id) < self._after if self._descending else (score, saga_id) > self._after


def _indexes(wanted: SagaFilter, most: int) -> list[str]:
    """Those whose sagas, together, have all that match; not more than ``most`` by choice."""
    if wanted.labels:
        return [f"lab:{label(*next(iter(sorted(wanted.labels.items()))))}"]
    if wanted.stuck:
        return ["stuck"]
    if wanted.states:
        return [f"st:{state}" for state in sorted(wanted.states)]
    if 0 < len(wanted.definition_ids) <= max(most, 1):
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
