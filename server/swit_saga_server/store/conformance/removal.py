"""``expired`` and ``delete``: what may go, and that it is gone altogether."""

import pytest

from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.conformance.backend import Backend, WithStore, hold_all, reopen
from swit_saga_server.store.conformance.samples import FAR, applied, change, finish, fresh, ids_in, moment, start
from swit_saga_server.store.contract import Lease, SagaFilter, SagaOrder, StateStorage, partition_of

ENDS = (SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.CANCELLED, SagaState.TIMED_OUT, SagaState.FAILED)


async def ended(
    store: StateStorage, leases: dict[int, Lease], state: SagaState, at: Instant, saga_id: str = ""
) -> Saga:
    """A saga that reached ``state`` at ``at``."""
    (saga,) = await applied(store, leases, start(saga_id, labels={"k": "v"}))
    (saga,) = await applied(store, leases, change(saga))
    (saga,) = await applied(store, leases, finish(saga, state, at=at))
    return saga


class RemovalTests(WithStore):
    """Retention, and deletion."""

    async def test_expired_in_order_but_never_failed(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Oldest first, before the time, up to the limit; a failed saga stays in sight (invariant 16)."""
        ids = ids_in(0, store.partitions)
        sagas = [await ended(store, leases, s, moment(100 - n), next(ids)) for n, s in enumerate(ENDS)]
        await applied(store, leases, start(next(ids)))
        expected = [s.id for s in reversed(sagas[:4])]
        assert list(await store.expired(0, moment(1_000), 10)) == expected
        assert list(await store.expired(0, moment(1_000), 2)) == expected[:2]
        assert list(await store.expired(0, moment(99), 10)) == expected[:2]
        for other in range(1, store.partitions):
            assert list(await store.expired(other, moment(1_000), 10)) == []

    @pytest.mark.parametrize("state", ENDS)
    async def test_deleted_is_gone_altogether(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease], state: SagaState
    ) -> None:
        """Saga, events and every index entry, durably; its id can be used again."""
        saga = await ended(store, leases, state, moment(50))
        part = partition_of(saga.id, store.partitions)
        assert await store.delete(saga.id, leases[part])
        store = await reopen(backend, store)
        try:
            assert list(await store.load([saga.id])) == [None]
            assert list(await store.events(saga.id, 0, 10)) == []
            assert list(await store.expired(part, FAR, 10)) == []
            assert list(await store.due(part, FAR, 10)) == []
            assert not any((await store.count()).values())
            for wanted in (SagaFilter(), SagaFilter(labels={"k": "v"}), SagaFilter(states=frozenset({state}))):
                for order in SagaOrder:
                    assert (await store.list_sagas(wanted, order, 10, "")).sagas == ()
            held = await hold_all(store, "me")
            (again,) = await applied(store, held, start(saga.id))
            assert [e.sequence for e in await store.events(saga.id, 0, 10)] == [1]
            assert list(await store.load([saga.id])) == [again]
        finally:
            await store.close()

    async def test_what_may_not_be_deleted(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Not there, not terminal, under a lease that is not current or another partition's: False, and no harm."""
        (running,) = await applied(store, leases, start())
        over = await ended(store, leases, SagaState.COMPLETED, moment(50))
        part = partition_of(over.id, store.partitions)
        good = leases[part]
        assert not await store.delete(running.id, leases[partition_of(running.id, store.partitions)])
        nobody = fresh("nobody")
        assert not await store.delete(nobody, leases[partition_of(nobody, store.partitions)])
        assert not await store.delete(over.id, Lease(part, good.epoch + 1, good.nonce, good.expires_at))
        assert not await store.delete(over.id, Lease(part, good.epoch, "other", good.expires_at))
        for other in leases.values():
            if other.partition != part:
                assert not await store.delete(over.id, other)
        await store.release([good])
        assert not await store.delete(over.id, good)
        assert list(await store.load([running.id, over.id])) == [running, over]

    async def test_feed_goes_on_after_a_deletion(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """No position is used twice, even if the latest one went with its saga."""
        ids = ids_in(0, store.partitions)
        over = await ended(store, leases, SagaState.COMPLETED, moment(50), next(ids))
        end = await store.feed_end(0)
        assert await store.delete(over.id, leases[0])
        await applied(store, leases, start(next(ids)))
        assert [i.event.sequence for i in await store.feed(0, end, 10)] == [1]
