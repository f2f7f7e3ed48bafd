"""One timer of the event loop for the earliest of many deadlines."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from swit_saga_server.core.units import Instant, Span

Moment = TypeVar("Moment", Instant, Span)
"""A time of the deadlines' clock: the store's tells instants, plain time is a span since some moment."""

GRAIN = Span(1_000)
"""Deadlines closer than this are waited for as long: nobody is woken up for every microsecond."""


class Alarm(Generic[Moment]):
    """Calls back at the earliest time it was set to. Woken up too early, for a deadline that is gone, does no harm.

    Whoever keeps the deadlines sets the alarm for a new one, looks for what is due when it rings, and sets it again for
    the earliest that is left.
    """

    def __init__(self, now: Callable[[], Moment], ring: Callable[[], None]) -> None:
        """``now`` tells the time by the deadlines' clock, in microseconds; ``ring`` is called on the event loop."""
        self._now: Callable[[], Moment] = now
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._at: Moment  # Of the timer.

    def set(self, at: Moment | None) -> None:
        """Ring at ``at``, unless it rings earlier anyway; None is never."""
        if at is None:
            return
        timer = self._timer
        if timer is not None:
            if self._at <= at:
                return
            timer.cancel()
        wait_s = max(at - self._now(), GRAIN) / 1e6
        self._timer, self._at = asyncio.get_running_loop().call_later(wait_s, self._fire), at

    def stop(self) -> None:
        """Ring no more, until it is set again. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._ring()
