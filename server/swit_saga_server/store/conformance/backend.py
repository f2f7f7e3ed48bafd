"""What the suite asks of a backend, and the fixtures made from it."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from swit_saga_server.core.units import Span
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.contract import Lease, StateStorage


class Backend(Protocol):
    """One set of data, empty at first, and handles on it.

    Attributes:
        time_is_free: ``pass_time`` turns a fake clock, so that minutes may pass in a test.
        is_shared: Several processes may have the store open; leases outlive a restart.
    """

    time_is_free: bool
    is_shared: bool

    def handle(self, codec: Codec = PRESENT) -> StateStorage:
        """Another store object on the same data, not opened. At most one is open at a time.

        Args:
            codec: Of the version that the store is to be.
        """
        ...

    async def pass_time(self, span: Span) -> None:
        """Return when the store's clock has moved on by ``span``: by turning a fake clock, or by waiting."""
        ...


class WithStore:
    """Fixtures: an open store, and the leases of all its partitions."""

    @pytest.fixture
    async def store(self, backend: Backend) -> AsyncIterator[StateStorage]:
        """Open; closed at the end, whatever the test did with it."""
        store = backend.handle()
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    async def leases(self, store: StateStorage) -> dict[int, Lease]:
        """All partitions, held by ``me``."""
        return await hold_all(store, "me")


TERM = Span(300_000)
"""Of leases whose end a test waits for: short, because a backend may have to wait in earnest."""
LONG: Span = 200 * TERM
"""Of all others: no machine is so busy that they end within a test."""


async def hold_all(store: StateStorage, owner: str, term: Span = LONG) -> dict[int, Lease]:
    """Acquire every partition."""
    found = {}
    for partition in range(store.partitions):
        lease = await store.acquire(partition, owner, term)
        assert lease is not None
        found[partition] = lease
    return found


async def reopen(backend: Backend, store: StateStorage) -> StateStorage:
    """A restart: close, then open another handle. The caller closes that one."""
    await store.close()
    again = backend.handle()
    await again.open()
    return again
