"""From leases to work: what a partition taken brings, and what one lost takes away."""

from collections.abc import Callable, Collection

from swit_saga_server.core.inputs import TakenOver
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.applying import Applying
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.inbox import Inbox
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.outbox import Outbox
from swit_saga_server.engine.wakeups import Wakeups
from swit_saga_server.engine.working_set import Phase
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import Lease, partition_of

log = get_logger(__name__)

PAGE = 1_000
FOR_EVER = Instant(2**62)


class Takeover:
    """Sets a partition's sagas going, and lets go of them. See ``ownership.Tenant``."""

    def __init__(self, context: Context, applying: Applying, wakeups: Wakeups, outbox: Outbox, inbox: Inbox) -> None:
        self._store = context.store
        self._options = context.options
        self._working_set = context.working_set
        self._limiter = context.limiter
        self._admission = context.admission
        self._left_to_newer = context.left_to_newer
        self._mailbox = context.mailbox
        self._feed = context.feed
        self._rewinds = context.rewinds
        self._applying = applying
        self._wakeups = wakeups
        self._outbox = outbox
        self._inbox = inbox

    async def taken(self, lease: Lease) -> Callable[[], None]:
        """Find everything of the partition that may be in flight; the call returned has it sent again."""
        ids: list[str] = []
        while True:
            page = await self._store.in_flight(lease.partition, ids[-1] if ids else "", PAGE)
            ids += page
            if len(page) < PAGE:
                break
        if limit := self._admission.max_to_read:
            self._admission.found(due.saga_id for due in await self._store.due(lease.partition, FOR_EVER, limit))
        log.info("partition_taken", partition=lease.partition, epoch=lease.epoch, in_flight=len(ids))

        def resume() -> None:
            for saga_id in ids:
                self._mailbox.put(Item(saga_id, TakenOver()))
            # What the former holder did last, watchers may not have seen; what it left waiting is due or in the inbox.
            self._feed.notify_all()
            self._wakeups.schedule.name_all()
            self._inbox.schedule.name_all()

        return resume

    def rewound(self, error: str, partitions: Collection[int]) -> None:
        """What memory says of these is not the store's: they were lost, and are taken again."""
        self._rewinds.found(error, partitions=sorted(partitions))

    async def leaving(self, partitions: Collection[int]) -> None:
        """Send no more for these, and wait a while for the answers to what is out."""
        await self._outbox.leave(partitions, self._working_set, self._options.lease_term / 5e6)

    def lost(self, partition: int) -> None:
        """Nothing of this partition is ours any more. Rounds under way are settled by their verdicts."""
        self._outbox.left(partition)
        self._inbox.lost(partition)
        for saga_id in self._left_to_newer.lost(partition):
            self._wakeups.disarm(saga_id)
        partitions = self._store.partitions
        self._admission.lost(partition, partitions)
        if self._limiter is not None:
            for saga_id in [i for i in self._limiter.known() if partition_of(i, partitions) == partition]:
                self._limiter.forget(saga_id)
        for entry in self._working_set.of_partition(partition):
            self._wakeups.disarm(entry.saga_id)
            if entry.phase is not Phase.COMMITTING:
                self._working_set.stand_down(entry)
                self._applying.forget(entry, again=True)
