"""The idle sagas in memory, and who leaves first when there are too many: one class for each policy.

A saga comes and goes here all the time: it leaves when something is done with it, and comes back when that is done.
What decides about it must outlast that, and stands in its entry.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeVar

from swit_saga_server.engine.options import CachePolicy


class Ranked(Protocol):
    """What an entry has for this.

    Attributes:
        saga_id: Its saga's.
        uses: How often it came to rest, or was looked at, since it came into memory.
        came: In which order it came into memory; 0 before it first rests.
    """

    saga_id: str
    uses: int
    came: int


E = TypeVar("E", bound=Ranked)


class Idle(ABC, Generic[E]):
    """Idle entries by saga id, at most ``max_size`` of them."""

    def __init__(self, max_size: int) -> None:
        self._entries: OrderedDict[str, E] = OrderedDict()
        self._max_size = max_size

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def pop(self, saga_id: str) -> E | None:
        """Take an entry out, if it is there."""
        return self._entries.pop(saga_id, None)

    @abstractmethod
    def get(self, saga_id: str) -> E | None:
        """The entry, if it is there; to look at it is to use it."""

    @abstractmethod
    def put(self, entry: E) -> None:
        """It comes to rest; if there are too many then, another one leaves."""


class LeastRecentlyUsed(Idle[E]):
    """The one leaves that nobody used for the longest."""

    def get(self, saga_id: str) -> E | None:
        """See ``Idle``."""
        entry = self._entries.get(saga_id)
        if entry is not None:
            self._entries.move_to_end(saga_id)
        return entry

    def put(self, entry: E) -> None:
        """See ``Idle``."""
        self._entries[entry.saga_id] = entry
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)


class _ByRank(Idle[E]):
    """The one of the least rank leaves; of equals, the one that has that rank for the longest."""

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self._ranks: list[tuple[int, int, str]] = []
        """A heap of rank, order and id. One that is not its entry's last is passed over."""
        self._order = count(1)
        self._last: dict[str, int] = {}
        self._came = count(1)

    @abstractmethod
    def _rank(self, entry: E) -> int:
        """The less, the sooner it leaves."""

    def pop(self, saga_id: str) -> E | None:
        """See ``Idle``."""
        self._last.pop(saga_id, None)
        return super().pop(saga_id)

    def put(self, entry: E) -> None:
        """See ``Idle``."""
        entry.came = entry.came or next(self._came)
        entry.uses += 1
        if len(self._entries) >= self._max_size and entry.saga_id not in self._entries:
            self._evict()
        self._entries[entry.saga_id] = entry
        self._push(entry)

    def _push(self, entry: E) -> None:
        order = self._last[entry.saga_id] = next(self._order)
        heappush(self._ranks, (self._rank(entry), order, entry.saga_id))
        if len(self._ranks) > 2 * len(self._entries) + 64:
            self._ranks = [ranked for ranked in self._ranks if self._last.get(ranked[2]) == ranked[1]]
            heapify(self._ranks)

    def _evict(self) -> None:
        while self._ranks:
            _, order, saga_id = heappop(self._ranks)
            if self._last.get(saga_id) == order:
                self.pop(saga_id)
                return


class LeastFrequentlyUsed(_ByRank[E]):
    """The one leaves that was used the least often since it came into memory."""

    def get(self, saga_id: str) -> E | None:
        """See ``Idle``."""
        entry = self._entries.get(saga_id)
        if entry is not None:
            entry.uses += 1
            self._push(entry)
        return entry

    def _rank(self, entry: E) -> int:
        return entry.uses


class FirstIn(_ByRank[E]):
    """The one leaves that came into memory first, however much it was used."""

    def get(self, saga_id: str) -> E | None:
        """See ``Idle``."""
        return self._entries.get(saga_id)

    def _rank(self, entry: E) -> int:
        return entry.came


def idle_sagas(policy: CachePolicy, max_size: int) -> Idle[E]:
    """Nothing yet, by a policy."""
    kinds: dict[CachePolicy, type[Idle[E]]] = {
        CachePolicy.LRU: LeastRecentlyUsed,
        CachePolicy.LFU: LeastFrequentlyUsed,
        CachePolicy.FIFO: FirstIn,
    }
    return kinds[policy](max(max_size, 1))
