"""Leases of the simulated store."""

import random
from collections.abc import Sequence
from dataclasses import replace

from swit_saga_server.core.errors import NameTaken
from swit_saga_server.core.units import NEVER, Instant, Span
from swit_saga_server.store.contract import Lease, Peer
from tests.support.simulation.observed import Leased
from tests.support.simulation.store.data import Memory
from tests.support.simulation.store.hints import SimHints


class SimLeases:
    """``Leases`` in memory."""

    def __init__(self, memory: Memory, hints: SimHints, rng: random.Random) -> None:
        self._memory = memory
        self._hints = hints
        self._rng = rng

    async def now(self) -> Instant:
        return self._memory.clock()

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        now = self._memory.clock()
        old, holder = self._memory.data.leases.get(partition, (Lease(partition, 0, "", NEVER), ""))
        if old.expires_at > now and holder != owner:
            return None
        lease = Lease(partition, max(old.epoch + 1, now // 1000), f"{self._rng.getrandbits(64):016x}", now + term)
        self._memory.data.leases[partition] = (lease, owner)
        self._memory.saw(
            Leased(at=self._memory.true_time(), partition=partition, owner=owner, epoch=lease.epoch, nonce=lease.nonce)
        )
        return lease

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        return [self._renew(lease, term) for lease in leases]

    def _renew(self, lease: Lease, term: Span) -> Lease | None:
        if not self._memory.is_current(lease):
            return None
        renewed = replace(lease, expires_at=self._memory.clock() + term)
        self._memory.data.leases[lease.partition] = (renewed, self._memory.data.leases[lease.partition][1])
        return renewed

    async def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._memory.is_current(lease):
                # Without its nonce, so that what the former holder still sends is fenced.
                self._memory.data.leases[lease.partition] = (replace(lease, nonce="", expires_at=NEVER), "")
            self._hints.give("lease", lease.partition)

    async def heartbeat(self, owner: str, term: Span, level: int, instance: str = "") -> Sequence[Peer]:
        now = self._memory.clock()
        if instance:
            holder, until = self._memory.data.names.get(owner, (instance, now))
            if holder != instance and until > now:
                raise NameTaken(holder=holder)
            self._memory.data.names[owner] = (instance, now + term)
        self._memory.data.living[owner] = now + term, level
        peers = [Peer(o, known) for o, (until, known) in sorted(self._memory.data.living.items()) if until > now]
        self._memory.fleet.met(peers)
        return peers

    async def deregister(self, owner: str, instance: str = "") -> None:
        if instance:
            holder, until = self._memory.data.names.get(owner, (instance, NEVER))
            if holder != instance and until > self._memory.clock():
                return
            self._memory.data.names.pop(owner, None)
        self._memory.data.living.pop(owner, None)
