"""A flood of lines is one now and then, with a count; and nothing is held on to."""

import asyncio
from collections.abc import Mapping
from typing import Any

from swit_saga_server.logs.folding import FREE_LINES, MAX_KEYS, PERIOD_S, Folding
from tests.support.waiting import turn


class Told:
    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[tuple[str, int, int]] = []
        self.folding = Folding(self.tell, lambda: self.now)

    def tell(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        self.lines.append((event, fields["n"], fields["more"]))

    def log(self, event: str, about: Any = None, n: int = 0) -> bool:
        return self.folding.admits(30, event, about, {"n": n})


def test_of_each_thing_one_line_and_then_their_number():
    told = Told()
    assert [told.log("down", "pay", n) for n in range(1000)] == [True] + [False] * 999
    assert told.log("down", "hotel"), "another thing"
    assert told.log("up", "pay"), "another event"
    told.now += PERIOD_S
    assert not told.log("down", "pay", 7)
    assert told.lines == [("down", 999, 999)]
    told.now += PERIOD_S
    assert not told.log("down", "pay", 8)
    assert told.lines[1:] == [("down", 7, 1)], "a line a period for as long as it goes on"


def test_what_comes_after_a_quiet_period_is_new():
    told = Told()
    assert told.log("down", "pay")
    told.now += PERIOD_S
    assert told.log("down", "pay")
    assert told.lines == []


def test_lines_that_each_say_something_are_bounded_too():
    told = Told()
    assert sum(told.log("taken", n=n) for n in range(1000)) == FREE_LINES
    told.now += PERIOD_S
    assert told.log("taken")
    assert told.lines == [("taken", 999, 1000 - FREE_LINES)]


def test_however_many_things_there_are():
    told = Told()
    assert sum(told.log("down", n) for n in range(5 * MAX_KEYS)) <= MAX_KEYS + 1
    told.now += PERIOD_S
    assert told.log("down", "new"), "what is over makes room"


async def test_the_end_of_a_flood_is_told_without_a_further_line(monkeypatch):
    told, timers = Told(), list[Any]()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda delay, call, *given: timers.append((delay, call, given)))
    for n in range(3):
        told.log("down", "pay", n)
    ((delay, call, given),) = timers
    assert delay == PERIOD_S
    told.now += PERIOD_S
    call(*given)
    await turn()
    assert told.lines == [("down", 2, 2)]
