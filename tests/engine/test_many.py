"""Several engines on one store: shares, and requests for sagas that another one holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from swit_saga_server.core.errors import CoordinatorUnavailable, SagaAlreadyExists, SagaAlreadyFinished, SagaNotFound
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import SECOND
from swit_saga_server.engine.messages import (
    UnreadableMessage,
    open_reply,
    pack_input,
    pack_refused,
    pack_taken,
    read_input,
)
from swit_saga_server.service.sagas import Sagas
from swit_saga_server.store.codec import PRESENT
from swit_saga_server.store.contract import InboxEntry, partition_of
from swit_saga_server.store.levels import LEVEL
from tests.support.core.drive import done, lost, no
from tests.support.engine.harness import Bench, FaultyStore, bench, over
from tests.support.waiting import eventually

PARTITIONS = 4
WRITER = PRESENT.at(LEVEL)
OPTIONS = {"lease_term": SECOND, "inbox_poll": SECOND // 5, "timer_poll": SECOND // 2, "watch_poll": SECOND // 50}


@asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[Bench, Bench]]:
    store = FaultyStore(folder / "saga.db", partitions=PARTITIONS)
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        one, other = [
            await stack.enter_async_context(bench(folder, store=store, owner=name, **OPTIONS))
            for name in ("one", "other")
        ]
        await eventually(lambda: len(one.engine.ownership.leases) == len(other.engine.ownership.leases) == 2)
        yield one, other


def saga_of(holder: Bench) -> str:
    """An id that falls in a partition held there."""
    return next(i for n in range(1_000) if holder.engine.ownership.holds(partition_of(i := f"s{n}", PARTITIONS)))


async def test_partitions_are_shared_evenly(tmp_path):
    async with two(tmp_path) as (one, other):
        assert sorted([*one.engine.ownership, *other.engine.ownership]) == [0, 1, 2, 3]
        await other.engine.stop(0.0)
        await eventually(lambda: sorted(one.engine.ownership) == [0, 1, 2, 3])


async def test_a_start_elsewhere_is_driven_by_the_holder(tmp_path):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        saga, created = await one.begin(saga_id)
        assert (saga.state, created) == (SagaState.PENDING, True)
        assert await one.begin(saga_id) == (await one.engine.get(saga_id), False)
        with pytest.raises(SagaAlreadyExists):
            await one.begin(saga_id, fingerprint="another request")
        other.answer(await other.transport.next(0), done())
        other.answer(await other.transport.next(1), done())
        assert (await other.until(saga_id, over)).state is SagaState.COMPLETED
        assert one.transport.sent == []
        await one.check(saga_id)


async def test_one_start_of_many_wins(tmp_path):
    """Invariant 13, whichever coordinators are asked."""
    async with two(tmp_path) as pair:
        for saga_id in (saga_of(pair[0]), saga_of(pair[1])):
            answers = await asyncio.gather(
                *(pair[n % 2].begin(saga_id, fingerprint=f"f{n % 3}") for n in range(12)), return_exceptions=True
            )
            taken = [a for a in answers if isinstance(a, tuple)]
            assert len([a for a in answers if isinstance(a, SagaAlreadyExists)]) == 8
            assert len({saga.fingerprint for saga, _ in taken}) == 1
            assert [created for _, created in taken].count(True) == 1


async def test_a_cancel_elsewhere_that_the_store_forgot_is_not_acknowledged(tmp_path, monkeypatch):
    """Invariant 13: the store went back between the reply and the look at the saga."""
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        before, _ = await other.begin(saga_id)

        async def went_back(saga_id: str) -> Saga:
            return before

        monkeypatch.setattr(one.engine.reading, "stored", went_back)
        with pytest.raises(CoordinatorUnavailable, match="went back"):
            await one.cancel(saga_id, "no more")


async def test_a_cancel_elsewhere_is_durable_when_it_returns(tmp_path):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        await other.begin(saga_id)
        other.answer(await other.transport.next(0), done())
        await other.transport.next(1)
        saga = await one.cancel(saga_id, "no more")
        assert (saga.state, saga.stop_reason) == (SagaState.COMPENSATING, "no more")
        assert (await one.cancel(saga_id, "again")).stop_reason == "no more"
        other.answer(await other.transport.next(1), no())
        other.answer(await other.transport.next(2), done())
        assert (await other.until(saga_id, over)).state is SagaState.CANCELLED
        assert (await one.cancel(saga_id, "and again")).state is SagaState.CANCELLED
        await one.check(saga_id)


async def test_a_refused_request_is_answered_too(tmp_path):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        with pytest.raises(SagaNotFound):
            await one.cancel(saga_id, "")
        await other.begin(saga_id)
        other.answer(await other.transport.next(0), done())
        other.answer(await other.transport.next(1), done())
        await other.until(saga_id, over)
        version = (await other.engine.get(saga_id)).version
        with pytest.raises(SagaAlreadyFinished):
            await one.cancel(saga_id, "too late")
        assert (await one.engine.get(saga_id)).version == version
        partition = partition_of(saga_id, PARTITIONS)
        assert list(await one.store.inbox(partition, 10)) == []


async def test_an_unreadable_letter_is_put_away(tmp_path):
    async with two(tmp_path) as (one, other):
        entry = InboxEntry(entry_id="e", saga_id=saga_of(other), body=b"\xc1")
        await one.store.post(entry)
        reply = await eventually(lambda: one.store.answer(entry))
        with pytest.raises(CoordinatorUnavailable, match="not written by a coordinator"):
            open_reply(reply)


async def test_a_saga_is_watched_from_elsewhere_over_a_change_of_holder(tmp_path):
    """Invariant 15: no gap, no duplicate, and it ends."""
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        await other.begin(saga_id)
        sagas = Sagas(one.engine)
        seen: list[int] = []

        async def watch() -> None:
            _, events = await sagas.watch(saga_id, 0, follow=False, idle_s=10)
            async for event in events:
                if event is not None:
                    seen.append(event.sequence)

        watching = asyncio.create_task(watch())
        await eventually(lambda: seen == [1, 2])
        other.answer(await other.transport.next(0), done())
        await eventually(lambda: seen == [1, 2, 3, 4])
        await other.engine.stop(0.0)
        again = await one.command("b")
        assert again.resends == 1
        one.answer(again, done())
        async with asyncio.timeout(10):
            await watching
        assert seen == list(range(1, len(seen) + 1))
        await one.check(saga_id)


async def test_what_a_dead_coordinator_had_in_flight_is_taken_over(tmp_path):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(other)
        await other.begin(saga_id)
        await other.transport.next(0)
        await other.engine.supervisor.stop()  # As if killed: nothing is released.
        again = await one.transport.next(0)
        assert (again.saga_id, again.attempt, again.resends) == (saga_id, 1, 1)
        one.answer(again, done())
        one.answer(await one.transport.next(1), done())
        assert (await one.until(saga_id, over)).state is SagaState.COMPLETED
        await one.check(saga_id)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x01", b"\x93\xa6cancel\x01\x02", b"\x91\xa4what"])
def test_what_is_no_letter_is_refused(body):
    with pytest.raises(UnreadableMessage):
        read_input(body, PRESENT)


def test_only_what_is_certain_is_for_the_post():
    from swit_saga_server.core.identity import Kind, SendId
    from swit_saga_server.core.inputs import Answered, Cancel
    from swit_saga_server.core.principal import Principal

    for message in (
        Cancel("why"),
        Cancel("why", Principal("jwt:issuer/me")),
        Answered(Kind.EXECUTE, 1, SendId(1, 2, 3), done()),
        Answered(Kind.COMPENSATE, 0, SendId(2, 1, 1), no()),
    ):
        assert read_input(pack_input(message, WRITER), PRESENT) == message
    with pytest.raises(TypeError):
        pack_input(Answered(Kind.EXECUTE, 1, SendId(1, 2, 2), lost()), WRITER)


def test_a_reply_carries_the_refusal():
    assert open_reply(pack_taken(7)) == 7
    with pytest.raises(SagaAlreadyFinished, match="over") as refused:
        open_reply(pack_refused(SagaAlreadyFinished("it is over", saga_id="s")))
    assert refused.value.fields == {"saga_id": "s"}


async def _answered_on_leaving(one: Bench, other: Bench, sagas: int) -> None:
    """Answers that arrive while their partition is given away count there; nothing is sent twice."""
    out = [await one.transport.next(n) for n in range(sagas)]
    await eventually(lambda: one.engine.outbox.is_leaving)
    for command in out:
        one.answer(command, done())
    for n in range(sagas):
        command = await other.transport.next(n)
        assert (command.step_id, command.attempt) == ("b", 1)
    assert len(one.transport.sent) == sagas


async def test_a_partition_given_away_waits_for_what_is_out(tmp_path):
    """Nothing more is sent for it meanwhile, and whoever takes it goes on where the answers led."""
    options = OPTIONS | {"lease_term": 5 * SECOND}
    store = FaultyStore(tmp_path / "saga.db", partitions=2)
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        one = await stack.enter_async_context(bench(tmp_path, store=store, owner="one", **options))
        of_second = [i for n in range(1_000) if partition_of(i := f"s{n}", 2) == 1][:3]
        for saga_id in of_second:
            await one.begin(saga_id)
        other = await stack.enter_async_context(bench(tmp_path, store=store, owner="other", **options))
        await _answered_on_leaving(one, other, 3)
        assert sorted(one.engine.ownership) == [0]
        for n in range(3):
            other.answer(await other.transport.next(n), done())
        for saga_id in of_second:
            saga = await other.until(saga_id, over)
            assert sum(s.call.resends for s in saga.steps if s.id == "a") == 0


async def test_one_that_stops_waits_for_what_is_out(tmp_path):
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(one)
        await one.begin(saga_id)
        stopping = asyncio.create_task(one.engine.stop(4.0))
        await _answered_on_leaving(one, other, 1)
        await stopping
        other.answer(await other.transport.next(0), done())
        assert (await other.until(saga_id, over)).steps[0].call.resends == 0


@pytest.mark.parametrize("where", ["loop.take", "outbox.send"], ids=["while deciding", "while applying"])
async def test_the_sagas_of_one_whose_engine_failed_are_taken_by_others(tmp_path, monkeypatch, where):
    """Half-dead, it would keep them for ever by renewing its leases."""
    part, method = where.split(".")
    async with two(tmp_path) as (one, other):
        saga_id = saga_of(one)
        await one.begin(saga_id)
        bug = TypeError("a bug")

        def broken(*given: object) -> None:
            raise bug

        monkeypatch.setattr(getattr(one.engine, part), method, broken)
        one.answer(await one.transport.next(0), done())
        async with asyncio.timeout(5):
            await one.engine.failed.wait()
        assert (await other.transport.next(0)).saga_id == saga_id
        assert sorted(other.engine.ownership) == [0, 1, 2, 3]
        assert one.engine.failure is bug
        one.engine.failure = None  # Else the bench, rightly, fails the test.
