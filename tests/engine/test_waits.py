"""Waits without a task each: told once, from what is applied, whoever drives the saga, and in time."""

import gc
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from swit_saga_server.core.errors import CoordinatorStopping, SagaNotFound, StoreUnavailable
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.engine import waits
from swit_saga_server.engine.waits import Wait
from swit_saga_server.store.sqlite import SqliteStore
from tests.engine.test_many import saga_of, two
from tests.support.core.drive import done, no
from tests.support.engine.harness import Bench, bench
from tests.support.waiting import eventually

LONG_S = 60.0


def wait(b: Bench, saga_id: str, *states: SagaState, timeout_s: float = LONG_S) -> tuple[Wait, list[Any]]:
    """A wait, and what it was told."""
    told: list[Any] = []
    return b.engine.waits.add(saga_id, frozenset(states), timeout_s, told.append), told


@pytest.fixture
def reads(monkeypatch) -> list[Sequence[str]]:
    """The ids of every read of sagas from the store."""
    found: list[Sequence[str]] = []
    load = SqliteStore.load

    async def counting(self: SqliteStore, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        found.append(saga_ids)
        return await load(self, saga_ids)

    monkeypatch.setattr(SqliteStore, "load", counting)
    return found


async def test_told_once_of_what_is_applied_and_nothing_is_read(tmp_path, reads):
    async with bench(tmp_path) as b:
        await b.begin("s")
        (_, outcome), (_, turn), (_, another) = (
            wait(b, "s"), wait(b, "s", SagaState.COMPENSATING), wait(b, "s", SagaState.COMPLETED),
        )  # fmt: skip
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), no())
        await eventually(lambda: turn)
        assert (turn[0][0].state, turn[0][1]) == (SagaState.COMPENSATING, True)
        assert not outcome
        b.answer(await b.transport.next(2), done())
        await eventually(lambda: outcome and another)
        assert outcome == [(b.store.durable["s"], True)]
        assert outcome[0][0].state is SagaState.COMPENSATED
        assert another == [(b.store.durable["s"], False)], "it will never get there"
        assert len(turn) == 1
        assert not reads
        assert not b.engine.feed.watched
        assert len(b.engine.waits) == 0


async def test_nobody_hears_of_what_is_not_durable(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        b.answer(await b.transport.next(0), done())
        last = await b.transport.next(1)
        _, told = wait(b, "s")
        rounds = len(b.store.rounds)
        b.store.open_gate.clear()
        b.answer(last, done())
        await b.store.round_begun(rounds + 1)
        assert not told
        b.store.open_gate.set()
        await eventually(lambda: told)


async def test_told_at_once_of_what_is_at_hand(tmp_path, reads):
    async with bench(tmp_path) as b:
        await b.begin("s")
        await b.transport.next(0)
        _, told = wait(b, "s", SagaState.RUNNING)
        assert [(saga.state, came) for saga, came in told] == [(SagaState.RUNNING, True)]
        _, told = wait(b, "s", timeout_s=0)
        assert [(saga.state, came) for saga, came in told] == [(SagaState.RUNNING, False)]
        assert not reads
        assert not b.engine.feed.watched


def _note(order: list[float], timeout_s: float, outcome: object) -> None:
    order.append(timeout_s)


async def test_time_is_up_for_each_in_its_turn(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        order: list[float] = []
        for timeout_s in (LONG_S, 0.2, 0.05, 0.1):
            b.engine.waits.add("s", frozenset(), timeout_s, partial(_note, order, timeout_s))
        await eventually(lambda: len(order) == 3)
        assert order == [0.05, 0.1, 0.2]
        assert len(b.engine.waits) == 1


async def test_a_withdrawn_wait_is_told_nothing(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        waited, told = wait(b, "s", timeout_s=0.05)
        unread, nothing = wait(b, "nope")
        for gone in (waited, unread, waited):
            gone.cancel()
        _, late = wait(b, "s", timeout_s=0.1)
        await eventually(lambda: late)
        assert not told
        assert not nothing
        assert not b.engine.feed.watched


async def test_no_such_saga(tmp_path):
    async with bench(tmp_path) as b:
        _, told = wait(b, "nope")
        await eventually(lambda: told)
        assert isinstance(told[0], SagaNotFound)
        assert told[0].metadata == {"saga_id": "nope"}


async def test_many_are_read_together_and_each_once(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(waits, "READ_BATCH", 8)
    async with bench(tmp_path) as b:
        found = [wait(b, f"s{n % 10}") for n in range(20)]
        await eventually(lambda: all(told for _, told in found))
    assert [len(ids) for ids in reads] == [8, 2]


async def test_a_store_away_fails_those_who_need_it(tmp_path, monkeypatch):
    load, is_away = SqliteStore.load, False

    async def away(self: SqliteStore, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        if is_away:
            raise StoreUnavailable
        return await load(self, saga_ids)

    monkeypatch.setattr(SqliteStore, "load", away)
    async with bench(tmp_path) as b:
        await b.begin("s")
        _, held = wait(b, "s")
        is_away = True
        found = [wait(b, "other")[1] for _ in range(2)]
        await eventually(lambda: all(found))
        assert all(isinstance(told[0], StoreUnavailable) for told in found)
        b.engine.feed.notify_all()
        assert not held, "its saga is in memory"
        for n in range(2):
            b.answer(await b.transport.next(n), done())
        await eventually(lambda: held)


async def test_one_record_that_cannot_be_read_fails_its_own_waits_only(tmp_path, monkeypatch):
    load = SqliteStore.load

    async def broken(self: SqliteStore, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        if "bad" in saga_ids:
            raise ValueError("bad record")
        return await load(self, saga_ids)

    monkeypatch.setattr(SqliteStore, "load", broken)
    async with bench(tmp_path) as b:
        (_, good), (_, bad) = wait(b, "good"), wait(b, "bad")
        await eventually(lambda: good and bad)
        assert isinstance(good[0], SagaNotFound)
        assert isinstance(bad[0], ValueError)


async def test_anothers_saga_over_a_change_of_holder(tmp_path):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        await other.begin(saga_id)
        (_, turn), (_, outcome) = wait(one, saga_id, SagaState.COMPENSATING), wait(one, saga_id)
        other.answer(await other.transport.next(0), done())
        other.answer(await other.transport.next(1), no())
        await eventually(lambda: turn)
        assert (turn[0][0].state, turn[0][1]) == (SagaState.COMPENSATING, True)
        await other.transport.next(2)
        await other.engine.stop(0.0)
        one.answer(await one.transport.next(0), done())
        await eventually(lambda: outcome)
        assert (outcome[0][0].state, outcome[0][1]) == (SagaState.COMPENSATED, True)


async def test_time_is_up_for_anothers_saga_as_it_then_is(tmp_path, monkeypatch):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        await other.begin(saga_id)
        await other.transport.next(0)
        _, told = wait(one, saga_id, timeout_s=0.2)
        await eventually(lambda: told)
        assert (told[0][0].state, told[0][1]) == (SagaState.RUNNING, False)


async def test_timers_of_waits_that_are_over_do_not_pile_up(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        _, told = wait(b, "s", timeout_s=0.3)
        for _ in range(1_000):
            wait(b, "s")[0].cancel()
        kept = sum(type(found) is Wait for found in gc.get_objects())
        assert kept < 200
        await eventually(lambda: told)


async def test_closed_it_says_so(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        (_, told), (_, unread) = wait(b, "s"), wait(b, "nope")
        b.engine.waits.close()
        b.engine.waits.close()
        _, late = wait(b, "s")
        for found in (told, unread, late):
            assert [type(outcome) for outcome in found] == [CoordinatorStopping]
        assert not b.engine.feed.watched


async def test_one_that_is_told_may_wait_again(tmp_path):
    """Of several readers of one saga, each is told, whatever the others do then."""
    async with bench(tmp_path) as b:
        await b.begin("s")
        again: list[Any] = []

        def told(_: Any) -> None:
            b.engine.waits.add("s", frozenset(), LONG_S, again.append)

        for _ in range(3):
            b.engine.waits.add("s", frozenset({SagaState.COMPENSATING}), LONG_S, told)
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), no())
        await b.transport.next(2)
        assert len(b.engine.waits) == 3
        assert not again
        b.answer(await b.transport.next(2), done())
        await eventually(lambda: len(again) == 3)
        assert not b.engine.feed.watched
