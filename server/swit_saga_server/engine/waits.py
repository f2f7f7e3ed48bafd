"""Waits without a task each: a callback of the feed, one timer for all, and reads of the store together.

A saga driven here tells who waits for it as it is applied, and nothing is read. Of one that is not in memory, or that
another coordinator drives, the feed can only say that something happened: then the store is read, for all such waits
of a moment at once.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count, islice
from typing import TypeAlias

from swit_saga_server.core.errors import CoordinatorStopping, SagaLost, SagaNotFound, StoreUnavailable
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import TERMINAL_STATES, SagaState
from swit_saga_server.core.units import Span
from swit_saga_server.engine.alarm import Alarm
from swit_saga_server.engine.environment import Clock
from swit_saga_server.engine.feed import Feed

WaitResult: TypeAlias = tuple[Saga, bool]
"""The saga as it is, and whether it got where it was waited for."""
OnWaitResult: TypeAlias = Callable[[WaitResult | Exception], None]
"""Called at most once per wait, on the engine's event loop; it must not raise."""

READ_BATCH = 256
"""Sagas read from the store in one go."""
TIMER_SLACK = 64
"""Timers of waits that are over are swept out when they are more than this, and more than the others."""


class Waits:
    """Everybody who waits for a saga here."""

    def __init__(
        self,
        feed: Feed,
        clock: Clock,
        at_hand: Callable[[str], Saga | None],
        load: Callable[[Sequence[str]], Awaitable[Sequence[Saga | None]]],
    ) -> None:
        """Take what is needed.

        Args:
            feed: Tells what is applied here, and what other coordinators may have done.
            clock: For the time each wait has.
            at_hand: A saga's applied state if memory knows it.
            load: Reads sagas from the store, None for each that is not there.
        """
        self._feed = feed
        self._clock = clock
        self._at_hand = at_hand
        self._load = load
        self._open: dict[Wait, None] = {}
        self._unsure: dict[Wait, None] = {}
        self._some_unsure = asyncio.Event()
        self._timers: list[tuple[Span, int, Wait]] = []
        self._numbers = count()
        self._alarm = Alarm(clock.elapsed, self._fire)
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, saga_id: str, states: frozenset[SagaState], timeout_s: float, on_result: OnWaitResult) -> "Wait":
        """Wait until the saga is in one of ``states`` (any outcome, if empty) or has its outcome, or the time is up.

        ``on_result`` is told the saga and whether it is in ``states``; or ``SagaNotFound``, ``CoordinatorUnavailable``
        and whatever else reading it raised. It may be called before this returns.
        """
        until = self._clock.elapsed() + Span(timeout_s * 1e6)
        wait = Wait(self, saga_id, states or TERMINAL_STATES, until, on_result)
        if self._closed:
            wait.finish(CoordinatorStopping())
            return wait
        self._open[wait] = None
        self._feed.add(saga_id, wait)  # Before the saga is looked at, so that nothing is missed in between.
        if timeout_s <= 0:
            wait.is_late = True
        self.look(wait)
        if not (wait.is_done or wait.is_late):
            heapq.heappush(self._timers, (until, next(self._numbers), wait))
            self._alarm.set(until)
        return wait

    def look(self, wait: "Wait") -> None:
        """See how its saga is: at once if memory knows, from the store soon otherwise."""
        saga = self._at_hand(wait.saga_id)
        if saga is None:
            self.doubt(wait)
        else:
            wait.judge(saga)

    def doubt(self, wait: "Wait") -> None:
        """Something may have happened to its saga: look, but not now."""
        self._unsure[wait] = None
        self._some_unsure.set()

    def forget(self, wait: "Wait") -> None:
        """The wait is over."""
        self._open.pop(wait, None)
        self._unsure.pop(wait, None)
        self._feed.unsubscribe(wait.saga_id, wait)
        if len(self._timers) > 2 * len(self._open) + TIMER_SLACK:
            self._timers = [timer for timer in self._timers if not timer[2].is_done]
            heapq.heapify(self._timers)

    def close(self) -> None:
        """Nobody waits any more: say so to whoever still does. Safe to call twice."""
        self._closed = True
        self._alarm.stop()
        for wait in list(self._open):
            wait.finish(CoordinatorStopping())

    async def run(self) -> None:
        """Look at what is in doubt, for ever. Ends by cancellation."""
        while True:
            await self._some_unsure.wait()
            self._some_unsure.clear()
            unsure, self._unsure = self._unsure, {}
            to_read: dict[str, list[Wait]] = {}
            for wait in unsure:
                if wait.is_done:
                    continue
                saga = self._at_hand(wait.saga_id)
                if saga is not None:
                    wait.judge(saga)
                else:
                    to_read.setdefault(wait.saga_id, []).append(wait)
            ids = iter(to_read)
            while block := list(islice(ids, READ_BATCH)):
                for saga_id, found in await self._read(block):
                    _tell(to_read[saga_id], found)

    async def _read(self, ids: Sequence[str]) -> Iterable[tuple[str, Saga | Exception]]:
        try:
            sagas = await self._load(ids)
        except StoreUnavailable as unavailable:
            return [(saga_id, unavailable) for saga_id in ids]
        except Exception as unreadable:
            if len(ids) == 1:
                return [(ids[0], unreadable)]
            # One bad record must not hold up the others: each on its own.
            return [found for saga_id in ids for found in await self._read([saga_id])]
        nobody = (SagaNotFound(f"there is no saga {saga_id!r}", saga_id=saga_id) for saga_id in ids)
        return [(i, saga or missing) for i, saga, missing in zip(ids, sagas, nobody, strict=True)]

    def _fire(self) -> None:
        now = self._clock.elapsed()
        while self._timers and (self._timers[0][2].is_done or self._timers[0][0] <= now):
            wait = heapq.heappop(self._timers)[2]
            if not wait.is_done:
                wait.is_late = True
                self.look(wait)
        if self._timers and not self._closed:
            self._alarm.set(self._timers[0][0])


class Wait:
    """One wait: a reader of its saga's feed.

    Attributes:
        is_late: Its time is up: it takes the saga as it is, as soon as that is known.
        was_seen: Its saga was there, and under way.
        is_done: It was told, or cancelled.
    """

    __slots__ = ("_on_result", "_waits", "_wanted", "is_done", "is_late", "saga_id", "until", "was_seen")

    def __init__(
        self, waits: Waits, saga_id: str, wanted: frozenset[SagaState], until: Span, on_result: OnWaitResult
    ) -> None:
        self._waits = waits
        self._wanted = wanted
        self._on_result = on_result
        self.saga_id = saga_id
        self.until = until
        self.is_late = False
        self.is_done = False
        self.was_seen = False

    def offer(self, saga: Saga, events: Sequence[SagaEvent]) -> None:
        """See ``feed.Reader``."""
        self.judge(saga)

    def notify(self) -> None:
        """See ``feed.Reader``."""
        self._waits.doubt(self)

    def cancel(self) -> None:
        """Nobody waits any more; nothing is told. Safe to call at any time, more than once."""
        if not self.is_done:
            self.is_done = True
            self._waits.forget(self)

    def judge(self, saga: Saga) -> None:
        """This is its saga as it is durably."""
        if saga.state in self._wanted or saga.state.is_terminal or self.is_late:
            self.finish((saga, saga.state in self._wanted))
        self.was_seen = True

    def finish(self, outcome: WaitResult | Exception) -> None:
        """Tell it, if it is not over."""
        if not self.is_done:
            self.cancel()
            self._on_result(outcome)


def _tell(waits: Iterable[Wait], found: Saga | Exception) -> None:
    for wait in waits:
        if isinstance(found, SagaNotFound) and wait.was_seen:
            # What is under way is never deleted.
            wait.finish(SagaLost(saga_id=wait.saga_id))
        elif isinstance(found, Exception):
            wait.finish(found)
        else:
            wait.judge(found)
