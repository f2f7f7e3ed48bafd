"""Several rounds with the store at once: full ones beside each other, never two of one saga."""

import asyncio
from typing import Any

import pytest

from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable
from swit_saga_server.core.states import SagaState
from tests.support.core.drive import done
from tests.support.engine.harness import Bench, bench, over
from tests.support.waiting import eventually, never


def begin(b: Bench, *saga_ids: str) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(b.begin(saga_id)) for saga_id in saga_ids]


async def test_full_rounds_are_committed_beside_each_other_as_many_as_may(tmp_path):
    async with bench(tmp_path, round_size=2, rounds=3) as b:
        b.store.open_gate.clear()
        first = begin(b, "first")
        await b.store.round_begun(1)
        others = begin(b, *(f"s{n}" for n in range(10)))
        await b.store.round_begun(3)
        await never(lambda: len(b.store.rounds) > 3)
        assert [len(r) for r in b.store.rounds] == [1, 2, 2], "the first at once, then full ones, then no more"
        b.store.open_gate.set()
        assert all(created for _, created in await asyncio.gather(*first, *others))
        assert sorted(w.saga.id for r in b.store.rounds for w in r) == sorted(["first", *(f"s{n}" for n in range(10))])


async def test_a_round_that_is_not_full_waits_for_the_others(tmp_path):
    async with bench(tmp_path, round_size=3, rounds=4) as b:
        b.store.open_gate.clear()
        first = begin(b, "first")
        await b.store.round_begun(1)
        others = begin(b, "a", "b")
        await never(lambda: len(b.store.rounds) > 1)
        others += begin(b, "c")
        await b.store.round_begun(2)
        assert [w.saga.id for w in b.store.rounds[1]] == ["a", "b", "c"]
        b.store.open_gate.set()
        await asyncio.gather(*first, *others)


async def test_a_saga_is_in_one_round_at_a_time(tmp_path):
    async with bench(tmp_path, round_size=1, rounds=4) as b:
        await b.begin("s")
        b.store.open_gate.clear()
        b.answer(await b.transport.next(0), done())
        await b.store.round_begun(2)
        cancelled = asyncio.create_task(b.cancel("s", "changed my mind"))
        (other,) = begin(b, "other")
        await b.store.round_begun(3)
        assert [[w.saga.id for w in r] for r in b.store.rounds] == [["s"], ["s"], ["other"]]
        b.store.open_gate.set()
        assert (await cancelled).state is SagaState.COMPENSATING
        await other
        of_s = [w for r in b.store.rounds for w in r if w.saga.id == "s"]
        assert [w.base_version for w in of_s[1:]] == [w.saga.version for w in of_s[:-1]]


@pytest.mark.parametrize("lost_at", ["lose_before", "lose_after"])
async def test_a_round_without_a_verdict_does_not_hold_up_the_others(tmp_path, lost_at):
    async with bench(tmp_path, round_size=1, rounds=3) as b:
        setattr(b.store, lost_at, 1)
        sagas = begin(b, "x", "y", "z")
        assert all(created for _, created in await asyncio.gather(*sagas))
        commits = [w.commit_id for r in b.store.rounds for w in r]
        assert len(commits) == 4
        assert len(set(commits)) == 3, "the lost one was made again, unchanged"


async def test_all_rounds_are_let_through_when_it_stops(tmp_path):
    async with bench(tmp_path, round_size=1, rounds=3) as b:
        b.store.open_gate.clear()
        sagas = begin(b, "x", "y", "z", "late")
        await b.store.round_begun(3)
        stopping = asyncio.create_task(b.engine.stop(0.0))
        await never(stopping.done)
        b.store.open_gate.set()
        await stopping
        *through, late = sagas
        assert all(created for _, created in await asyncio.gather(*through))
        with pytest.raises((CoordinatorStopping, CoordinatorUnavailable)):
            await late
        assert [s is not None for s in await b.store.load(["x", "y", "z", "late"])] == [True] * 3 + [False]


async def test_many_sagas_through_many_small_rounds(tmp_path):
    async with bench(tmp_path, round_size=2, rounds=3) as b:
        begun = begin(b, *(f"s{n}" for n in range(40)))
        number = 0
        while number < 80:
            b.answer(await b.transport.next(number), done())
            number += 1
        await asyncio.gather(*begun)
        for n in range(40):
            assert (await b.until(f"s{n}", over)).state is SagaState.COMPLETED
            await b.check(f"s{n}")
        await eventually(lambda: b.engine.is_quiet)
        assert sum(len(r) for r in b.store.rounds) == 40 * 3
