"""Partition leases: taking a fair share, renewing, giving up. The lease is only liveness; safety is the store's check
of epoch and nonce on every commit.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Protocol

from swit_saga_server.core.errors import NameTaken, StoreRewound, StoreUnavailable
from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.levels import Levels
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.shares import Shares
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import Lease, StateStorage

log = get_logger(__name__)


class Tenant(Protocol):
    """Who works in the partitions held."""

    async def taken(self, lease: Lease) -> Callable[[], None]:
        """Find what is to be done in a partition just taken; the call returned begins with it."""
        ...

    async def leaving(self, partitions: Collection[int]) -> None:
        """Return when what is out for these partitions is answered, or was waited for long enough."""
        ...

    def lost(self, partition: int) -> None:
        """The partition is not held any more."""
        ...

    def rewound(self, error: str, partitions: Collection[int]) -> None:
        """The store went back; these, which were held, were lost by it."""
        ...


class Ownership:
    """The partitions this coordinator holds.

    A partition counts as held once its tenant has found what was in flight, until its lease is lost or two thirds of
    its term have passed without a renewal; from then on nothing is sent for it (the rest is for clocks that differ).

    Attributes:
        tenant: Who works in them.
        refused: Why this coordinator may hold nothing now; empty if it may.
        levels: What this coordinator reads, and what all that live read; learnt with every heartbeat.
    """

    tenant: Tenant

    def __init__(self, store: StateStorage, options: EngineOptions, env: Environment) -> None:
        """Hold nothing yet; ``tenant`` is to be set before anything is taken."""
        self._store = store
        self._options = options
        self._clock = env.clock
        self.levels = Levels(options.codec)
        self._shares = Shares(options.owner, options.codec.level, options.lease_term)
        self._held: dict[int, Lease] = {}
        self._good_until: dict[int, Span] = {}
        self._again = asyncio.Event()
        self.refused = ""

    @property
    def leases(self) -> Mapping[int, Lease]:
        """What is held, by partition."""
        return self._held

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._held))

    def holds(self, partition: int) -> bool:
        """Whether effects may be sent for this partition now."""
        return self._clock.elapsed() < self._good_until.get(partition, NO_TIME)

    def fenced(self, partition: int) -> None:
        """The lease is no longer ours, or what memory holds of the partition is not the store's."""
        if partition in self._held:
            log.warning("partition_fenced", partition=partition, epoch=self._held[partition].epoch)
            self._drop(partition)
            self._again.set()

    def look(self) -> None:
        """A partition may have become free: see at once."""
        self._again.set()

    def decline(self, partition: int) -> None:
        """Something in it is newer than this coordinator reads: it goes to a newer one, as soon as one lives."""
        self._shares.met_newer(partition)
        if self.levels.highest > self.levels.codec.level:
            self._again.set()

    async def take_share(self) -> None:
        """Take partitions that are free, up to a fair share; give up what goes beyond it. See ``shares``."""
        options, shares, held = self._options, self._shares, self._held
        level = self.levels.codec.level
        peers = await self._store.heartbeat(options.owner, options.lease_term, level, options.instance)
        self._has_name()
        self.levels.met(peers)
        shares.met(peers, self._store.partitions, held, self._clock.elapsed())
        if given := shares.to_give_up(list(held), self._clock.elapsed()):
            await self.tenant.leaving(given)
            log.info("partitions_given_away", partitions=given, living=len(peers))
            await self._give_up(given)
        for partition in chain(shares.to_take(held), shares.left_over(held, self._clock.elapsed())):
            await self._take(partition)

    async def run(self) -> None:
        """Renew for ever, drop what could not be renewed in time, keep a fair share. Ends by cancellation.

        It is looked for free partitions more often than renewed: those of the dead wait for nothing but this.
        """
        renew_at: Span = NO_TIME
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.lease_term / 20e6):
                    await self._again.wait()
            self._again.clear()
            try:
                if self._clock.elapsed() >= renew_at:
                    self._clock.align(await self._store.now())
                    await self._renew()
                    renew_at = self._clock.elapsed() + self._options.lease_term * 3 // 10
                await self.take_share()
            except NameTaken as taken:
                self._has_no_name(taken)
            except StoreRewound as rewound:
                self._rewound(rewound)
            except StoreUnavailable as unavailable:
                log.debug("lease_not_renewed", error=str(unavailable))
            if lapsed := [p for p in self._held if not self.holds(p)]:
                log.warning("partitions_lapsed", partitions=lapsed)
                for partition in lapsed:
                    self._drop(partition)

    async def release_all(self) -> None:
        """Give everything up, so that others need not wait for the leases to expire."""
        leases = list(self._held.values())
        for partition in list(self._held):
            self._drop(partition)
        await self._store.release(leases)
        await self._store.deregister(self._options.owner, self._options.instance)

    async def _take(self, partition: int) -> None:
        asked_at = self._clock.elapsed()
        lease = await self._store.acquire(partition, self._options.owner, self._options.lease_term)
        if lease is None:
            return
        self._clock.align(await self._store.now())
        resume = await self.tenant.taken(lease)
        self._hold(lease, asked_at)
        self._shares.taken(partition, len(self._held), self._clock.elapsed())
        resume()  # In one breath with holding it, so that nothing gets in before what was in flight.

    async def _give_up(self, partitions: Sequence[int]) -> None:
        # One may have been lost while its answers were waited for.
        leases = [self._held[p] for p in partitions if p in self._held]
        for lease in leases:
            self._drop(lease.partition)
        await self._store.release(leases)

    async def _renew(self) -> None:
        held = list(self._held.values())
        asked_at = self._clock.elapsed()
        renewed = await self._store.renew(held, self._options.lease_term)
        for old, new in zip(held, renewed, strict=True):
            if self._held.get(old.partition) is not old:
                continue  # Fenced meanwhile.
            if new is None:
                self.fenced(old.partition)
            else:
                self._hold(new, asked_at)

    def _has_name(self) -> None:
        if self.refused:
            self.refused = ""
            log.warning("name_free_again", name=self._options.owner)

    def _has_no_name(self, taken: NameTaken) -> None:
        """Two of one name would take each other's partitions from each other, for ever: this one stands back."""
        if not self.refused:
            self.refused = (
                f"another coordinator is at work under the name {self._options.owner!r}: give each a name of its own"
                " (coordinator.name)"
            )
            log.critical("name_taken", name=self._options.owner, error=self.refused, **taken.fields)
        for partition in list(self._held):
            self._drop(partition)

    def _rewound(self, rewound: StoreRewound) -> None:
        """Nothing that memory says of the partitions held is to be relied on, nor their leases: all are taken anew."""
        held = list(self._held)
        for partition in held:
            self._drop(partition)
        self.tenant.rewound(str(rewound), held)
        self._again.set()

    def _hold(self, lease: Lease, asked_at: Span) -> None:
        self._held[lease.partition] = lease
        self._good_until[lease.partition] = asked_at + self._options.lease_term * 2 // 3

    def _drop(self, partition: int) -> None:
        self._held.pop(partition, None)
        self._good_until.pop(partition, None)
        self.tenant.lost(partition)
