"""A write that can never be written: its saga alone pays for it, visibly, and nothing is tried over and over."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from swit_saga_server.core.errors import (
    InvalidRequest,
    SagaNotFound,
    SagaQuarantined,
    StoreFault,
    SwitSagaError,
    UnstorableValue,
)
from swit_saga_server.core.events import EventType
from swit_saga_server.core.inputs import Cancel
from swit_saga_server.core.units import SECOND, Instant
from swit_saga_server.engine.messages import open_reply, pack_input
from swit_saga_server.store.codec import PRESENT
from swit_saga_server.store.contract import InboxEntry, SagaFilter, SagaOrder, Verdict, Write
from tests.support.core.drive import done
from tests.support.engine.harness import Bench, FaultyStore, bench, over
from tests.support.logs import logged
from tests.support.waiting import eventually, never

FAILURES = (
    UnstorableValue(message="too large"),
    OverflowError("Python int too large to convert to SQLite INTEGER"),
    UnicodeEncodeError("utf-8", "a\ud800", 1, 2, "surrogates not allowed"),
    RuntimeError("a bug in the store"),
    StoreFault("WRONGTYPE Operation against a key holding the wrong kind of value"),
)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged; printed, a traceback takes seconds."""
    with logged() as found:
        yield found


class Poisoned(FaultyStore):
    """Every write that ``poisoned`` knows fails, always with ``failure``."""

    failure: Exception = FAILURES[0]
    poisoned: set[str] = set()
    may_be_set_aside = True
    failed = 0

    async def commit(self, writes: Sequence[Write], leases: Any) -> Sequence[Verdict]:
        if any(w.saga.id in self.poisoned and not (w.saga.quarantined and self.may_be_set_aside) for w in writes):
            self.failed += 1
            self.rounds.append(list(writes))
            raise self.failure
        return await super().commit(writes, leases)


async def poisoned_with_others(b: Bench) -> list[asyncio.Task[Any]]:
    """Starts of a poisoned saga and of nine others, in one round."""
    store = b.store
    store.open_gate.clear()
    first = asyncio.create_task(b.begin("first"))
    await store.round_begun(1)
    tasks = [first, *(asyncio.create_task(b.begin(f"s{n}")) for n in range(10))]
    await never(lambda: len(store.rounds) > 1)
    store.open_gate.set()
    return tasks


@pytest.mark.parametrize("failure", FAILURES, ids=lambda f: type(f).__name__)
async def test_a_start_is_refused_and_the_others_are_made(tmp_path, failure):
    store = Poisoned(tmp_path / "saga.db")
    store.failure, store.poisoned = failure, {"s4"}
    await store.open()
    async with bench(tmp_path, store=store) as b:
        found = await asyncio.gather(*await poisoned_with_others(b), return_exceptions=True)
        refused = [x for x in found if isinstance(x, BaseException)]
        assert len(refused) == 1
        assert isinstance(refused[0], SwitSagaError)
        assert isinstance(refused[0], InvalidRequest | StoreFault)
        with pytest.raises(SagaNotFound):
            await b.engine.get("s4")
        failed = store.failed
        await never(lambda: store.failed > failed, 0.3)
    await store.close()


@pytest.mark.parametrize("failure", FAILURES, ids=lambda f: type(f).__name__)
async def test_a_saga_under_way_is_set_aside_and_the_others_go_on(tmp_path, failure):
    store = Poisoned(tmp_path / "saga.db")
    store.failure = failure
    await store.open()
    async with bench(tmp_path, store=store) as b:
        await asyncio.gather(*(b.begin(f"s{n}") for n in range(3)))
        commands = [await b.transport.next(n) for n in range(3)]
        store.poisoned = {"s1"}
        for c in commands:
            b.answer(c, done())
        saga = await b.until("s1", lambda s: s.quarantined > 0)
        assert saga.quarantined == 1
        page = await store.list_sagas(SagaFilter(stuck=True), SagaOrder.CREATED_ASC, 10, "")
        assert [s.id for s in page.sagas] == ["s1"]
        events = await store.events("s1", 0, 100)
        assert events[-1].type == EventType.SAGA_STUCK
        assert events[-1].error is not None
        assert events[-1].error.code == "WRITE_FAILED"
        for n in (3, 4):
            command = await b.transport.next(n)
            b.answer(command, done())
            assert command.saga_id != "s1"
            await b.until(command.saga_id, over)
        failed = store.failed
        await never(lambda: store.failed > failed, 0.3)
        assert b.engine.counters.quarantined == 1
    await store.close()


async def test_a_cancel_that_cannot_be_written_is_refused_here_and_by_message(tmp_path):
    """Its message is answered in the very write that sets the saga aside, not read again and again."""
    store = Poisoned(tmp_path / "saga.db")
    await store.open()
    async with bench(tmp_path, store=store, inbox_poll=SECOND // 20) as b:
        await b.begin("s")
        await b.transport.next(0)
        store.poisoned = {"s"}
        with pytest.raises(UnstorableValue):
            await b.cancel("s", "\ud800")
        await b.until("s", lambda s: s.quarantined == 1)
        entry = InboxEntry(entry_id="e", saga_id="s", body=pack_input(Cancel("please"), PRESENT.at(PRESENT.level)))
        await store.post(entry)
        reply = await eventually(lambda: store.answer(entry))
        with pytest.raises(SagaQuarantined):
            open_reply(reply)
        assert not await store.inbox(0, 10)
    await store.close()


async def test_a_saga_of_which_nothing_can_be_written_is_left_alone(tmp_path):
    store = Poisoned(tmp_path / "saga.db")
    store.may_be_set_aside = False
    await store.open()
    async with bench(tmp_path, store=store, timer_poll=SECOND // 20) as b:
        await b.begin("s")
        command = await b.transport.next(0)
        store.poisoned = {"s"}
        b.answer(command, done())
        await eventually(lambda: store.failed == 2)
        await never(lambda: store.failed > 2, 0.3)
        assert (await b.begin("other"))[1]
    await store.close()


async def test_real_sqlite_refuses_what_it_cannot_hold(tmp_path):
    """A due time beyond 64 bits, a name with half a character: the values that made writes fail for ever."""
    async with bench(tmp_path) as b:
        odds: list[dict[str, Any]] = [{"updated_at": Instant(2**70)}, {"source": "\ud800"}, {"metadata": {"a": 10**30}}]
        for number, odd in enumerate(odds):
            bad = replace(b.saga(f"bad{number}"), **odd)
            good = asyncio.create_task(b.begin(f"good{number}"))
            with pytest.raises(UnstorableValue):
                await b.start(bad, b.definition)
            assert (await good)[1]
