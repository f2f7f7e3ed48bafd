"""SIGTERM, SIGINT and SIGHUP, from the first moment to the last: the first one stops in good order, another at once."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP comes when the terminal is closed."""
START_GRACE_S = 3.0
"""How long what was begun may take to end when a signal comes before anything is served."""


class StopSignals:
    """What the process does about signals while the context lasts.

    Not ``loop.add_signal_handler``: that needs a loop, and one that gets around to it.

    Attributes:
        stop: Set by the first signal; bound to the loop of ``attend``.
    """

    def __init__(self, clean_up: Callable[[], Any] = lambda: None) -> None:
        """Call ``clean_up`` before the process is ended at once: it must not wait for anything."""
        self.stop = asyncio.Event()
        self._clean_up = clean_up
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_come = False
        self._is_over = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # In another thread than the main one there are no signals to be had, and none come.
        if threading.current_thread() is threading.main_thread():
            heeded = list(NUMBERS)
            if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
                heeded.remove(signal.SIGHUP)  # ``nohup`` means it.
            self._before = {number: signal.signal(number, self._on_signal) for number in heeded}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def attend(self) -> None:
        """From now on the running loop takes the first signal."""
        self._loop = asyncio.get_running_loop()

    def finish(self) -> None:
        """All is closed: there is nothing left that a signal could stop."""
        self._is_over = True

    def end_within(self, grace_s: float) -> None:
        """End the process with exit code 0 when it has not ended by itself: nothing of it is of use to anybody."""
        timer = threading.Timer(grace_s, self._end, (0,))
        timer.daemon = True
        timer.start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:
            return
        if self._has_come and number == signal.SIGHUP:
            return  # Of one closed terminal, several may come.
        if self._has_come:
            name = signal.Signals(number).name
            _say(f"swit-saga: ended at once by a second signal ({name}); the next start resumes what was under way")
            self._end(128 + number)
        self._has_come = True
        if self._loop is None:
            sys.exit(0)  # Nothing was begun. From here it ends whatever waits, such as reading the file.
        try:
            self._loop.call_soon_threadsafe(self.stop.set)
        except RuntimeError:
            self._end(0)  # The loop is closed.

    def _end(self, code: int) -> None:
        try:
            self._clean_up()
        finally:
            os._exit(code)


def _say(text: str) -> None:
    """Without any lock, which what was interrupted may hold."""
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        return  # Nobody reads it.
