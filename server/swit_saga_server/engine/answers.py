"""Who waits for what: requests under way, each answered once, in time, whatever becomes of it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable
from swit_saga_server.core.units import Span
from swit_saga_server.engine.alarm import Alarm
from swit_saga_server.engine.environment import Clock
from swit_saga_server.engine.items import StartResult

T = TypeVar("T")
OnResult: TypeAlias = Callable[[StartResult | Exception], None]
"""Called once per request, on the engine's event loop; it must not raise."""


class Answers:
    """The requests under way. Many at once cost no task and no timer each: all have the same time.

    Attributes:
        timeout: How long each may take.
    """

    def __init__(self, clock: Clock, answer_timeout: Span) -> None:
        """``answer_timeout`` is how long each may take; then its outcome is unknown, and it may be asked again."""
        self._clock = clock
        self.timeout = answer_timeout
        self._open: deque[PendingRequest] = deque()
        """Oldest first."""
        self._alarm = Alarm(clock.elapsed, self._look)

    def open(self, saga_id: str, on_result: OnResult) -> "PendingRequest":
        """A place for the outcome of a request; ``on_result`` hears it within the time there is."""
        pending = self._open
        while pending and pending[0].is_done:
            pending.popleft()
        answer = PendingRequest(saga_id, on_result, self._clock.elapsed() + self.timeout)
        pending.append(answer)
        self._alarm.set(answer.until)
        return answer

    def close(self) -> None:
        """Nothing is decided any more: say so to whoever still waits. Safe to call twice."""
        self._alarm.stop()
        while self._open:
            self._open.popleft().fail(CoordinatorStopping())

    def _look(self) -> None:
        now = self._clock.elapsed()
        while self._open and (self._open[0].is_done or self._open[0].until <= now):
            answer = self._open.popleft()
            text = f"saga {answer.saga_id!r}: no outcome in time, it is unknown; ask again"
            answer.fail(CoordinatorUnavailable(text))
        if self._open:
            self._alarm.set(self._open[0].until)


class PendingRequest:
    """One request's; see ``items.Waiter``.

    Attributes:
        until: When its time is over, in plain time.
    """

    __slots__ = ("_on_result", "is_done", "saga_id", "until")

    def __init__(self, saga_id: str, on_result: OnResult, until: Span) -> None:
        self._on_result = on_result
        self.saga_id = saga_id
        self.until = until
        self.is_done = False

    def succeed(self, result: StartResult) -> None:
        """See ``items.Waiter``."""
        self._finish(result)

    def fail(self, error: Exception) -> None:
        """See ``items.Waiter``."""
        self._finish(error)

    def abandon(self) -> None:
        """Nobody waits any more: a request that was not begun may be forgotten."""
        self.is_done = True

    def _finish(self, outcome: StartResult | Exception) -> None:
        if not self.is_done:
            self.is_done = True
            self._on_result(outcome)


def future_of(future: "asyncio.Future[T]") -> Callable[[T | Exception], None]:
    """Tells a future, if anybody waits for it still."""

    def on_result(outcome: T | Exception) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return on_result
