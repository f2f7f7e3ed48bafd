"""Forgetting sagas whose outcome is old. A failed one is never forgotten: it waits for a human (invariant 16)."""

import asyncio

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.units import Span
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import StateStorage

log = get_logger(__name__)

BATCH = 200
PAUSE_S = 0.05
"""Between batches, so that what is under way goes before what is over."""


class Retention:
    """Deletes, in the partitions held here, what has been over for longer than it is to be kept."""

    def __init__(self, store: StateStorage, options: EngineOptions, env: Environment, ownership: Ownership) -> None:
        self._store = store
        self._options = options
        self._clock = env.clock
        self._ownership = ownership
        self.deleted = 0

    async def run(self) -> None:
        """Clean up for ever, if anything is to be forgotten at all. Ends by cancellation."""
        while self._options.retention is not None:
            for partition in self._ownership:
                try:
                    while await self._clean(partition, self._options.retention):
                        pass
                except StoreUnavailable as unavailable:
                    log.debug("not_cleaned_up", partition=partition, error=str(unavailable))
            await asyncio.sleep(self._options.cleanup_interval / 1e6)

    async def _clean(self, partition: int, retention: Span) -> bool:
        """One batch; whether there may be more."""
        ids = await self._store.expired(partition, self._clock.now() - retention, BATCH)
        gone = 0
        for saga_id in ids:
            lease = self._ownership.leases.get(partition)
            if lease is None:
                return False  # The partition is another's to clean now.
            gone += await self._store.delete(saga_id, lease)
        await asyncio.sleep(PAUSE_S)
        if gone:
            self.deleted += gone
            log.info("cleaned_up", partition=partition, sagas=gone)
        return len(ids) == BATCH and gone > 0
