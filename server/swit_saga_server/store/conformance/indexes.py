"""``due``, ``in_flight``, ``events``, ``feed``: what is found without knowing an id, and in which order."""

import pytest

from swit_saga_server.core.errors import CursorOutOfRange
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NEVER
from swit_saga_server.store.conformance.backend import WithStore, hold_all
from swit_saga_server.store.conformance.samples import FAR, T0, applied, change, event, finish, ids_in, moment, start
from swit_saga_server.store.contract import Due, FeedItem, Lease, StateStorage, Verdict, partition_of


class IndexTests(WithStore):
    """Indexes change with the write they belong to."""

    async def test_due_is_in_order_and_bounded(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Earliest first, at or before ``until``, up to the limit, of the partition only."""
        ids = ids_in(0, store.partitions)
        chosen = [next(ids) for _ in range(9)]
        sagas = await applied(store, leases, *(start(i) for i in chosen))
        times = [moment(100 * n) for n in (5, 3, 8, 1, 9, 2, 7, 4, 6)]
        await applied(store, leases, *(change(s, due_at=at) for s, at in zip(sagas, times, strict=True)))
        expected = sorted((at, s.id) for s, at in zip(sagas, times, strict=True))
        assert list(await store.due(0, moment(10_000), 100)) == [Due(i, at) for at, i in expected]
        assert list(await store.due(0, moment(400), 100)) == [Due(i, at) for at, i in expected[:4]]
        assert list(await store.due(0, moment(10_000), 3)) == [Due(i, at) for at, i in expected[:3]]
        for other in range(1, store.partitions):
            assert list(await store.due(other, moment(10_000), 100)) == []

    async def test_due_follows_the_saga(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Replaced by each write, gone with 0 and with the outcome."""
        (saga,) = await applied(store, leases, start())
        part = partition_of(saga.id, store.partitions)
        assert [d.due_at for d in await store.due(part, FAR, 10)] == [T0]
        (saga,) = await applied(store, leases, change(saga, due_at=moment(500)))
        assert list(await store.due(part, moment(499), 10)) == []
        assert list(await store.due(part, moment(500), 10)) == [Due(saga.id, moment(500))]
        (saga,) = await applied(store, leases, change(saga, due_at=NEVER))
        assert list(await store.due(part, FAR, 10)) == []
        (saga,) = await applied(store, leases, change(saga, due_at=moment(900)))
        await applied(store, leases, finish(saga))
        assert list(await store.due(part, FAR, 10)) == []

    async def test_in_flight_is_paged_by_id(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """In id order, only those greater than ``after``; of the partition only."""
        ids = ids_in(0, store.partitions)
        chosen = [next(ids) for _ in range(7)]
        sagas = await applied(store, leases, *(start(i) for i in reversed(chosen)))
        assert list(await store.in_flight(0, "", 100)) == []
        await applied(store, leases, *(change(s) for s in sagas))
        assert list(await store.in_flight(0, "", 100)) == chosen
        assert list(await store.in_flight(0, "", 3)) == chosen[:3]
        assert list(await store.in_flight(0, chosen[2], 3)) == chosen[3:6]
        assert list(await store.in_flight(0, chosen[-1], 3)) == []
        for other in range(1, store.partitions):
            assert list(await store.in_flight(other, "", 100)) == []

    async def test_in_flight_follows_the_saga(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """There while a command may be out, gone when none is."""
        (saga,) = await applied(store, leases, start())
        part = partition_of(saga.id, store.partitions)
        (saga,) = await applied(store, leases, change(saga))
        assert list(await store.in_flight(part, "", 10)) == [saga.id]
        (saga,) = await applied(store, leases, change(saga, in_flight=False))
        assert list(await store.in_flight(part, "", 10)) == []
        (saga,) = await applied(store, leases, change(saga))
        await applied(store, leases, finish(saga))
        assert list(await store.in_flight(part, "", 10)) == []

    async def test_events_after_a_sequence(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """In order, without a gap, over the borders of transitions; nothing of a saga that is not there."""
        (saga,) = await applied(store, leases, start(events=3))
        (saga,) = await applied(store, leases, change(saga, events=0))
        (saga,) = await applied(store, leases, change(saga, events=4))
        await applied(store, leases, finish(saga, events=1))
        every = [event(n, saga.id) for n in range(1, 9)]
        assert list(await store.events(saga.id, 0, 100)) == every
        for after in range(9):
            for limit in (1, 2, 5):
                assert list(await store.events(saga.id, after, limit)) == every[after : after + limit]
        assert list(await store.events(saga.id, 99, 10)) == []
        assert list(await store.events("nobody", 0, 10)) == []

    async def test_feed_is_in_order_of_commit(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Positions grow with every event of the partition; a reader that goes on after each page misses nothing."""
        ids = ids_in(0, store.partitions)
        sagas = await applied(store, leases, *(start(next(ids), events=2) for _ in range(3)))
        for _ in range(3):
            sagas = [(await applied(store, leases, change(s, events=2)))[0] for s in reversed(sagas)]
        every = list(await store.feed(0, 0, 1_000))
        assert [i.position for i in every] == sorted({i.position for i in every})
        assert len(every) == 24
        for saga in sagas:
            assert [i.event for i in every if i.saga_id == saga.id] == [event(n, saga.id) for n in range(1, 9)]
        paged: list[FeedItem] = []
        position = 0
        while page := await store.feed(0, position, 5):
            assert len(page) <= 5
            paged += page
            position = page[-1].position
        assert paged == every
        for other in range(1, store.partitions):
            assert list(await store.feed(other, 0, 10)) == []

    async def test_beyond_the_end_of_the_feed(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A position that the store does not know of is no silence: it was given by a store that went back since."""
        (saga,) = await applied(store, leases, start(events=2))
        part = partition_of(saga.id, store.partitions)
        end = await store.feed_end(part)
        with pytest.raises(CursorOutOfRange) as raised:
            await store.feed(part, end + 1_000, 10)
        assert raised.value.fields["oldest"] >= end
        assert list(await store.feed(part, end, 10)) == []

    async def test_end_of_the_feed(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """What is committed later lies beyond it, and nothing else."""
        (saga,) = await applied(store, leases, start(events=2))
        part = partition_of(saga.id, store.partitions)
        end = await store.feed_end(part)
        assert list(await store.feed(part, end, 10)) == []
        await applied(store, leases, change(saga, events=2))
        assert [i.event.sequence for i in await store.feed(part, end, 10)] == [3, 4]

    async def test_refused_write_leaves_the_indexes(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Fenced or in conflict, nothing of it shows anywhere."""
        (saga,) = await applied(store, leases, start())
        part = partition_of(saga.id, store.partitions)
        due, feed = await store.due(part, FAR, 10), await store.feed(part, 0, 10)
        stale = change(saga, due_at=moment(77))
        await applied(store, leases, change(saga, due_at=T0, in_flight=False, events=0))
        assert await store.commit([stale], leases) == [Verdict.CONFLICT]
        await hold_all(store, "me")
        assert await store.commit([stale], leases) == [Verdict.FENCED]
        assert (await store.due(part, FAR, 10), await store.feed(part, 0, 10)) == (due, feed)
        assert list(await store.in_flight(part, "", 10)) == []
        assert {s: n for s, n in (await store.count()).items() if n} == {SagaState.RUNNING: 1}
