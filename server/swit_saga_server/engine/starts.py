"""Starts without a task each: many at once cost no more than what is done with them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import Instant, Span
from swit_saga_server.engine.surroundings import Clock

Made: TypeAlias = tuple[Saga, bool]
"""A saga, durable, and whether this start created it."""
Told: TypeAlias = Callable[[Made | Exception], None]
"""Called once per start, on the engine's event loop; it must not raise."""


class Answer(Protocol):
    """Where one request's outcome goes. A future is one."""

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, made: Made, /) -> None:
        """It is durable."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """It was refused, or nobody knows."""
        ...


class NotHeld(Exception):
    """The saga's partition is another coordinator's: the request must go through the store."""


class Starts:
    """Hands starts to the loop and sees to it that each is answered in time."""

    def __init__(
        self,
        clock: Clock,
        answer_timeout: Span,
        elsewhere: Callable[[Saga, Definition], Awaitable[Made]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Take what is needed.

        Args:
            clock: For the time each may take.
            answer_timeout: How long that is.
            elsewhere: Starts a saga that turns out to be another coordinator's.
            spawn: Gives such a start a task.
        """
        self._clock = clock
        self._answer_timeout = answer_timeout
        self._elsewhere = elsewhere
        self._spawn = spawn
        self._open: deque[_Start] = deque()
        """Oldest first; all have the same time."""
        self._timer: asyncio.TimerHandle | None = None

    def new(self, saga: Saga, definition: Definition, told: Told) -> Answer:
        """The answer to hand in with a new saga; ``told`` hears of it within the time there is."""
        while self._open and self._open[0].is_done:
            self._open.popleft()
        start = _Start(self, saga, definition, told, self._clock.elapsed() + self._answer_timeout)
        self._open.append(start)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._answer_timeout / 1e6, self._look)
        return start

    def close(self) -> None:
        """Nobody is answered any more by the loop: say so to whoever still waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._open:
            self._open.popleft().set_exception(CoordinatorStopping())

    def go_elsewhere(self, start: "_Start") -> None:
        """The partition is not held here (any more)."""
        self._spawn(self._begin_elsewhere(start))

    async def _begin_elsewhere(self, start: "_Start") -> None:
        try:
            made = await self._elsewhere(start.saga, start.definition)
        except asyncio.CancelledError:
            start.finish(CoordinatorStopping())
            raise
        except Exception as refused:
            start.finish(refused)
        else:
            start.finish(made)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.elapsed()
        while self._open and (self._open[0].is_done or self._open[0].until <= now):
            start = self._open.popleft()
            text = f"saga {start.saga.id!r}: no outcome in time, it is unknown; ask again"
            start.finish(CoordinatorUnavailable(text))
        if self._open:
            wait_s = max(self._open[0].until - now, 1_000) / 1e6
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)


class _Start:
    """One start, waited for by its stream."""

    __slots__ = ("_starts", "_told", "definition", "is_done", "saga", "until")

    def __init__(self, starts: Starts, saga: Saga, definition: Definition, told: Told, until: Instant) -> None:
        self._starts = starts
        self._told = told
        self.saga = saga
        self.definition = definition
        self.until = until
        self.is_done = False

    def done(self) -> bool:
        return self.is_done

    def set_result(self, made: Made, /) -> None:
        self.finish(made)

    def set_exception(self, error: Exception, /) -> None:
        if isinstance(error, NotHeld) and not self.is_done:
            self._starts.go_elsewhere(self)
        else:
            self.finish(error)

    def finish(self, outcome: Made | Exception) -> None:
        if not self.is_done:
            self.is_done = True
            self._told(outcome)
