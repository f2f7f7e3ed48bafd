"""How a saga is, for those who ask: from memory where that is the truth, from the store where it may not be."""

from swit_saga_server.core.errors import SagaNotFound
from swit_saga_server.core.model import Saga
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.working_set import Entry, Phase
from swit_saga_server.store.contract import partition_of


class Reading:
    """Reads one saga at a time. All that it returns is durable."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._clock = context.env.clock
        self._ownership = context.ownership
        self._working_set = context.working_set

    async def get(self, saga_id: str) -> Saga:
        """The state last known here to be applied.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        return self.at_hand(saga_id) or await self.stored(saga_id)

    def at_hand(self, saga_id: str) -> Saga | None:
        """What ``get`` returns if it need not read the store for it; None if it must."""
        entry = self._known(saga_id)
        return entry.applied if entry is not None else None

    async def latest(self, saga_id: str) -> Saga:
        """No older than what anybody was shown: of a saga that is being written, others may have seen more than
        ``get`` knows.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        entry = self._known(saga_id)
        if entry is not None and entry.applied is not None and entry.phase is not Phase.COMMITTING:
            return entry.applied
        return await self.stored(saga_id)

    async def stored(self, saga_id: str) -> Saga:
        """The state in the store: while a commit's reply is under way it is ahead of what ``get`` knows.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        (saga,) = await self._store.load([saga_id])
        if saga is None:
            raise SagaNotFound(f"there is no saga {saga_id!r}", saga_id=saga_id)
        return saga

    def _known(self, saga_id: str) -> Entry | None:
        if self._ownership.holds(partition_of(saga_id, self._store.partitions)):
            return self._working_set.find(saga_id, self._clock.now)
        return None
