"""What is looked into next: what was named, at once; everything, every now and then, however much is named."""

import asyncio

import pytest

from swit_saga_server.engine.poll_schedule import PollSchedule
from tests.support.waiting import turn

HELD = [0, 1, 2]
FAR_S = 60.0


async def begun() -> PollSchedule:
    schedule = PollSchedule()
    assert await schedule.next(HELD, FAR_S) == (HELD, True), "at first, all of them"
    return schedule


async def nothing(schedule: PollSchedule) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await schedule.next(HELD, FAR_S)


async def test_after_all_it_waits_for_a_name():
    schedule = await begun()
    await nothing(schedule)
    waiting = asyncio.create_task(schedule.next(HELD, FAR_S))
    await turn()
    schedule.name(1)
    assert await waiting == ([1], False)
    await nothing(schedule)


async def test_what_was_named_meanwhile_is_next_and_each_once():
    schedule = await begun()
    for partition in (2, 0, 2):
        schedule.name(partition)
    assert await schedule.next(HELD, FAR_S) == ([2, 0], False)
    await nothing(schedule)


async def test_what_others_hold_is_theirs_to_look_into():
    schedule = await begun()
    schedule.name(7)
    await nothing(schedule)
    schedule.name(7)
    schedule.name(1)
    assert await schedule.next(HELD, FAR_S) == ([1], False)


async def test_all_goes_before_names():
    schedule = await begun()
    schedule.name(1)
    schedule.name_all()
    assert await schedule.next(HELD, FAR_S) == (HELD, True)
    await nothing(schedule)


async def test_all_are_due_in_time_however_much_is_named():
    schedule = await begun()
    every_s = 0.05
    found: list[tuple[list[int], bool]] = []
    async with asyncio.timeout(5):
        while not found or not found[-1][1]:
            schedule.name(1)
            found.append(await schedule.next(HELD, every_s))
            await turn()
    assert len(found) > 1
    assert found[-1] == (HELD, True)
    assert await schedule.next(HELD, every_s) == (HELD, True), "and without any name, too"


async def test_a_name_is_not_lost_with_who_waited_for_it():
    schedule = await begun()
    waiting = asyncio.create_task(schedule.next(HELD, FAR_S))
    await turn()
    waiting.cancel()
    schedule.name(2)
    assert await schedule.next(HELD, FAR_S) == ([2], False)
