"""Reading from the simulated store."""

from collections.abc import Sequence

from swit_saga_server.core.errors import CursorOutOfRange
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import Due, FeedItem
from tests.support.simulation.store.data import Memory, Record


class SimReading:
    """``Reading`` from memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        found = [self._memory.data.sagas.get(i) for i in saga_ids]
        return [self._memory.read(record.saga) if record else None for record in found]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        record = self._memory.data.sagas.get(saga_id)
        return [e for e in record.events if e.sequence > after][:limit] if record else []

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        due = [(r.due_at, i) for i, r in of_partition(self._memory, partition) if 0 < r.due_at <= until]
        return [Due(i, at) for at, i in sorted(due)[:limit]]

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        return sorted(i for i, r in of_partition(self._memory, partition) if r.in_flight and i > after)[:limit]

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        if after > self._memory.data.position:
            raise CursorOutOfRange("the store went back", oldest=self._memory.data.position)
        return [x for p, x in self._memory.data.feed if p == partition and x.position > after][:limit]

    async def feed_end(self, partition: int) -> int:
        return max((x.position for p, x in self._memory.data.feed if p == partition), default=0)


def of_partition(memory: Memory, partition: int) -> list[tuple[str, Record]]:
    """Its sagas, by id."""
    return [(i, r) for i, r in memory.data.sagas.items() if memory.part(i) == partition]
