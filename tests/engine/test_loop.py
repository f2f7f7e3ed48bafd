"""The loop: folding, commits whose outcome is unknown, fences, conflicts, quarantine, restarts, the working set."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from swit_saga_server.core import machine
from swit_saga_server.core.errors import (
    CoordinatorUnavailable,
    SagaAlreadyExists,
    SagaNotFound,
    SagaQuarantined,
    StoreUnavailable,
    UnstorableValue,
)
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import is_in_flight
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.core.units import MICROSECOND, SECOND
from swit_saga_server.engine import deciding
from swit_saga_server.engine.options import CacheOptions, CachePolicy, EngineOptions
from swit_saga_server.store.contract import Write
from tests.support.core.drive import chain, done, lost, no
from tests.support.engine.harness import Bench, FaultyStore, bench, over
from tests.support.waiting import never, turn


async def test_an_n_step_saga_costs_n_plus_1_writes(tmp_path):
    async with bench(tmp_path) as b:
        saga, created = await b.begin("s")
        assert created
        assert saga.state is SagaState.RUNNING
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), done())
        assert (await b.until("s", over)).state is SagaState.COMPLETED
        assert sum(len(r) for r in b.store.rounds) == 3
        await b.check("s")


async def test_a_rejected_saga_is_compensated(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), no())
        undo = await b.transport.next(2)
        assert (undo.kind, undo.execute_key) == (Kind.COMPENSATE, "s/a")
        b.answer(undo, done())
        assert (await b.until("s", over)).state is SagaState.COMPENSATED
        await b.check("s")


async def test_inputs_of_one_saga_in_one_round_are_one_write(tmp_path):
    """They fold on the base version, and the superseded command is never sent."""
    async with bench(tmp_path) as b:
        b.definition = chain("a", "b", timeout=60 * SECOND)
        await b.begin("s")
        first = await b.transport.next(0)
        b.answer(first, lost())
        retry = await b.transport.next(1)
        b.store.open_gate.clear()
        other = asyncio.create_task(b.begin("other"))  # Keeps the committer busy.
        await b.store.round_begun(4)
        b.answer(retry, lost(retryable=False))  # Gives the step up ...
        b.engine.deliver(
            "s", replace_answer(first, done())
        )  # ... and then the first attempt's success comes after all.
        await turn()
        b.store.open_gate.set()
        await other
        saga = await b.until("s", lambda s: s.stop_cause is not None)
        (write,) = [w for r in b.store.rounds for w in r if w.saga.id == "s" and w.base_version == 4]
        assert (write.saga.version, saga.version >= 6) == (6, True), "two transitions, one write"
        await b.check("s")


def replace_answer(command, answer):

    return command.answered(answer)


@pytest.mark.parametrize("lost_at", ["lose_before", "lose_after"])
async def test_a_commit_without_a_verdict_is_made_again_unchanged(tmp_path, lost_at):
    """Invariants 4 and 6: no effect and no acknowledgement before there is a verdict; the write happens once."""
    async with bench(tmp_path) as b:
        setattr(b.store, lost_at, 3)
        saga, created = await b.begin("s")
        assert created
        assert saga.version == 2
        first, *again = b.store.rounds
        assert len(again) == 3
        assert all([w.commit_id for w in r] == [w.commit_id for w in first] for r in again)
        setattr(b.store, lost_at, 1)
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), done())
        await b.until("s", over)
        assert [c.command_id for c in b.transport.sent] == ["s/0/execute/1.1.1", "s/1/execute/1.1.1"]
        await b.check("s")


async def test_only_what_was_not_answered_is_withdrawn(tmp_path):
    """Its transport has forgotten what it answered; another attempt that is out and matters no more is called off."""
    async with bench(tmp_path) as b:
        await b.begin("s")
        b.answer(await b.transport.next(0), lost())
        again = await b.transport.next(1)
        assert (again.attempt, b.transport.cancelled) == (2, [])
        b.answer(await b.transport.next(0), done())  # The first attempt's, late.
        b.answer(await b.command("b"), done())
        await b.until("s", over)
        assert b.transport.cancelled == [again.command_id]


async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path):
    """Invariant 1."""
    async with bench(tmp_path) as b:
        await b.begin("warm-up")
        b.store.open_gate.clear()
        start = asyncio.create_task(b.begin("s"))
        _, pending = await asyncio.wait([start], timeout=0.1)
        assert pending
        with pytest.raises(SagaNotFound):
            await b.engine.get("s")
        b.store.open_gate.set()
        await start


async def test_a_fenced_engine_changes_nothing_and_takes_up_the_saga_again(tmp_path):
    """Invariant 5."""
    async with bench(tmp_path) as b:
        await b.begin("s")
        command = await b.transport.next(0)
        usurped = await b.store.acquire(0, "test", 10 * SECOND)
        assert usurped is not None
        b.answer(command, lost())
        again = await b.transport.next(1)
        assert (again.step_id, again.attempt, again.resends) == ("a", 1, 1)
        assert again.epoch > usurped.epoch > command.epoch
        b.answer(again, done())
        b.answer(await b.transport.next(2), done())
        await b.until("s", over)
        await b.check("s")


async def test_a_certain_answer_that_met_a_fence_is_sent_on_to_the_holder(tmp_path):
    """A result of any attempt counts while the step is open, whoever holds the saga meanwhile."""
    async with bench(tmp_path) as b:
        await b.begin("s")
        command = await b.transport.next(0)
        assert await b.store.acquire(0, "test", 10 * SECOND)
        b.answer(command, done())
        await b.until("s", lambda s: s.steps[0].status is StepStatus.COMPLETED)
        b.answer(await b.command("b"), done())
        await b.until("s", over)
        await b.check("s")


async def test_a_start_meets_a_fence(tmp_path):
    """It goes through the store, where whoever holds the partition finds it."""
    async with bench(tmp_path) as b:
        assert await b.store.acquire(0, "test", 10 * SECOND)
        _, created = await b.begin("s")
        assert created
        b.answer(await b.command("a"), done())
        b.answer(await b.command("b"), done())
        await b.until("s", over)
        await b.check("s")


async def test_a_conflict_makes_the_store_the_truth(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        command = await b.transport.next(0)
        held = await b.engine.get("s")
        changed = replace(held, version=held.version + 1, stop_reason="changed behind its back")
        write = Write(
            saga=changed, base_version=held.version, commit_id="x", changed_steps=(), events=(),
            due_at=held.deadline, in_flight=True,
        )  # fmt: skip
        await b.store.commit([write], b.engine.ownership.leases)
        b.answer(command, done())
        b.answer(await b.transport.next(1), done())
        saga = await b.until("s", over)
        assert saga.stop_reason == "changed behind its back"
        assert saga.version == changed.version + 2
        await b.check("s")


async def test_an_exception_in_decide_parks_that_saga_alone(tmp_path, monkeypatch):
    async with bench(tmp_path) as b:
        await b.begin("bad")
        await b.begin("good")
        bad, good = await b.transport.next(0), await b.transport.next(1)
        real = machine.decide

        def broken(saga, *rest):
            if saga.id == "bad":
                raise ZeroDivisionError("planted")
            return real(saga, *rest)

        monkeypatch.setattr(deciding, "decide", broken)
        b.answer(bad, done())
        b.answer(good, done())
        b.answer(await b.transport.next(2), done())
        assert (await b.until("good", over)).state is SagaState.COMPLETED
        quarantined = await b.until("bad", lambda s: s.quarantined > 0)
        assert quarantined.state is SagaState.RUNNING
        with pytest.raises(SagaQuarantined):
            await b.cancel("bad", "")
        events = await b.store.events("bad", 0, 100)
        assert events[-1].type == "saga.stuck"
        assert "planted" in events[-1].error.message  # type: ignore[union-attr]
        monkeypatch.setattr(deciding, "decide", real)
        b.answer(bad, done())
        b.answer(await b.transport.next(3), done())
        assert (await b.until("bad", over)).state is SagaState.COMPLETED


async def test_a_write_the_store_cannot_take_does_not_hold_up_the_others(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("warm-up")
        b.store.open_gate.clear()
        blocker = asyncio.create_task(b.begin("blocker"))
        await b.store.round_begun(2)
        good = asyncio.create_task(b.begin("good"))
        bad_saga = replace(b.saga("bad"), metadata={"not": object()})
        bad = asyncio.create_task(b.start(bad_saga, b.definition))
        await never(lambda: good.done() or bad.done())
        b.store.open_gate.set()
        await blocker
        assert (await good)[1]
        with pytest.raises(UnstorableValue):
            await bad


class TestDuplicateStarts:
    async def test_same_request_same_saga(self, tmp_path):
        """Invariant 13."""
        async with bench(tmp_path) as b:
            answers = await asyncio.gather(*(b.begin("s") for _ in range(10)))
            assert sorted(created for _, created in answers) == [False] * 9 + [True]
            assert len(b.transport.sent) == 1

    async def test_different_request_is_refused(self, tmp_path):
        async with bench(tmp_path) as b:
            await b.begin("s")
            with pytest.raises(SagaAlreadyExists):
                await b.begin("s", fingerprint="other")

    async def test_of_a_saga_no_longer_in_memory(self, tmp_path):
        async with bench(tmp_path, cache=CacheOptions(enabled=False)) as b:
            await b.begin("s")
            _, created = await b.begin("s")
            assert not created
            with pytest.raises(SagaAlreadyExists):
                await b.begin("s", fingerprint="other")


class TestRestart:
    async def test_in_flight_steps_are_sent_again(self, tmp_path):
        async with bench(tmp_path) as b:
            await b.begin("s")
            b.answer(await b.transport.next(0), done())
            await b.transport.next(1)
        async with bench(tmp_path) as b:
            b.store.durable = {s.id: s for s in await b.store.load(["s"]) if s}
            again = await b.transport.next(0)
            assert (again.step_id, again.attempt, again.resends) == ("b", 1, 1)
            b.answer(again, done())
            assert (await b.until("s", over)).state is SagaState.COMPLETED
            await b.check("s")

    async def test_backoff_goes_on_and_counters_survive(self, tmp_path):
        """Invariants 14 and 18."""
        async with bench(tmp_path) as b:
            await b.begin("s")
            b.answer(await b.transport.next(0), lost())
            await b.until("s", lambda s: not is_in_flight(s))
        async with bench(tmp_path) as b:
            b.store.durable = {s.id: s for s in await b.store.load(["s"]) if s}
            retry = await b.transport.next(0)
            assert (retry.attempt, retry.resends) in {(2, 0), (2, 1)}
            b.answer(retry, done())
            b.answer(await b.transport.next(1), done())
            await b.until("s", over)
            await b.check("s")

    async def test_a_pending_saga_is_set_going(self, tmp_path):
        """Invariant 14 holds for pending sagas, too."""
        async with bench(tmp_path) as b:
            saga = b.saga("s")
            await b.store.create(
                Write(
                    saga=saga,
                    base_version=0,
                    definition=b.definition,
                    commit_id="c",
                    changed_steps=(0, 1),
                    events=(),
                    due_at=saga.created_at,
                    in_flight=False,
                )
            )
        async with bench(tmp_path) as b:
            b.answer(await b.transport.next(0), done())
            b.answer(await b.transport.next(1), done())
            assert (await b.until("s", over)).state is SagaState.COMPLETED


@pytest.mark.parametrize(
    "cache",
    [
        CacheOptions(enabled=False),
        CacheOptions(ttl=MICROSECOND),
        *(CacheOptions(max_size=1, policy=p) for p in CachePolicy),
    ],
    ids=str,
)
async def test_eviction_loses_nothing(tmp_path, cache):
    async with bench(tmp_path, cache=cache) as b:
        await asyncio.gather(*(b.begin(f"s{i}") for i in range(5)))
        for n in range(5):
            b.answer(await b.transport.next(n), lost() if n % 2 else done())
        for n in range(5, 10):
            b.answer(await b.transport.next(n), done())
        for n in range(10, 12):
            b.answer(await b.transport.next(n), done())
        for i in range(5):
            assert (await b.until(f"s{i}", over)).state is SagaState.COMPLETED
            await b.check(f"s{i}")
        assert len(b.engine.context.working_set) <= 1


async def test_cancel_is_durable_and_idempotent(tmp_path):
    async with bench(tmp_path) as b:
        await b.begin("s")
        first = await b.cancel("s", "enough")
        assert (first.state, first.stop_reason) == (SagaState.COMPENSATING, "enough")
        assert (await b.cancel("s", "again")).version == first.version
        b.answer(await b.transport.next(0), done())
        b.answer(await b.transport.next(1), done())
        assert (await b.until("s", over)).state is SagaState.CANCELLED
        assert (await b.cancel("s", "late")).state is SagaState.CANCELLED


async def test_cancel_of_what_is_not_there(tmp_path):
    async with bench(tmp_path) as b:
        with pytest.raises(SagaNotFound):
            await b.cancel("nope", "")


async def test_stop_can_be_called_twice_and_refuses_what_is_new(tmp_path):
    async with bench(tmp_path) as b:
        b.engine.stop_accepting()
        with pytest.raises(CoordinatorUnavailable):
            await b.begin("s")
        await b.engine.stop(0.0)
        await b.engine.stop(0.0)


async def test_stopping_ends_even_if_a_cancellation_is_swallowed(tmp_path):
    """As redis-py does when it meets a time-out of its own."""
    async with bench(tmp_path, inbox_poll=SECOND // 100) as b:
        reading, swallowed = asyncio.Event(), 0

        async def inbox(partition: int, limit: int) -> Any:
            nonlocal swallowed
            reading.set()
            while swallowed < 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    swallowed += 1
            await asyncio.Event().wait()
            return []

        b.store.inbox = inbox  # type: ignore[method-assign]
        await reading.wait()
        async with asyncio.timeout(5):
            await b.engine.stop(0.0)
    assert swallowed == 2


async def test_an_engine_whose_store_is_away_at_start_leaves_no_task_behind(tmp_path, monkeypatch):
    store = FaultyStore(tmp_path / "saga.db")
    await store.open()
    b = Bench(store, EngineOptions(owner="test"))

    async def away(*given: object) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "heartbeat", away)
    before = asyncio.all_tasks()
    with pytest.raises(StoreUnavailable):
        await b.engine.start()
    assert asyncio.all_tasks() == before
    await b.engine.stop(0.0)
    await store.close()
