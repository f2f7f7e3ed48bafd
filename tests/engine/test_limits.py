"""The engine under limits: what is too much is refused or waits, what was begun goes on."""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from swit_saga_server.core.errors import CoordinatorOverloaded, SagaAlreadyExists
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import MINUTE, SECOND
from swit_saga_server.engine.options import CacheOptions
from tests.support.core.drive import chain, done, no
from tests.support.engine.harness import Bench, bench, over
from tests.support.waiting import eventually, turn


def offer(b: Bench, saga_id: str) -> list[Any]:
    results: list[Any] = []
    b.engine.offer(b.saga(saga_id), b.definition, results.append)
    return results


def is_over_or_sent(b: Bench, number: int) -> bool:
    return len(b.transport.sent) > number or (b.engine.is_quiet and not b.engine.sagas_waiting)


async def run_all(b: Bench, most: int) -> None:
    """Answer every command, one at a time, and look that never more than ``most`` are open."""
    for number in itertools.count():
        await eventually(partial(is_over_or_sent, b, number))
        if len(b.transport.sent) <= number:
            return
        assert len(b.transport.open) <= most
        b.answer(b.transport.sent[number], done())


@pytest.mark.parametrize("cache", [True, False], ids=["cached", "evicted"])
async def test_no_more_steps_at_a_time_than_may_and_all_get_their_turn(tmp_path, cache):
    async with bench(tmp_path, max_steps=3, cache=CacheOptions(enabled=cache)) as b:
        for n in range(10):
            _, created = await b.begin(f"s{n}")
            assert created
        await eventually(lambda: b.engine.sagas_waiting == 7)
        assert len(b.transport.sent) == 3
        await run_all(b, 3)
        first = [c.saga_id for c in b.transport.sent if c.step_id == "a"]
        assert first == [f"s{n}" for n in range(10)], "in order"
        for n in range(10):
            assert (await b.until(f"s{n}", over)).state is SagaState.COMPLETED
            await b.check(f"s{n}")


async def test_a_step_that_waited_has_all_its_time(tmp_path):
    async with bench(tmp_path, max_steps=1) as b:
        await b.begin("s0")
        await b.begin("s1")
        clock = b.engine.env.clock
        clock.align(clock.now() + SECOND)
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), done())
        waited = await b.transport.next(2)
        assert (waited.saga_id, waited.attempt, waited.resends) == ("s1", 1, 0)
        assert waited.timeout > 4.9 * SECOND


async def test_the_deadline_of_a_saga_that_waits_runs_on(tmp_path):
    async with bench(tmp_path, max_steps=1) as b:
        await b.begin("s0")
        b.definition = chain("a", "b", timeout=SECOND)
        saga = b.saga("s1")
        saga = replace(saga, settings=replace(saga.settings, timeout=SECOND // 5))
        await b.start(saga, b.definition)
        assert (await b.until("s1", over)).state is SagaState.TIMED_OUT
        assert b.engine.sagas_waiting == 0
        assert [c.saga_id for c in b.transport.sent] == ["s0"]


async def test_a_cancel_reaches_a_saga_that_waits(tmp_path):
    async with bench(tmp_path, max_steps=1) as b:
        await b.begin("s0")
        await b.begin("s1")
        assert (await b.cancel("s1", "enough")).state is SagaState.CANCELLED
        assert b.engine.sagas_waiting == 0


async def test_compensations_do_not_wait(tmp_path):
    async with bench(tmp_path, max_steps=1) as b:
        await b.begin("s0")
        b.answer(await b.transport.next(0), done())
        await b.begin("s1")
        b.answer(await b.transport.next(1), no())
        undo = await b.transport.next(2)
        assert (undo.saga_id, undo.kind) == ("s0", Kind.COMPENSATE)
        b.answer(undo, done())
        assert (await b.transport.next(3)).saga_id == "s1"


async def test_who_waits_is_found_by_the_next_life(tmp_path):
    """Nothing of the queue is durable but that its sagas are overdue."""
    async with bench(tmp_path, max_steps=1) as b:
        for n in range(4):
            await b.begin(f"s{n}")
        await b.engine.stop(0.0)
        b.transport.open.clear()
        b.transport.sent.clear()
        b.engine = b.make_engine()
        await b.engine.start()
        await run_all(b, 1)
        for n in range(4):
            assert (await b.until(f"s{n}", over)).state is SagaState.COMPLETED
            await b.check(f"s{n}")


async def test_those_that_wait_do_not_hide_what_else_is_due(tmp_path, monkeypatch):
    monkeypatch.setattr("swit_saga_server.engine.wakeups.PAGE", 3)
    async with bench(tmp_path, max_steps=1, timer_poll=SECOND // 10, cache=CacheOptions(enabled=False)) as b:
        for n in range(8):
            await b.begin(f"s{n}")
        b.definition = chain("a", delay=SECOND // 2)
        await b.begin("late")
        b.engine.wakeups.disarm("late")  # As if it had been due too far ahead to be kept in memory.
        await eventually(lambda: b.engine.sagas_waiting == 8)


async def test_starts_past_the_queue_are_refused_and_those_in_it_are_made(tmp_path):
    async with bench(tmp_path, max_queue=5, round_size=2) as b:
        b.store.open_gate.clear()
        results = []
        refused = 0
        for n in range(20):
            try:
                results.append(offer(b, f"s{n}"))
            except CoordinatorOverloaded:
                refused += 1
                with pytest.raises(CoordinatorOverloaded):
                    await b.begin(f"s{n}")
            await turn()
        assert 5 <= len(results) <= 5 + 2 * 2
        assert refused == 20 - len(results)
        assert b.engine.starts_refused == 2 * refused
        b.store.open_gate.set()
        await eventually(lambda: all(results))
        assert all(created for ((_, created),) in results)
        await b.begin("later")


async def test_what_was_begun_does_not_queue_behind_what_is_new(tmp_path):
    async with bench(tmp_path, round_size=2) as b:
        await b.begin("s")
        b.store.open_gate.clear()
        results = [offer(b, f"t{n}") for n in range(20)]
        await b.store.round_begun(2)
        b.answer(await b.transport.next(0), done())
        await turn()
        b.store.open_gate.set()
        await b.command("b")
        assert sum(map(len, results)) <= 3 * 2, "its result was in the next round but one at the latest"
        await eventually(lambda: all(results))


async def test_callers_that_have_gone_make_room(tmp_path):
    async with bench(tmp_path, max_queue=3, round_size=1, answer_timeout=SECOND // 10) as b:
        b.store.open_gate.clear()
        results: list[list[Any]] = []
        while b.engine.refusal("more") is None:
            results.append(offer(b, f"s{len(results)}"))
            await turn()
        with pytest.raises(CoordinatorOverloaded):
            offer(b, "more")
        await eventually(lambda: all(results))
        offer(b, "another")


async def test_waiting_sagas_fill_the_queue_too(tmp_path):
    async with bench(tmp_path, max_steps=1, max_queue=2) as b:
        for n in range(3):
            await b.begin(f"s{n}")
        with pytest.raises(CoordinatorOverloaded):
            await b.begin("s3")
        await run_all(b, 1)
        await b.begin("s3")


async def test_no_more_sagas_than_may(tmp_path):
    async with bench(tmp_path, max_sagas=2) as b:
        await b.begin("s0")
        await b.begin("s1")
        with pytest.raises(CoordinatorOverloaded):
            await b.begin("s2")
        assert (await b.begin("s1"))[1] is False, "known, so no new one"
        with pytest.raises(SagaAlreadyExists):
            await b.begin("s1", "another")
        b.answer(await b.transport.next(0), done())
        b.answer(await b.command("b"), done())
        await b.until("s0", over)
        await b.begin("s2")
        with pytest.raises(CoordinatorOverloaded):
            await b.begin("s0")


async def test_a_burst_counts_before_it_is_durable(tmp_path):
    async with bench(tmp_path, max_sagas=3) as b:
        b.store.open_gate.clear()
        results = [offer(b, f"s{n}") for n in range(3)]
        with pytest.raises(CoordinatorOverloaded):
            offer(b, "s3")
        b.store.open_gate.set()
        await eventually(lambda: all(results))


async def test_sagas_of_a_former_life_count(tmp_path):
    async with bench(tmp_path, max_sagas=2) as b:
        b.definition = chain("a", delay=10 * MINUTE)
        await b.begin("s0")
        await b.begin("s1")
        await b.engine.stop(0.0)
        b.engine = b.make_engine()
        await b.engine.start()
        with pytest.raises(CoordinatorOverloaded):
            await b.begin("s2")
        await b.cancel("s0", "enough")
        await b.begin("s2")


async def test_a_partition_given_up_takes_its_counts_along(tmp_path):
    async with bench(tmp_path, max_sagas=2, max_steps=1) as b:
        await b.begin("s0")
        await b.begin("s1")
        assert b.engine.sagas_waiting == 1
        b.engine.ownership.fenced(0)
        assert b.engine.sagas_waiting == 0
        assert b.engine.refusal("s9") is None
