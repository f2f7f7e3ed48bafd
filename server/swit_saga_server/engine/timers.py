"""Timers of the near future, in memory. The store's due index is the truth; losing one here only costs a poll."""

import heapq

from swit_saga_server.core.units import Instant


class Timers:
    """At most one timer per saga; arming again replaces it."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, str]] = []
        self._armed: dict[str, Instant] = {}

    def __len__(self) -> int:
        return len(self._armed)

    def __contains__(self, saga_id: str) -> bool:
        return saga_id in self._armed

    @property
    def next_at(self) -> Instant | None:
        """When the earliest fires; None if none is armed."""
        while self._heap and self._armed.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def arm(self, saga_id: str, at: Instant) -> None:
        """Fire for ``saga_id`` at ``at``, whatever was armed for it before."""
        if self._armed.get(saga_id) != at:
            self._armed[saga_id] = at
            heapq.heappush(self._heap, (at, saga_id))

    def disarm(self, saga_id: str) -> None:
        """No timer for ``saga_id`` any more."""
        self._armed.pop(saga_id, None)

    def fired(self, now: Instant) -> list[str]:
        """The sagas whose time has come, disarmed, earliest first."""
        due: list[str] = []
        while (at := self.next_at) is not None and at <= now:
            saga_id = heapq.heappop(self._heap)[1]
            del self._armed[saga_id]
            due.append(saga_id)
        return due
