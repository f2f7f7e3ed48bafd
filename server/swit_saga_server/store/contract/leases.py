"""Leases: who may write a partition, and who else is there."""

from collections.abc import Sequence
from typing import Protocol

from swit_saga_server.core.record import record
from swit_saga_server.core.units import Instant, Span


@record(frozen=True, slots=True)
class Lease:
    """The right to write one partition.

    Attributes:
        partition: Which.
        epoch: Grows with every change of holder and is never used twice: ``max(old + 1, store time in ms)``, so that
            a store rewound to an older state cannot repeat one either.
        nonce: Random per acquisition; tells two holders apart even if an epoch were ever repeated.
        expires_at: When another coordinator may take it, unless renewed. Only liveness: a commit never looks at it.
    """

    partition: int
    epoch: int
    nonce: str
    expires_at: Instant


@record(frozen=True, slots=True)
class Peer:
    """A coordinator that is said to live.

    Attributes:
        owner: Its name, as in leases.
        level: Which level of records, inbox messages and scripts it reads (``store.levels``).
    """

    owner: str
    level: int


class Leases(Protocol):
    """The right to write, partition by partition, by the store's clock."""

    async def now(self) -> Instant:
        """The store's clock."""
        ...

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """Take the partition if nobody holds it, its lease has expired, or ``owner`` held it already.

        Always a *new* lease with a higher epoch and a fresh nonce: a former life of the same owner is fenced.

        Returns:
            The lease, valid for ``term`` from now; None while somebody else's is valid.
        """
        ...

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """Extend each lease to ``term`` from now; None for those whose epoch or nonce is no longer current.

        A lease that expired but was not taken by anyone else is renewed.
        """
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give the partitions up at once, so that others need not wait. Those no longer held are passed over.

        What is still committed under a released lease is fenced.
        """
        ...

    async def heartbeat(self, owner: str, term: Span, level: int, instance: str = "") -> Sequence[Peer]:
        """Say that ``owner`` lives, until ``term`` from now, and which level of records it reads.

        Returns:
            All that are said to live, sorted by owner, ``owner`` among them: for sharing partitions out evenly. One
            whose level is not known counts as level 1. From now on this store writes what the lowest of them reads
            (``levels``); before its first heartbeat, what the first release reads.

        Raises:
            NameTaken: With an ``instance``: another one said within its own term that it is ``owner``, and ``holder``
                says which. Nothing was done. A store that only one process can have open never raises it.
            StoreRewound: The store went back behind what it had confirmed since this object's last heartbeat. It lives
                all the same; the next call says nothing of it. A store that cannot go back never raises it.
        """
        ...

    async def deregister(self, owner: str, instance: str = "") -> None:
        """``owner`` lives no more: the others may share its part. Safe to repeat.

        With an ``instance``, only if it is that one which has the name; the name is then free at once.
        """
        ...
