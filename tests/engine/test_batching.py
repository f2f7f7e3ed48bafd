"""Inputs that come one by one while the coordinator is busy share a round; else each is decided at once."""

import asyncio

from swit_saga_server.core.units import SECOND
from swit_saga_server.engine import batching, loop
from tests.support.core.drive import done
from tests.support.engine.harness import Bench, bench
from tests.support.waiting import turn

SAGAS = batching.COMMANDS_OUT + 2


async def answered_one_by_one(b: Bench) -> list[int]:
    """The sizes of the rounds that follow when the first steps are answered, each in a turn of its own."""
    await asyncio.gather(*(b.begin(f"s{n}") for n in range(SAGAS)))
    before = len(b.store.rounds)
    for number in range(SAGAS):
        b.answer(await b.transport.next(number), done())
        await turn(3)
    await b.transport.next(2 * SAGAS - 1)
    return [len(r) for r in b.store.rounds[before:]]


async def test_a_busy_turn_waits_for_more(tmp_path, monkeypatch):
    monkeypatch.setattr(batching, "TRY_EVERY", 1)
    monkeypatch.setattr(loop, "WAIT", SECOND // 4)
    async with bench(tmp_path) as b:
        sizes = await answered_one_by_one(b)
        assert sum(sizes) == SAGAS
        # The last ones find fewer commands out than are worth waiting for.
        assert sizes[0] >= SAGAS - batching.COMMANDS_OUT + 1


async def test_an_idle_one_does_not(tmp_path):
    async with bench(tmp_path) as b:
        sizes = await answered_one_by_one(b)
        assert sum(sizes) == SAGAS
        assert sizes[0] == 1
