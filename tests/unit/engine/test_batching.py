"""When a turn of the loop waits for more: while the thread is busy, as trying showed; never for a few sagas."""

from swit_saga_server.core.units import MILLISECOND, NO_TIME, Span
from swit_saga_server.engine.batching import COMMANDS_OUT, TRY_EVERY, BatchingWindow


class Thread:
    """Works a share of the time."""

    def __init__(self) -> None:
        self.worked = self.elapsed = NO_TIME

    def turns(self, window: BatchingWindow, number: int, busy: float, out: int = COMMANDS_OUT) -> int:
        """How many of so many turns waited."""
        waited = 0
        for _ in range(number):
            if window.begin(out):
                self.worked += Span(round(3_000 * busy))
                self.elapsed += 3 * MILLISECOND
                window.end()
                waited += 1
        return waited


def made() -> tuple[Thread, BatchingWindow]:
    thread = Thread()
    return thread, BatchingWindow(lambda: thread.worked, lambda: thread.elapsed)


def test_a_few_commands_are_never_kept_waiting():
    thread, window = made()
    assert thread.turns(window, 10 * TRY_EVERY, 1.0, out=COMMANDS_OUT - 1) == 0
    assert thread.turns(window, 10 * TRY_EVERY, 1.0) > 9 * TRY_EVERY / 2
    assert thread.turns(window, 100, 1.0, out=COMMANDS_OUT - 1) == 0, "nor after it was worth it for many"


def test_an_idle_thread_only_tries_now_and_then():
    thread, window = made()
    assert thread.turns(window, 10 * TRY_EVERY, 0.2) == 10


def test_a_busy_thread_waits_every_turn_until_it_is_idle():
    thread, window = made()
    thread.turns(window, 4 * TRY_EVERY, 0.9)
    assert thread.turns(window, 100, 0.9) == 100
    assert thread.turns(window, TRY_EVERY, 0.1) < 8
    assert thread.turns(window, TRY_EVERY, 0.1) == 1
    thread.turns(window, 4 * TRY_EVERY, 0.9)
    assert thread.turns(window, 100, 0.9) == 100


def test_a_clock_that_stands_still_is_no_trouble():
    thread, window = made()
    for _ in range(TRY_EVERY):
        if window.begin(COMMANDS_OUT):
            window.end()
    assert thread.turns(window, 1, 0.0) == 0
