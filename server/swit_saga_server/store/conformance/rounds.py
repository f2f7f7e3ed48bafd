"""``commit`` and ``create``: what is applied, and that it is all there."""

import asyncio

from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import SagaState
from swit_saga_server.store.conformance.backend import TERM, Backend, WithStore, hold_all, reopen
from swit_saga_server.store.conformance.samples import (
    T0,
    applied,
    change,
    event,
    finish,
    fresh,
    ids_in,
    moment,
    start,
    step,
    undone_step,
)
from swit_saga_server.store.contract import Lease, SagaFilter, SagaOrder, StateStorage, Verdict


class RoundTests(WithStore):
    """Writes that are taken."""

    async def test_created_saga_is_read_whole(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Header, steps and events, every field."""
        write = start(
            steps=3,
            events=2,
            labels={"tenant": "a"},
            metadata={"k": [1, {"x": None}], "f": 1.5, "b": True},
            stop_reason="why",
            source="host",
            service="shop",
        )
        await applied(store, leases, write)
        assert await store.load([write.saga.id]) == [write.saga]
        assert await store.events(write.saga.id, 0, 10) == list(write.events)

    async def test_changed_saga_is_read_whole(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Only the changed steps are written; the others stay."""
        write = start(steps=4)
        await applied(store, leases, write)
        changed = change(
            write.saga,
            steps={1: undone_step(1), 3: step(3, output=None)},
            stop_reason="x",
            state=SagaState.COMPENSATING,
        )
        await applied(store, leases, changed)
        assert await store.load([write.saga.id]) == [changed.saga]

    async def test_origin_and_progress(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """An origin that changes is written, and stays as later writes of progress alone pass over it."""
        error = SagaError(code="E", message="m", type=ErrorType.NETWORK)
        (saga,) = await applied(store, leases, start(error=error, labels={"tenant": "a"}))
        new = change(saga, labels={"tenant": "b"}, metadata={"k": 1}, correlation_id="c", stop_reason="why")
        assert new.changed_origin
        assert await applied(store, leases, new) == await store.load([saga.id])
        later = change(new.saga, error=None, stop_reason="", started_at=moment(3))
        assert not later.changed_origin
        assert await applied(store, leases, later) == await store.load([saga.id])
        for tenant, found in (("a", 0), ("b", 1)):
            wanted = SagaFilter(labels={"tenant": tenant})
            assert len((await store.list_sagas(wanted, SagaOrder.CREATED_ASC, 9, "")).sagas) == found

    async def test_acknowledged_survives_a_restart(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """Durable when it returns (invariant 1); the same lease goes on."""
        sagas = await applied(store, leases, *(start() for _ in range(20)))
        sagas[:10] = await applied(store, leases, *(change(s) for s in sagas[:10]))
        store = await reopen(backend, store)
        try:
            assert await store.load([s.id for s in sagas]) == sagas
            assert await store.events(sagas[0].id, 0, 10) == [event(i, sagas[0].id) for i in (1, 2)]
            await applied(store, leases, change(sagas[0]))
        finally:
            await store.close()

    async def test_nothing_is_applied_for_nothing(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """An empty round has no verdicts."""
        assert list(await store.commit([], leases)) == []

    async def test_several_transitions_in_one_write(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A write may hold several; the next builds on the version after (invariant 4)."""
        (saga,) = await applied(store, leases, start())
        (saga,) = await applied(store, leases, change(saga, transitions=3, events=5))
        assert saga.version == 4
        await applied(store, leases, change(saga))

    async def test_write_without_events(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A transition need not tell anybody."""
        (saga,) = await applied(store, leases, start(events=0))
        (saga,) = await applied(store, leases, change(saga, events=0))
        (saga,) = await applied(store, leases, change(saga, events=1))
        assert [e.sequence for e in await store.events(saga.id, 0, 10)] == [1]
        assert await store.load([saga.id]) == [saga]

    async def test_large_saga(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """1 MiB of payload and 300 steps."""
        data = Payload("application/octet-stream", bytes(range(256)) * 4096)
        (saga,) = await applied(store, leases, start(steps=300, initial_data=data))
        (saga,) = await applied(store, leases, change(saga, steps={299: step(299, output=data)}))
        assert await store.load([saga.id]) == [saga]

    async def test_large_round(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """More sagas than any single script or statement takes."""
        sagas = await applied(store, leases, *(start() for _ in range(1_000)))
        sagas = await applied(store, leases, *(change(s) for s in sagas))
        assert await store.load([s.id for s in sagas]) == sagas

    async def test_strange_ids(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Ids are text; none means anything to the store."""
        names = ["ü/ß 'x' \"y\" {z}:*?[]", "🛒" * 50, "-", "0", "%", "a:b:{c}", fresh() + " "]
        sagas = await applied(store, leases, *(start(name) for name in names))
        assert await store.load(names) == sagas

    async def test_verdict_per_saga(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """In order; other writes of the round do not matter to a write."""
        one, two, three, four = (start() for _ in range(4))
        await applied(store, leases, one, two, three, four)
        repeated, other = change(two.saga), change(three.saga)
        await applied(store, leases, repeated, other)
        new, good, stale, again = start(), change(one.saga), change(three.saga), start(four.saga.id)
        assert await store.commit([new, repeated, stale, good, again], leases) == [
            Verdict.APPLIED,
            Verdict.ALREADY_APPLIED,
            Verdict.CONFLICT,
            Verdict.APPLIED,
            Verdict.CONFLICT,
        ]
        after = [new.saga, good.saga, repeated.saga, other.saga, four.saga]
        assert await store.load([saga.id for saga in after]) == after

    async def test_round_over_partitions(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A round may span all partitions; those whose lease is missing are fenced, the others applied."""
        writes = [start(next(ids_in(p, store.partitions))) for p in range(store.partitions)]
        some = {p: lease for p, lease in leases.items() if p % 2}
        expected = [Verdict.APPLIED if p % 2 else Verdict.FENCED for p in range(store.partitions)]
        assert await store.commit(writes, some) == expected
        found = await store.load([w.saga.id for w in writes])
        assert found == [w.saga if p % 2 else None for p, w in enumerate(writes)]

    async def test_resubmission_is_already_applied(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Nothing changes the second time: no version, no event, no feed item."""
        write = start()
        changed = change(write.saga)
        for w in (write, changed):
            await applied(store, leases, w)
            assert await store.commit([w], leases) == [Verdict.ALREADY_APPLIED]
        assert await store.load([write.saga.id]) == [changed.saga]
        assert len(await store.events(write.saga.id, 0, 10)) == 2
        feed = [i for p in range(store.partitions) for i in await store.feed(p, 0, 10)]
        assert len(feed) == 2

    async def test_resubmission_after_a_takeover_gets_the_truth(
        self, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """The commit id is looked at before the lease; what was *not* applied is fenced."""
        write, lost = start(), start()
        await applied(store, leases, write)
        await hold_all(store, "me")
        assert await store.commit([write, lost], leases) == [Verdict.ALREADY_APPLIED, Verdict.FENCED]
        assert await store.commit([write], {}) == [Verdict.ALREADY_APPLIED]

    async def test_resubmission_after_a_restart(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """The commit id is as durable as the write."""
        write = start()
        await applied(store, leases, write)
        store = await reopen(backend, store)
        try:
            assert await store.commit([write], leases) == [Verdict.ALREADY_APPLIED]
        finally:
            await store.close()

    async def test_commit_does_not_look_at_expiry(self, backend: Backend, store: StateStorage) -> None:
        """A lease that nobody took is good for safety, however late; it is only liveness that it lost."""
        leases = await hold_all(store, "me", TERM)
        await backend.pass_time(3 * TERM)
        await applied(store, leases, start())

    async def test_many_commits_at_once(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Methods may be called concurrently: reads and writes of many callers do not disturb each other."""

        async def live(n: int) -> None:
            (saga,) = await applied(store, leases, start(events=n % 3))
            for _ in range(3):
                (saga,) = await applied(store, leases, change(saga, events=2))
                assert await store.load([saga.id]) == [saga]
            await applied(store, leases, finish(saga))

        async with asyncio.TaskGroup() as group:
            for n in range(40):
                group.create_task(live(n))
        assert dict(await store.count()) == {SagaState.COMPLETED: 40}

    async def test_one_of_many_rivals_wins(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Of writes on the same version exactly one is applied, and the saga is that one."""
        (saga,) = await applied(store, leases, start())
        rivals = [change(saga, stop_reason=str(i), events=2) for i in range(20)]
        verdicts = [v for (v,) in await asyncio.gather(*(store.commit([w], leases) for w in rivals))]
        assert sorted(verdicts) == [Verdict.APPLIED] + [Verdict.CONFLICT] * 19
        assert await store.load([saga.id]) == [rivals[verdicts.index(Verdict.APPLIED)].saga]
        assert [e.sequence for e in await store.events(saga.id, 0, 10)] == [1, 2, 3]

    async def test_cancelled_caller_leaves_all_or_nothing(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Whoever stops waiting does not know; the write is whole or not there, and can be resubmitted."""
        writes = [start(steps=5, events=3) for _ in range(30)]
        tasks = [asyncio.create_task(store.commit([w], leases)) for w in writes]
        for n, task in enumerate(tasks):
            for _ in range(n % 4):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for write in writes:
            assert (await store.commit([write], leases))[0] in (Verdict.APPLIED, Verdict.ALREADY_APPLIED)
            assert await store.load([write.saga.id]) == [write.saga]
            assert await store.events(write.saga.id, 0, 10) == list(write.events)

    async def test_create_needs_no_lease(self, store: StateStorage) -> None:
        """Applied, then already applied; due, so that the owner finds it; a conflict if the saga exists."""
        write = start()
        assert await store.create(write) is Verdict.APPLIED
        assert await store.create(write) is Verdict.ALREADY_APPLIED
        assert await store.create(start(write.saga.id)) is Verdict.CONFLICT
        assert await store.load([write.saga.id]) == [write.saga]
        assert await store.events(write.saga.id, 0, 10) == list(write.events)
        due = [d.saga_id for p in range(store.partitions) for d in await store.due(p, T0, 10)]
        assert due == [write.saga.id]

    async def test_created_saga_is_the_owners(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """The owner builds on it; a create that raced with the owner's own is a conflict."""
        write = start()
        assert await store.create(write) is Verdict.APPLIED
        (saga,) = await applied(store, leases, change(write.saga))
        assert await store.create(start(saga.id)) is Verdict.CONFLICT
        assert await store.load([saga.id]) == [saga]

    async def test_one_create_of_many_wins(self, store: StateStorage) -> None:
        """Starting the same id at many coordinators makes one saga (invariant 13 rests on it)."""
        writes = [start("the-one", stop_reason=str(i)) for i in range(10)]
        verdicts = await asyncio.gather(*(store.create(w) for w in writes))
        assert sorted(verdicts) == [Verdict.APPLIED] + [Verdict.CONFLICT] * 9
        assert await store.load(["the-one"]) == [writes[verdicts.index(Verdict.APPLIED)].saga]
