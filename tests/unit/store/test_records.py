"""The specification's nine storage operations, over SQLite in memory."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.errors import CoordinatorUnavailable, IllegalInput, SagaNotFound
from swit_saga_server.core.events import EventType
from swit_saga_server.core.model import Call, Saga, Settings
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.core.table import TRANSITIONS
from swit_saga_server.core.units import MICROSECOND, MINUTE, SECOND, Instant, Span
from swit_saga_server.store.conformance.backend import hold_all
from swit_saga_server.store.conformance.samples import T0, fresh, start, step
from swit_saga_server.store.contract import Lease, SagaFilter, SagaOrder, partition_of
from swit_saga_server.store.records import BATCH, PAGE, SagaRecords
from swit_saga_server.store.sqlite import SqliteStore

S = SagaState
PARTS = 4

_PATHS = {
    S.PENDING: (),
    S.RUNNING: (S.RUNNING,),
    S.STEP_COMPLETED: (S.RUNNING, S.STEP_COMPLETED),
    S.COMPLETED: (S.RUNNING, S.COMPLETED),
    S.COMPENSATING: (S.RUNNING, S.COMPENSATING),
    S.COMPENSATED: (S.RUNNING, S.COMPENSATING, S.COMPENSATED),
    S.FAILED: (S.RUNNING, S.COMPENSATING, S.FAILED),
    S.CANCELLED: (S.RUNNING, S.COMPENSATING, S.CANCELLED),
    S.TIMED_OUT: (S.RUNNING, S.COMPENSATING, S.TIMED_OUT),
}
"""How a saga gets into a state."""


class World:
    """A store, its leases, and a clock that goes on by a second with every look at it."""

    def __init__(self) -> None:
        ticks = itertools.count(T0, SECOND)
        self.store = SqliteStore(":memory:", partitions=PARTS, clock=lambda: Instant(next(ticks)))
        self.leases: dict[int, Lease] = {}
        self.records = SagaRecords(self.store, self.leases)

    async def saga(self, state: SagaState = S.PENDING, **fields: Any) -> Saga:
        """A saga brought into a state."""
        saga = await self.records.save_saga(start(**fields).saga)
        for following in _PATHS[state]:
            saga = await self.records.update_saga_state(saga.id, following)
        return saga


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.store.open()
    made.leases.update(await hold_all(made.store, "me"))
    yield made
    await made.store.close()


async def test_save_and_get_saga(world: World) -> None:
    """Created at version 1, replaced only by one made from what was read; all of it comes back."""
    made = replace(start(labels={"a": "b"}).saga, version=0)
    saved = await world.records.save_saga(made)
    assert saved == replace(made, version=1, last_sequence=0)
    assert await world.records.get_saga(made.id) == saved
    steps = (saved.steps[0], step(1, status=StepStatus.RUNNING), step(2))
    again = await world.records.save_saga(replace(saved, name="renamed", steps=steps))
    assert again == replace(saved, version=2, name="renamed", steps=steps)
    assert await world.records.get_saga(made.id) == again
    with pytest.raises(IllegalInput, match="changed since"):
        await world.records.save_saga(replace(saved, name="stale"))
    assert await world.records.get_saga(made.id) == again
    with pytest.raises(SagaNotFound, match="nobody"):
        await world.records.get_saga("nobody")


async def test_save_saga_cannot_forge_events(world: World) -> None:
    """The stored events stay, whatever the saga handed in says of them."""
    saga = await world.saga(S.RUNNING)
    saved = await world.records.save_saga(replace(saga, last_sequence=99))
    assert saved.last_sequence == 1
    assert len(await world.store.events(saga.id, 0, 10)) == 1


@pytest.mark.parametrize("before", S)
@pytest.mark.parametrize("after", S)
async def test_update_saga_state_keeps_to_the_table(world: World, before: SagaState, after: SagaState) -> None:
    """Invariant 3, every pair; a move is recorded as one event, and a refused one changes nothing."""
    saga = await world.saga(before)
    if after is before:
        same = await world.records.update_saga_state(saga.id, after, {"k": 1})
        assert (same.state, same.metadata, same.last_sequence) == (before, {"k": 1}, saga.last_sequence)
    elif after in TRANSITIONS[before]:
        moved = await world.records.update_saga_state(saga.id, after, {"k": 1})
        assert (moved.state, moved.version) == (after, saga.version + 1)
        assert moved.updated_at > saga.updated_at
        assert bool(moved.completed_at) == after.is_terminal
        assert await world.records.get_saga(saga.id) == moved
        (event,) = await world.store.events(saga.id, saga.last_sequence, 10)
        assert (event.type, event.at) == (EventType.STATE_CHANGED, moved.updated_at)
        assert (event.previous_state, event.new_state) == (before, after)
    else:
        with pytest.raises(IllegalInput, match=f"from {before} to {after}"):
            await world.records.update_saga_state(saga.id, after)
        assert await world.records.get_saga(saga.id) == saga


async def test_update_saga_state_merges_metadata_and_keeps_times(world: World) -> None:
    """Key by key; None leaves it; started once, however often it runs again."""
    saga = await world.saga(metadata={"a": 1, "b": 2})
    running = await world.records.update_saga_state(saga.id, S.RUNNING, {"b": 3, "c": 4})
    assert running.metadata == {"a": 1, "b": 3, "c": 4}
    assert running.started_at == running.updated_at
    await world.records.update_saga_state(saga.id, S.STEP_COMPLETED)
    again = await world.records.update_saga_state(saga.id, S.RUNNING)
    assert (again.metadata, again.started_at) == (running.metadata, running.started_at)
    with pytest.raises(SagaNotFound):
        await world.records.update_saga_state("nobody", S.RUNNING)


@pytest.mark.parametrize("state", S)
async def test_delete_saga(world: World, state: SagaState) -> None:
    """With its events, if it has its outcome; else not at all."""
    saga = await world.saga(state)
    if state.is_terminal:
        await world.records.delete_saga(saga.id)
        assert not await world.store.events(saga.id, 0, 10)
        with pytest.raises(SagaNotFound):
            await world.records.delete_saga(saga.id)
    else:
        with pytest.raises(IllegalInput, match="outcome"):
            await world.records.delete_saga(saga.id)
        assert await world.records.get_saga(saga.id) == saga


async def test_get_active_sagas(world: World) -> None:
    """Running, step_completed and compensating ones, pending ones not; filtered further, in any order."""
    sagas = {s: await world.saga(s, labels={"state": s}, at=T0 + n) for n, s in enumerate(S)}
    active = [sagas[s] for s in S if s.is_active]

    async def got(wanted: SagaFilter | None = None, order: SagaOrder = SagaOrder.CREATED_ASC) -> list[Saga]:
        return [saga async for saga in world.records.get_active_sagas(wanted, order)]

    assert await got() == active
    assert await got(order=SagaOrder.CREATED_DESC) == active[::-1]
    assert await got(SagaFilter(states=frozenset({S.RUNNING, S.PENDING}))) == [sagas[S.RUNNING]]
    assert await got(SagaFilter(states=frozenset({S.PENDING, S.FAILED}))) == []
    assert await got(SagaFilter(labels={"state": S.COMPENSATING})) == [sagas[S.COMPENSATING]]
    assert await got(SagaFilter(labels={"state": S.PENDING})) == []


async def test_get_active_sagas_of_many_pages(world: World) -> None:
    """All of them, once."""
    made = [start(state=S.RUNNING) for _ in range(2 * PAGE + 1)]
    await world.store.commit(made, world.leases)
    got = [saga.id async for saga in world.records.get_active_sagas()]
    assert sorted(got) == sorted(w.saga.id for w in made)
    assert len(got) == len(set(got))


async def test_get_timeout_sagas(world: World) -> None:
    """Those going forward whose deadline lies before the time: by the saga's deadline, not by its next timer."""
    now = T0 + 30 * MINUTE

    async def saga(state: SagaState, timeout: Span, **fields: Any) -> Saga:
        made = start(state=state, settings=Settings(timeout=timeout), **fields).saga
        if state is S.RUNNING:
            # Waits for an answer, and so is due long before its deadline.
            waiting = step(0, status=StepStatus.RUNNING, call=Call(in_flight=True, not_after=T0 + MICROSECOND))
            made = replace(made, steps=(waiting, step(1)))
        return await world.records.save_saga(made)

    late = [await saga(s, 10 * MINUTE) for s in (S.PENDING, S.RUNNING, S.STEP_COMPLETED)]
    await saga(S.RUNNING, 40 * MINUTE)
    await saga(S.STEP_COMPLETED, 30 * MINUTE)  # Exactly at the time is not before it.
    for state in (S.COMPENSATING, S.COMPLETED, S.FAILED, S.TIMED_OUT):
        await saga(state, 10 * MINUTE)
    # Quarantined until after the time, or before it: its due time says nothing of its deadline.
    late += [
        await saga(S.RUNNING, 10 * MINUTE, quarantined=2, quarantined_until=T0 + 60 * MINUTE),
        await saga(S.RUNNING, 10 * MINUTE, quarantined=1, quarantined_until=T0 + 5 * MINUTE),
    ]
    await saga(S.RUNNING, 40 * MINUTE, quarantined=1, quarantined_until=T0 + 5 * MINUTE)
    assert due_at(late[3]) > now > due_at(late[4])
    got = [s.id async for s in world.records.get_timeout_sagas(now)]
    assert sorted(got) == sorted(s.id for s in late)
    assert [s async for s in world.records.get_timeout_sagas(T0)] == []


async def test_save_and_get_step_states(world: World) -> None:
    """One step replaced, the others as they were, in definition order."""
    saga = await world.saga(S.RUNNING, steps=3)
    changed = step(1, status=StepStatus.COMPLETED, completed_at=T0 + 5 * MICROSECOND)
    saved = await world.records.save_step_state(saga.id, changed)
    assert (saved.version, saved.last_sequence) == (saga.version + 1, saga.last_sequence)
    assert await world.records.get_saga(saga.id) == saved
    assert await world.records.get_step_states(saga.id) == (saga.steps[0], changed, saga.steps[2])
    for wrong in (step(3), step(-1), replace(step(1), id="other"), replace(step(0), index=1)):
        with pytest.raises(IllegalInput, match="no step"):
            await world.records.save_step_state(saga.id, wrong)
    for call in (world.records.get_step_states("nobody"), world.records.save_step_state("nobody", step(0))):
        with pytest.raises(SagaNotFound):
            await call


async def test_cleanup_expired_sagas(world: World) -> None:
    """What ended before the time, but not what failed (invariant 16); says how many; safe to call again."""
    sagas = {s: await world.saga(s) for s in S}
    newest = max(s.completed_at for s in sagas.values())
    ended = {S.COMPLETED, S.COMPENSATED, S.CANCELLED, S.TIMED_OUT}
    assert await world.records.cleanup_expired_sagas(newest) == 3
    assert await world.records.cleanup_expired_sagas(newest + MICROSECOND) == 1
    assert await world.records.cleanup_expired_sagas(newest + MICROSECOND) == 0
    left = await world.store.load([s.id for s in sagas.values()])
    assert {s.state for s in left if s is not None} == set(S) - ended


async def test_cleanup_of_more_than_a_batch(world: World) -> None:
    """In batches, to the last one."""
    made = [start(state=S.COMPLETED, completed_at=T0 + MICROSECOND) for _ in range(BATCH + 7 * PARTS)]
    await world.store.commit(made, world.leases)
    assert await world.records.cleanup_expired_sagas(T0 + 2 * MICROSECOND) == len(made)
    assert not any((await world.store.count()).values())


async def test_cleanup_without_the_lease_ends(world: World) -> None:
    """The new holder cleans up; the former deletes nothing and does not try for ever."""
    saga = await world.saga(S.COMPLETED)
    await hold_all(world.store, "me")
    assert await world.records.cleanup_expired_sagas(saga.completed_at + MICROSECOND) == 0
    assert await world.records.get_saga(saga.id) == saga


@pytest.mark.parametrize("how", ["lost", "never held"])
async def test_nothing_is_written_without_the_lease(world: World, how: str) -> None:
    """Fenced as the engine is (invariant 5); reads need no lease."""
    saga = await world.saga(S.COMPLETED)
    part = partition_of(saga.id, PARTS)
    if how == "lost":
        await hold_all(world.store, "me")
    else:
        del world.leases[part]
    new = next(w.saga for _ in range(1_000) if partition_of((w := start(fresh("saga"))).saga.id, PARTS) == part)
    for call in (
        world.records.save_saga(replace(saga, name="x")),
        world.records.save_saga(new),
        world.records.update_saga_state(saga.id, S.COMPLETED, {"k": 1}),
        world.records.save_step_state(saga.id, step(0)),
        world.records.delete_saga(saga.id),
    ):
        with pytest.raises(CoordinatorUnavailable, match="not held"):
            await call
    assert await world.store.load([saga.id, new.id]) == [saga, None]
