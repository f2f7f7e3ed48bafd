"""Coordinators of two versions on one store: what is newer is refused or left alone, and never lost.

The two versions are made up from this one: ``OLDER`` does not have what ``SINCE`` names, ``NEWER`` is this version, for
which it came with level 2.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from swit_saga_server.core.definition import CompensationDefinition
from swit_saga_server.core.errors import NeedsNewerLevel, NewerRecord
from swit_saga_server.core.model import CompensationState, Saga
from swit_saga_server.core.principal import Principal
from swit_saga_server.core.retry import RetryPolicy
from swit_saga_server.core.states import StopCause
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.conformance.backend import LONG, Backend, WithStore, hold_all
from swit_saga_server.store.conformance.samples import FAR, T0, applied, change, definition, finish, start, step
from swit_saga_server.store.contract import (
    Peer,
    SagaFilter,
    SagaOrder,
    StateStorage,
    Verdict,
    partition_of,
)

SINCE: Mapping[str, int] = {
    "StepState.compensation": 2,
    "Saga.quarantined_until": 2,
    "Saga.started_by": 2,
    "StopCause.DEADLINE": 2,
}
OLDER, NEWER = Codec(1, SINCE), Codec(2, SINCE)

_UNDONE = step(1, compensation=CompensationState())
NEW: dict[str, dict[str, Any]] = {
    "a field of a step": {"steps": {1: _UNDONE}},
    "a field of the progress": {"quarantined_until": T0},
    "a field of the origin": {"started_by": Principal("ann")},
    "a member of an enum": {"stop_cause": StopCause.DEADLINE},
}
"""Changes that only the newer one can read."""


@asynccontextmanager
async def opened(backend: Backend, codec: Codec, *others: int) -> AsyncIterator[StateStorage]:
    """A store of a version, which has met others that live."""
    store = backend.handle(codec)
    await store.open()
    try:
        for level in others:
            await store.heartbeat(f"level-{level}", LONG, level)
        await store.heartbeat("me", LONG, codec.level)
        yield store
        for level in others:
            await store.deregister(f"level-{level}")
        await store.deregister("me")
    finally:
        await store.close()


class LevelTests(WithStore):
    """``heartbeat``'s levels, and what follows from them. See ``store.levels``."""

    @pytest.mark.parametrize("what", NEW)
    async def test_newer_is_refused_while_an_older_one_lives(self, backend: Backend, what: str) -> None:
        """Before anything is written; all else goes on; and once the older one is gone, it is taken."""
        async with opened(backend, NEWER, 1, 2) as store:
            leases = await hold_all(store, "me")
            (saga,) = await applied(store, leases, start(stop_cause=StopCause.FAILURE))
            write, other = change(saga, **NEW[what]), start()
            with pytest.raises(NeedsNewerLevel, match="needs level 2"):
                await store.commit([other, write], leases)
            assert await store.load([saga.id, other.saga.id]) == [saga, None]
            with pytest.raises(NeedsNewerLevel):
                await store.create(start(started_by=Principal("ann")))
            (saga,) = await applied(store, leases, change(saga, steps={}))
            write = change(saga, **NEW[what])
            await store.deregister("level-1")
            assert list(await store.heartbeat("me", LONG, 2)) == [Peer("level-2", 2), Peer("me", 2)]
            await applied(store, leases, write, other)
            assert await store.load([saga.id]) == [write.saga]

    async def test_lowest_level_before_the_first_heartbeat(self, backend: Backend) -> None:
        """Nobody knows yet who else is there."""
        store = backend.handle(NEWER)
        await store.open()
        try:
            leases = await hold_all(store, "me")
            (saga,) = await applied(store, leases, start())
            write = change(saga, **NEW["a field of a step"])
            with pytest.raises(NeedsNewerLevel):
                await store.commit([write], leases)
            await store.heartbeat("me", LONG, 2)
            await applied(store, leases, write)
        finally:
            await store.close()

    async def test_definition_is_refused_while_an_older_one_lives(self, backend: Backend) -> None:
        """Registered, or brought by a saga."""
        newer = Codec(2, {"CompensationDefinition.retry_policy": 2})
        it = definition()
        last = replace(it.steps[1], compensation=CompensationDefinition(retry_policy=RetryPolicy()))
        it = replace(it, steps=(it.steps[0], last))
        async with opened(backend, newer, 1) as store:
            with pytest.raises(NeedsNewerLevel):
                await store.register(it, "d1", T0)
            with pytest.raises(NeedsNewerLevel):
                await store.create(replace(start(definition_version=0, definition_digest="i"), definition=it))
            assert await store.definition(it.id, 0, "") is None
            assert await store.definition(it.id, 0, "i") is None

    @pytest.mark.parametrize("what", NEW)
    async def test_older_one_leaves_what_is_newer(self, backend: Backend, what: str) -> None:
        """It says so when it meets it, goes on with all else, and takes nothing away; the newer one finds it whole."""
        async with opened(backend, NEWER) as newer:
            leases = await hold_all(newer, "me")
            (old, new) = await applied(newer, leases, start(), start())
            (new,) = await applied(newer, leases, change(new, **NEW[what]))
            await newer.release(list(leases.values()))
        async with opened(backend, OLDER, 2) as older:
            leases = await hold_all(older, "older")
            with pytest.raises(NewerRecord, match=new.id) as met:
                await older.load([old.id, new.id])
            assert met.value.fields["saga_id"] == new.id
            assert await older.load([old.id]) == [old]
            for order in SagaOrder:
                with pytest.raises(NewerRecord):
                    await older.list_sagas(SagaFilter(), order, 10, "")
            assert sum((await older.count()).values()) == 2
            await self._indexes_know_it(older, new)
            (old,) = await applied(older, leases, change(old))
            assert await older.commit([start(new.id)], leases) == [Verdict.CONFLICT]
            await older.release(list(leases.values()))
        async with opened(backend, NEWER, 1) as newer:
            assert await newer.load([old.id, new.id]) == [old, new]
            # What was written is there; what it takes to go on from it need not be newer.
            leases = await hold_all(newer, "me")
            (new,) = await applied(newer, leases, finish(new, steps={}, **_without(what)))
            assert await newer.load([new.id]) == [new]

    async def _indexes_know_it(self, store: StateStorage, saga: Saga) -> None:
        part = partition_of(saga.id, store.partitions)
        assert saga.id in [d.saga_id for d in await store.due(part, FAR, 10)]
        assert saga.id in await store.in_flight(part, "", 10)
        assert len(await store.events(saga.id, 0, 10)) == 2


def _without(what: str) -> dict[str, Any]:
    """What a change must set so that it writes nothing that is newer."""
    if what == "a field of the progress":
        return {"quarantined_until": 0}
    return {"stop_cause": StopCause.FAILURE} if what == "a member of an enum" else {}
