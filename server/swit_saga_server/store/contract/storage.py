"""The whole contract: every port, and what concerns them all."""

from typing import Protocol, runtime_checkable

from swit_saga_server.store.contract.definitions import Definitions
from swit_saga_server.store.contract.hints import Hints
from swit_saga_server.store.contract.inbox import Inbox
from swit_saga_server.store.contract.leases import Leases
from swit_saga_server.store.contract.listing import Listing
from swit_saga_server.store.contract.reading import Reading
from swit_saga_server.store.contract.retention import Retention
from swit_saga_server.store.contract.rounds import Rounds


@runtime_checkable
class StateStorage(Leases, Rounds, Inbox, Reading, Listing, Retention, Definitions, Hints, Protocol):
    """Durable state of all sagas.

    Every method may raise ``StoreUnavailable``: a read then read nothing; of a write it is unknown whether it
    happened, and calling again with the same arguments is safe. Methods may be called concurrently.
    """

    @property
    def partitions(self) -> int:
        """Number of partitions, fixed when the store was first set up. Valid after ``open``."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong with the store now, as far as it is known, in words; empty if nothing is. It need not wait for
        a call to fail: a store may try by itself whether it still takes what it will be asked.
        """
        ...

    async def open(self) -> None:
        """Connect and set up what is missing.

        A store that only one process can have open lets all leases expire: the former holders are gone.

        Raises:
            StoreRefused: The store is held by another process and takes only one, or its schema is not
                one that this version can read or take forward.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. Safe to call twice, and before ``open``. Leases are not released by this."""
        ...
