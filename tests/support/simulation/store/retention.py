"""Removal from the simulated store."""

from collections.abc import Sequence

from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import Lease
from tests.support.simulation.store.data import Memory
from tests.support.simulation.store.reading import of_partition


class SimRetention:
    """``Retention`` in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        found = self._memory.data.sagas.get(saga_id)
        if found is None or not self._memory.is_current(lease) or self._memory.part(saga_id) != lease.partition:
            return False
        if not found.saga.state.is_terminal:
            return False
        del self._memory.data.sagas[saga_id]
        self._memory.data.feed = [(p, x) for p, x in self._memory.data.feed if x.saga_id != saga_id]
        return True

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        over = [
            (r.saga.completed_at, i)
            for i, r in of_partition(self._memory, partition)
            if r.saga.state.is_terminal and r.saga.state is not SagaState.FAILED and r.saga.completed_at < older_than
        ]
        return [i for _, i in sorted(over)[:limit]]
