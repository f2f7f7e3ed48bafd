"""Everything that came and was not looked at yet: inputs of sagas under way, and new sagas, which wait behind them."""

import asyncio
from collections import deque
from collections.abc import Callable

from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.engine.items import Begin, Item


class Mailbox:
    """Two queues, and the event that wakes up the loop.

    Attributes:
        inputs: For sagas under way, oldest first.
        starts: New sagas, oldest first.
        turn: Set while there may be something for the loop to do.
        ready_for_starts: Set while all starts handed in have been taken up: who has more may hand them in.
    """

    def __init__(self, elapsed: Callable[[], Span]) -> None:
        """``elapsed`` tells plain time."""
        self._elapsed = elapsed
        self.inputs: deque[Item] = deque()
        self.starts: deque[Item] = deque()
        self.turn = asyncio.Event()
        self.ready_for_starts = asyncio.Event()
        self.ready_for_starts.set()

    def __len__(self) -> int:
        return len(self.inputs) + len(self.starts)

    def put(self, item: Item) -> None:
        """Something happened."""
        if isinstance(item.given, Begin):
            item.put_at = self._elapsed()
            self.starts.append(item)
            self.ready_for_starts.clear()
        else:
            self.inputs.append(item)
        self.turn.set()

    def longest_wait(self) -> Span:
        """How long the oldest start has waited whose caller still does; 0 if there is none."""
        starts = self.starts
        while starts and (waiter := starts[0].waiter) is not None and waiter.is_done:
            starts.popleft()  # Its caller is gone.
        return self._elapsed() - starts[0].put_at if starts else NO_TIME
