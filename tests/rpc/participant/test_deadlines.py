"""Many deadlines, one timer."""

import asyncio

from swit_saga_server.participants.deadlines import SLACK, Deadlines
from tests.support.waiting import eventually


async def test_those_that_are_still_open_and_in_the_order_of_their_time():
    open_numbers, passed = {1: "", 2: "", 3: "", 4: ""}, list[int]()
    deadlines = Deadlines(open_numbers, passed.append)
    now = asyncio.get_running_loop().time()
    for number, after_s in ((1, 0.06), (2, 0.02), (3, 0.04), (4, 60.0)):
        deadlines.add(now + after_s, number)
    deadlines.arm()
    del open_numbers[3]
    await eventually(lambda: 1 in passed)
    assert passed == [2, 1]


async def test_an_earlier_one_moves_the_timer_forward():
    open_numbers, passed = {1: "", 2: ""}, list[int]()
    deadlines = Deadlines(open_numbers, passed.append)
    now = asyncio.get_running_loop().time()
    deadlines.add(now + 60, 1)
    deadlines.arm()
    deadlines.add(now + 0.01, 2)
    deadlines.arm()
    await eventually(lambda: passed == [2])


async def test_one_that_is_past_is_told_at_once_but_not_within_the_call():
    open_numbers, passed = {1: ""}, list[int]()
    deadlines = Deadlines(open_numbers, passed.append)
    deadlines.add(asyncio.get_running_loop().time() - 5, 1)
    deadlines.arm()
    assert passed == []
    await eventually(lambda: passed == [1])


async def test_answered_ones_are_swept_out():
    open_numbers, passed = dict[int, str](), list[int]()
    deadlines = Deadlines(open_numbers, passed.append)
    at = asyncio.get_running_loop().time() + 60
    open_numbers[0] = ""
    deadlines.add(at - 1, 0)  # The earliest stays open, so that nothing comes off the top.
    for number in range(1, 10 * SLACK):
        open_numbers[number] = ""
        deadlines.add(at, number)
        deadlines.arm()
        del open_numbers[number]
        assert len(deadlines) <= SLACK + 2 * len(open_numbers) + 2
    deadlines.close()


async def test_closed_it_says_no_more():
    open_numbers, passed = {1: "", 2: ""}, list[int]()
    deadlines = Deadlines(open_numbers, passed.append)
    now = asyncio.get_running_loop().time()
    deadlines.add(now + 0.01, 1)
    deadlines.arm()
    deadlines.close()
    deadlines.close()
    deadlines.add(now, 2)
    deadlines.arm()
    over = asyncio.Event()
    asyncio.get_running_loop().call_at(now + 0.03, over.set)
    await over.wait()
    assert passed == []
