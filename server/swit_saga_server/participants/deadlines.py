"""The deadlines of many commands on one timer of the event loop."""

import asyncio
import heapq
from collections.abc import Callable, Container, Sized
from typing import Protocol

SLACK = 1024
"""Deadlines of answered commands that may lie about before they are swept out."""


class Open(Container[int], Sized, Protocol):
    """The numbers of the commands that wait for an answer."""


class Deadlines:
    """Calls back for each open command whose time is up. An answered command's deadline costs nothing more.

    Deadlines of answered commands stay in the heap until they come up or outnumber the open ones by far: taking one
    out of the middle would cost more than the command.
    """

    def __init__(self, open_numbers: Open, passed: Callable[[int], None]) -> None:
        """``passed`` is called on the event loop, with numbers in ``open_numbers`` only, earliest deadline first."""
        self._open = open_numbers
        self._passed = passed
        self._heap: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: float, number: int) -> None:
        """``number``, which is open or about to be, has until ``at`` by the event loop's clock; see ``arm``."""
        heapq.heappush(self._heap, (at, number))

    def arm(self) -> None:
        """To be called after some were added: sets the timer to the earliest."""
        if len(self._heap) > SLACK + 2 * len(self._open):
            self._heap = [entry for entry in self._heap if entry[1] in self._open]
            heapq.heapify(self._heap)
        while self._heap and self._heap[0][1] not in self._open:
            heapq.heappop(self._heap)
        if not self._heap or self._closed:
            return
        at = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return  # That timer comes first, finds nothing due, and sets the next.
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._fire)

    def close(self) -> None:
        """Call back no more. Safe to call twice."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        # The loop fires up to its clock's resolution early; what is due by the timer's own time is due.
        now = max(asyncio.get_running_loop().time(), self._timer_at)
        while self._heap and self._heap[0][0] <= now:
            _, number = heapq.heappop(self._heap)
            if number in self._open:
                self._passed(number)
        self.arm()
