"""Whether a turn of the loop waits a little for more inputs: a round costs nearly the same with one saga or with ten.

While this thread has other work, such as taking in answers that come one by one, a turn that waits a few
milliseconds costs nothing and finds more to do in one go. While it has none, whoever waits for that turn would wait for
nothing. Which it is shows by trying, now and then.
"""

from collections.abc import Callable

from swit_saga_server.core.units import NO_TIME, Span

WAIT = Span(3_000)
"""How long a turn waits."""
COMMANDS_OUT = 8
"""With fewer it is not even tried: a saga that hurries alone is not made to wait."""
BUSY = 0.5
"""The share of a wait, of late, in which this thread must have worked for the next to be worth it."""
LATEST = 0.4
"""The share of the latest wait in what is known of them."""
TRY_EVERY = 512
"""Turns from one try to the next while it is not worth it."""


class BatchingWindow:
    """Remembers how busy this thread was while a turn waited."""

    def __init__(self, worked: Callable[[], Span], elapsed: Callable[[], Span]) -> None:
        """``worked`` tells how long this thread has worked so far, ``elapsed`` plain time."""
        self._worked, self._elapsed = worked, elapsed
        self._busy = 0.0
        self._turns = 0
        self._began: tuple[Span, Span] = NO_TIME, NO_TIME

    def begin(self, commands_out: int) -> bool:
        """Whether this turn should wait; ``end`` is to follow."""
        if commands_out < COMMANDS_OUT:
            return False
        self._turns += 1
        if self._busy < BUSY and self._turns % TRY_EVERY:
            return False
        self._began = self._worked(), self._elapsed()
        return True

    def end(self) -> None:
        """The turn has waited."""
        worked, began = self._began
        share = (self._worked() - worked) / max(self._elapsed() - began, 1)
        self._busy += LATEST * (share - self._busy)
