"""Retention: what may go, and its removal."""

from collections.abc import Sequence
from typing import Protocol

from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract.leases import Lease


class Retention(Protocol):
    """Removal of sagas that have their outcome."""

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """Remove a *terminal* saga with its events and index entries, durably.

        Returns:
            False if it is not there, not terminal, not of the lease's partition, or the lease is not current.
        """
        ...

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """Terminal sagas completed before ``older_than``, oldest first; ``failed`` ones never (invariant 16)."""
        ...
