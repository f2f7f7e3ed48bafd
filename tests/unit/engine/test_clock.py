"""The coordinator's clock: never back, never still, and back with the store's before long."""

from swit_saga_server.core.units import MICROSECOND, NEVER, SECOND, Instant
from swit_saga_server.engine.environment import MonotonicClock

T0 = Instant(1_000_000 * SECOND)


class Time:
    def __init__(self) -> None:
        self.monotonic = 5 * SECOND

    def clock(self) -> MonotonicClock:
        return MonotonicClock(lambda: self.monotonic * 1000, lambda: T0 * 1000)


def test_a_step_of_the_stores_clock_is_followed():
    time = Time()
    clock = time.clock()
    assert clock.now() == T0
    clock.align(T0 + 100 * SECOND)
    assert clock.now() == T0 + 100 * SECOND
    time.monotonic += 7 * MICROSECOND
    assert clock.now() == T0 + 100 * SECOND + 7 * MICROSECOND


def test_set_back_it_goes_at_half_the_pace_until_the_store_has_caught_up():
    time = Time()
    clock = time.clock()
    before = clock.now()
    clock.align(before - 10 * SECOND)
    time.monotonic += 4 * SECOND
    assert clock.now() == before + 2 * SECOND
    time.monotonic += 16 * SECOND
    assert clock.now() == before + 10 * SECOND
    time.monotonic += SECOND
    assert clock.now() == before + 11 * SECOND


def test_reading_it_every_microsecond_does_not_stop_it():
    """Found by the simulator: half of one microsecond is none, and a timer span until the store had caught up."""
    time = Time()
    clock = time.clock()
    before = clock.now()
    clock.align(before - SECOND)
    for _ in range(1_000):
        time.monotonic += MICROSECOND
        clock.now()
    assert clock.now() == before + 500 * MICROSECOND


def test_elapsed_is_not_moved_by_anybody():
    time = Time()
    clock = time.clock()
    clock.align(NEVER)
    assert clock.elapsed() == 5 * SECOND
