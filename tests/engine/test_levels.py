"""Engines of two versions on one store: nothing is written that one of them cannot read, and what is there already is
left by the older one to the newer, which goes on with it.

The versions are made up from this one: what a table names came with level 2, and the older one does not have it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swit_saga_server.core.errors import NeedsNewerLevel, NewerRecord, SagaNotFound
from swit_saga_server.core.inputs import Cancel
from swit_saga_server.core.model import Saga
from swit_saga_server.core.principal import Principal
from swit_saga_server.core.states import Effect, SagaState
from swit_saga_server.core.units import SECOND
from swit_saga_server.engine import postponed
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.messages import open_reply, pack_input
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import InboxEntry, partition_of
from tests.support.core.drive import done, no
from tests.support.engine.harness import Bench, VersionStore, bench, over
from tests.support.waiting import eventually, never

PARTITIONS = 4
OPTIONS = {"lease_term": SECOND, "inbox_poll": SECOND // 5, "timer_poll": SECOND // 5, "watch_poll": SECOND // 50}
ANN = Principal("ann")

STARTED_BY = {"Saga.started_by": 2}
"""A start that says by whom needs level 2, and so does its saga for ever."""
CANCEL_CAUSE = {"StopCause.CANCEL": 2, "StopCause.DEADLINE": 2}
"""A cancel is an input that both versions know, but what it leads to is newer."""
CANCEL = {"Cancel": 2}
"""The input is newer."""
UNDOING = {"StepState.compensation": 2}
"""A failed step leads to what is newer."""


class Versions:
    """One store, and engines of both versions on it, as many as are started."""

    def __init__(self, folder: Path, since: Mapping[str, int]) -> None:
        self._folder = folder
        self.older, self.newer = Codec(1, since), Codec(2, since)
        self._store = VersionStore(self.newer, PARTITIONS)

    @asynccontextmanager
    async def run(self, owner: str, codec: Codec) -> AsyncIterator[Bench]:
        store = self._store.as_version(codec)
        async with bench(self._folder, store=store, owner=owner, codec=codec, **OPTIONS) as made:
            yield made

    @asynccontextmanager
    async def both(self) -> AsyncIterator[tuple[Bench, Bench]]:
        async with self.run("new", self.newer) as new, self.run("old", self.older) as old:
            await eventually(lambda: len(held(new)) == len(held(old)) == PARTITIONS // 2)
            await eventually(lambda: new.engine.ownership.levels.fleet == 1)
            yield new, old


def held(one: Bench) -> list[int]:
    return sorted(one.engine.ownership)


def ids_in(partition: int, number: int = 1) -> list[str]:
    found = [i for n in range(1_000) if partition_of(i := f"s{n}", PARTITIONS) == partition]
    return found[:number]


def saga_of(holder: Bench) -> str:
    return ids_in(held(holder)[0])[0]


def by_ann(one: Bench, saga_id: str) -> Saga:
    return replace(one.saga(saga_id), started_by=ANN)


async def upgraded(one: Bench) -> None:
    """Until it knows that all that live read level 2."""
    await eventually(lambda: one.engine.ownership.levels.fleet == 2)


async def drive(one: Bench, saga_id: str) -> Saga:
    """Answer what is sent for a saga until it is over."""
    answered = 0

    async def ended() -> Saga | None:
        nonlocal answered
        commands = [c for c in one.transport.sent if c.saga_id == saga_id]
        for command in commands[answered:]:
            one.answer(command, done())
        answered = len(commands)
        saga = await one.engine.get(saga_id)
        return saga if over(saga) else None

    saga: Saga = await eventually(ended)
    return saga


class Loads:
    """How often a saga was read, at the door of an engine's store."""

    def __init__(self, one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self._load = one.store.load
        monkeypatch.setattr(one.store, "load", self)

    async def __call__(self, saga_ids: Sequence[str]) -> Any:
        self.number += 1
        return await self._load(saga_ids)


@pytest.mark.parametrize("holder", ["new", "old"])
async def test_a_start_that_an_older_one_cannot_read_is_refused_until_it_is_gone(tmp_path, holder):
    """Whoever holds the partition, and other starts are taken."""
    async with Versions(tmp_path, STARTED_BY).both() as (new, old):
        saga_id = saga_of(new if holder == "new" else old)
        with pytest.raises(NeedsNewerLevel, match="started_by needs level 2"):
            await new.start(by_ann(new, saga_id), new.definition)
        with pytest.raises(SagaNotFound):
            await new.engine.stored(saga_id)
        await new.begin(saga_of(new))
        await old.engine.stop(0.0)
        await upgraded(new)
        another = ids_in(0, 2)[1]
        assert await new.start(by_ann(new, another), new.definition) == (await new.engine.get(another), True)
        assert (await drive(new, another)).started_by == ANN


async def test_an_input_that_leads_to_what_an_older_one_cannot_read_is_refused(tmp_path):
    """Nothing of what came with it is lost, and the saga goes on."""
    async with Versions(tmp_path, CANCEL_CAUSE).both() as (new, _):
        saga_id = saga_of(new)
        await new.begin(saga_id)
        command = await new.command("a")
        cancelling = asyncio.create_task(new.cancel(saga_id, "no more"))
        new.answer(command, done())
        with pytest.raises(NeedsNewerLevel, match=r"StopCause\.CANCEL needs level 2"):
            await cancelling
        assert (await new.command("b")).attempt == 1
        assert (await drive(new, saga_id)).state is SagaState.COMPLETED
        await new.check(saga_id)


async def test_the_refusal_reaches_who_asks_elsewhere_as_it_is(tmp_path):
    versions = Versions(tmp_path, CANCEL_CAUSE)
    async with versions.both() as (new, _), versions.run("new, too", versions.newer) as too:
        await eventually(lambda: held(too))
        saga_id = saga_of(new)
        await new.begin(saga_id)
        with pytest.raises(NeedsNewerLevel, match="needs level 2"):
            await too.cancel(saga_id, "no more")
        assert list(await new.store.inbox(partition_of(saga_id, PARTITIONS), 10)) == []
        assert (await drive(new, saga_id)).state is SagaState.COMPLETED


async def test_an_input_of_a_class_that_the_older_one_does_not_have_is_not_posted(tmp_path):
    async with Versions(tmp_path, CANCEL).both() as (new, old):
        saga_id = saga_of(old)
        await old.begin(saga_id)
        with pytest.raises(NeedsNewerLevel, match="Cancel needs level 2"):
            await new.cancel(saga_id, "no more")
        assert list(await old.store.inbox(partition_of(saga_id, PARTITIONS), 10)) == []
        await old.engine.stop(0.0)
        await upgraded(new)
        await eventually(lambda: len(held(new)) == PARTITIONS)
        assert (await new.cancel(saga_id, "no more")).stop_reason == "no more"


async def test_an_answer_waits_until_all_can_read_what_it_leads_to(tmp_path, monkeypatch):
    """It is not asked for again: no attempt is lost."""
    monkeypatch.setattr(postponed, "PAUSE", SECOND // 20)
    async with Versions(tmp_path, UNDOING).both() as (new, old):
        saga_id = saga_of(new)
        await new.begin(saga_id)
        new.answer(await new.command("a"), done())
        new.answer(await new.command("b"), no())
        await never(lambda: len(new.transport.sent) > 2, 0.3)
        assert (await new.engine.get(saga_id)).state is SagaState.RUNNING
        await old.engine.stop(0.0)
        saga = await drive_undoing(new, saga_id)
        assert saga.state is SagaState.COMPENSATED
        assert [step.call.sends for step in saga.steps] == [1, 1]
        await new.check(saga_id)


async def drive_undoing(one: Bench, saga_id: str) -> Saga:
    one.answer(await one.transport.next(2), done())
    return await one.until(saga_id, over)


async def test_an_older_one_met_between_decision_and_write(tmp_path):
    """The store refuses: the caller hears it, nothing is written, and all else of the round is."""
    versions = Versions(tmp_path, STARTED_BY)
    async with versions.run("new", versions.newer) as new:
        await upgraded(new)
        await new.store.heartbeat("old", SECOND // 2, 1)
        refused, begun = await asyncio.gather(
            new.start(by_ann(new, "s1"), new.definition), new.begin("s2"), return_exceptions=True
        )
        assert isinstance(refused, NeedsNewerLevel)
        assert begun == (await new.engine.get("s2"), True)
        assert await new.store.load(["s1"]) == [None]
        # Until it is known that the older one is gone again.
        await eventually(lambda: taken(new, by_ann(new, "s1")))


async def test_an_older_one_leaves_newer_sagas_and_their_partitions(tmp_path):
    """It drives what it can read where nothing newer is; the newer one takes the rest, beyond its share."""
    versions = Versions(tmp_path, STARTED_BY)
    async with versions.run("new", versions.newer) as new:
        await upgraded(new)
        theirs, own = [ids_in(p)[0] for p in (1, 2, 3)], ids_in(0)[0]
        for saga_id in theirs:
            await new.start(by_ann(new, saga_id), new.definition)
        await new.begin(own)
        await eventually(lambda: len(new.transport.sent) == 4)
        async with versions.run("old", versions.older) as old:
            await eventually(lambda: held(new) == [1, 2, 3] and held(old) == [0])
            counters = old.engine.counters
            assert counters.quarantined == 0
            assert counters.left_to_newer > 0
            saga = await drive(old, own)
            assert saga.state is SagaState.COMPLETED
            for saga_id in theirs:
                assert (await drive(new, saga_id)).state is SagaState.COMPLETED
                with pytest.raises(NewerRecord):
                    await old.engine.get(saga_id)
            await never(lambda: held(old) != [0] or held(new) != [1, 2, 3], 0.5)
            assert {c.saga_id for c in old.transport.sent} <= {own}
        for saga_id in theirs:
            await new.check(saga_id)


async def test_an_older_one_alone_goes_on_with_what_it_can_read(tmp_path, monkeypatch):
    """Of the same partition. What it cannot read is not tried over and over, and is driven by the next newer one."""
    versions = Versions(tmp_path, STARTED_BY)
    newer_saga, older_saga = ids_in(0, 2)
    async with versions.run("new", versions.newer) as new:
        await upgraded(new)
        await new.start(by_ann(new, newer_saga), new.definition)
        await new.begin(older_saga)
        await eventually(lambda: len(new.transport.sent) == 2)
    async with versions.run("old", versions.older) as old:
        assert (await drive(old, older_saga)).state is SagaState.COMPLETED
        await eventually(lambda: old.engine.counters.left_to_newer == 1)
        loads = Loads(old, monkeypatch)
        with pytest.raises(NewerRecord):
            await old.cancel(newer_saga, "no more")
        await never(lambda: loads.number > 1, 0.7)
        assert held(old) == [0, 1, 2, 3]
        assert old.engine.counters.left_to_newer == 1
        async with versions.run("new", versions.newer) as new:
            await eventually(lambda: 0 in held(new) and 0 not in held(old))
            assert (await drive(new, newer_saga)).state is SagaState.COMPLETED
            assert old.engine.counters.quarantined == 0
            await new.check(newer_saga)


@pytest.mark.parametrize("first", ["old", "new"])
async def test_a_saga_begun_by_one_is_ended_by_the_other(tmp_path, first):
    versions = Versions(tmp_path, STARTED_BY)
    codecs = {"old": versions.older, "new": versions.newer}
    second = "new" if first == "old" else "old"
    async with versions.run(first, codecs[first]) as one:
        await one.begin("s1")
        one.answer(await one.command("a"), done())
        await one.command("b")
    async with versions.run(second, codecs[second]) as other:
        assert (await other.command("b")).resends == 1
        assert (await drive(other, "s1")).state is SagaState.COMPLETED
        await other.check("s1")


async def test_a_message_of_an_unknown_class_stays_until_a_newer_one_reads_it(tmp_path):
    versions = Versions(tmp_path, CANCEL)
    saga_id = ids_in(2)[0]
    message = InboxEntry(entry_id="e", saga_id=saga_id, body=pack_input(Cancel("why"), versions.newer.at(2)))
    async with versions.run("old", versions.older) as old:
        await old.begin(saga_id)
        await old.store.post(message)
        await eventually(lambda: old.engine.counters.left_to_newer == 1)
        await never(lambda: old.engine.counters.left_to_newer > 1, 0.5)
        assert list(await old.store.inbox(2, 10)) == [message]
        async with versions.run("new", versions.newer) as new:
            await eventually(lambda: answered(new, message))
            assert (await new.engine.stored(saga_id)).stop_reason == "why"
            assert 2 in held(new)
    async with versions.run("old", versions.older) as old:
        assert list(await old.store.inbox(2, 10)) == []


async def test_a_message_for_a_newer_saga_stays_until_a_newer_one_reads_it(tmp_path):
    """And what a participant said to the older one is handed on, too."""
    versions = Versions(tmp_path, STARTED_BY)
    saga_id = ids_in(1)[0]
    async with versions.run("new", versions.newer) as new:
        await upgraded(new)
        await new.start(by_ann(new, saga_id), new.definition)
        command = await new.command("a")
    message = InboxEntry(entry_id="e", saga_id=saga_id, body=pack_input(Cancel("why"), versions.older.at(1)))
    async with versions.run("old", versions.older) as old:
        await old.store.post(message)
        old.engine.deliver(saga_id, command.answered(done()))
        inbox = await eventually(lambda: entries(old, 1, 2))
        assert message in inbox
        assert old.engine.counters.quarantined == 0
        async with versions.run("new", versions.newer) as new:
            await eventually(lambda: answered(new, message))
            saga = await new.until(saga_id, lambda s: s.stop_reason == "why")
            assert (saga.state, saga.steps[0].effect) == (SagaState.COMPENSATING, Effect.DONE)
            await eventually(lambda: no_entries(new, 1))


async def answered(one: Bench, message: InboxEntry) -> bool:
    """Whether it was taken."""
    reply = await one.store.answer(message)
    return reply is not None and open_reply(reply) > 0


async def taken(one: Bench, saga: Saga) -> bool:
    with suppress(NeedsNewerLevel):
        return (await one.start(saga, one.definition))[1]
    return False


async def entries(one: Bench, partition: int, number: int) -> list[InboxEntry]:
    found = list(await one.store.inbox(partition, 10))
    return found if len(found) == number else []


async def no_entries(one: Bench, partition: int) -> bool:
    return not await one.store.inbox(partition, 10)


async def test_a_message_left_is_seen_again_when_the_partition_comes_back(tmp_path):
    """By the same life of the same engine: it may be of use to it by then."""
    versions = Versions(tmp_path, CANCEL)
    saga_id = ids_in(3)[0]
    message = InboxEntry(entry_id="e", saga_id=saga_id, body=pack_input(Cancel("why"), versions.newer.at(2)))
    async with versions.run("old", versions.older) as old:
        await old.begin(saga_id)
        await old.store.post(message)
        await eventually(lambda: old.engine.counters.left_to_newer == 1)
        old.engine.ownership.fenced(3)
        await eventually(lambda: old.engine.counters.left_to_newer == 2)
        engine: Engine = old.engine
        assert engine.ownership.holds(3)
