"""Watching sagas that others hold: their partitions' feeds, read again and again, while somebody here watches."""

import asyncio

from swit_saga_server.core.errors import CursorOutOfRange, NewerRecord, StoreUnavailable
from swit_saga_server.engine.feed import Feed
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import StateStorage, partition_of

log = get_logger(__name__)

PAGE = 1_000


class FeedPoller:
    """Notifies the watchers of remote sagas when there is something new; they read it from the saga's history."""

    def __init__(self, store: StateStorage, options: EngineOptions, ownership: Ownership, feed: Feed) -> None:
        self._store = store
        self._options = options
        self._ownership = ownership
        self._feed = feed
        self._positions: dict[int, int] = {}

    async def run(self) -> None:
        """Look for ever. Ends by cancellation."""
        while True:
            wanted = self._wanted()
            for partition in [p for p in self._positions if p not in wanted]:
                del self._positions[partition]
            for partition in wanted:
                try:
                    await self._read(partition)
                except NewerRecord:
                    # Which sagas it concerns cannot be told: each watcher reads on by itself, and hears it if it must.
                    del self._positions[partition]
                except CursorOutOfRange as lost:
                    log.warning("feed_lost", partition=partition, error=str(lost))
                    del self._positions[partition]
                    self._feed.notify_all()
                except StoreUnavailable as unavailable:
                    log.debug("feed_not_read", partition=partition, error=str(unavailable))
            await asyncio.sleep(self._options.watch_poll / 1e6)

    def _wanted(self) -> list[int]:
        remote = {p for p in range(self._store.partitions) if not self._ownership.holds(p)}
        if not remote:
            return []
        return sorted(remote & {partition_of(saga_id, self._store.partitions) for saga_id in self._feed.watched})

    async def _read(self, partition: int) -> None:
        if partition not in self._positions:
            # From now on; what was before, watchers read from the history.
            self._positions[partition] = await self._store.feed_end(partition)
            self._feed.notify_all()
            return
        while page := await self._store.feed(partition, self._positions[partition], PAGE):
            self._positions[partition] = page[-1].position
            for saga_id in dict.fromkeys(item.saga_id for item in page):
                self._feed.notify(saga_id)
