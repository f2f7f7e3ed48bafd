"""What the engine must not reach for by itself: time, chance, ids, how busy it is. A simulation brings its own."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from swit_saga_server.core.units import MICROSECOND, NEVER, NO_TIME, Instant, Span


class Clock(Protocol):
    """The time by the store's clock, and plain time."""

    def now(self) -> Instant:
        """The time by the store's clock. Never goes backwards."""
        ...

    def elapsed(self) -> Span:
        """Plain time since some moment, at an even pace, whatever any clock is set to. Leases are judged by it."""
        ...

    def align(self, store_now: Instant) -> None:
        """Learn the store's time."""
        ...


class MonotonicClock:
    """The local monotonic clock plus an offset to the store's clock; a step of the wall clock does not move it."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns):
        self._monotonic_ns = monotonic_ns
        self._offset = Instant(wall_ns() // 1000) - self.elapsed()
        self._last = NEVER
        self._read_at = NO_TIME

    def now(self) -> Instant:
        """Microseconds since the epoch; at half the pace while it is ahead of the store's clock.

        It does not stand still then, for timers and deadlines must go on however far the store's clock was set back.
        """
        elapsed = self._monotonic_ns() // 1000 * MICROSECOND
        step = (elapsed - self._read_at) // 2
        self._read_at += 2 * step  # An odd microsecond is kept, or reading it often would stop the clock.
        self._last = max(self._last + step, elapsed + self._offset)
        return self._last

    def elapsed(self) -> Span:
        """See ``Clock``."""
        return self._monotonic_ns() // 1000 * MICROSECOND

    def align(self, store_now: Instant) -> None:
        """Take the store's time as the truth from now on."""
        self.now()
        self._offset = store_now - self.elapsed()


@dataclass(frozen=True, slots=True)
class Environment:
    """Time, chance, ids and work, handed in.

    Attributes:
        clock: The time by the store's clock.
        rng: For jitter, ids and nonces. Seeded in a simulation.
        worked: How long the calling thread has worked so far; always the same in a simulation.
    """

    clock: Clock = field(default_factory=MonotonicClock)
    # Seeded by the system, once: asking it for every id and every chance cost a fifteenth of a transition.
    rng: random.Random = field(default_factory=random.Random)
    worked: Callable[[], Span] = lambda: time.thread_time_ns() // 1000 * MICROSECOND

    def chance(self) -> float:
        """Uniform in [0, 1)."""
        return self.rng.random()

    def hex(self, digits: int) -> str:
        """Random lower-case hex digits, not all zero."""
        return f"{self.rng.getrandbits(4 * digits) or 1:0{digits}x}"

    def time_ordered_id(self) -> str:
        """A unique id that sorts by time, so that a B-tree grows at its end: 11 digits of milliseconds, 21 random."""
        return f"{self.clock.now() // 1000:011x}{self.hex(21)}"
