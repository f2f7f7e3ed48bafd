"""Lines that repeat become one now and then, with a count: what happens to a thousand sagas at a time is said once.

The first lines of an event are written as they come, the others counted; at the end of a period one line says how many
there were, with the fields of the last. So each event, and each thing it is told of, has a line a period at most.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

PERIOD_S = 5.0
FREE_LINES = 20
"""Lines of an event in a period that are written each, where nothing says what it is told of."""
MAX_KEYS = 1_000
"""Events and what they are told of, at a time; all beyond share one."""

Tell: TypeAlias = Callable[[int, str, Mapping[str, Any]], None]
Key: TypeAlias = tuple[str, Hashable]
_OTHERS = "(others)"


@dataclass(slots=True)
class _Fold:
    """What was held back of one event.

    Attributes:
        until: The end of its period.
        free: Lines that are still written each.
        held: Lines held back in the period.
        level, fields: Of the last of them.
        is_timed: Something will look at it at the end of the period.
    """

    until: float
    free: int
    held: int = 0
    level: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    is_timed: bool = False


class Folding:
    """The lines of one logger. Safe to use from many threads."""

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        """Write what is to be written later by ``tell``, which must not raise."""
        self._tell = tell
        self._clock = clock
        self._folds: dict[Key, _Fold] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Begin anew: of everything the next line is a first one."""
        with self._lock:
            self._folds.clear()

    def admits(self, level: int, event: str, about: Hashable, fields: Mapping[str, Any]) -> bool:
        """Whether a line is to be written now; if not, it is counted.

        Args:
            level: The line's.
            event: Its name.
            about: What is told of, such as a participant: of each, one line is written and then their number. None is
                for events of which each line says something new, up to ``FREE_LINES`` of them.
            fields: The line's.
        """
        now = self._clock()
        with self._lock:
            key = self._key(event, about, now)
            fold = self._folds.get(key)
            if fold is None or (now >= fold.until and not fold.held):
                self._folds[key] = _Fold(now + PERIOD_S, (FREE_LINES if about is None else 1) - 1)
                return True
            told = self._end_period(key, fold, now) if now >= fold.until else None
            admitted = fold.free > 0
            if admitted:
                fold.free -= 1
            else:
                fold.held, fold.level, fold.fields = fold.held + 1, level, fields
                self._look_again(key, fold, now)
        if told is not None:
            self._tell(*told)
        return admitted

    def _key(self, event: str, about: Hashable, now: float) -> Key:
        key = (event, about)
        if len(self._folds) < MAX_KEYS or key in self._folds:
            return key
        for old in [k for k, fold in self._folds.items() if now >= fold.until and not fold.held]:
            del self._folds[old]
        return key if len(self._folds) < MAX_KEYS else (event, _OTHERS)

    def _end_period(self, key: Key, fold: _Fold, now: float) -> tuple[int, str, Mapping[str, Any]] | None:
        told = None
        if fold.held:
            told = (fold.level, key[0], {**fold.fields, "more": fold.held, "within_s": PERIOD_S})
        fold.held, fold.until, fold.fields = 0, now + PERIOD_S, {}
        fold.free = FREE_LINES if key[1] is None else 0
        return told

    def _look_again(self, key: Key, fold: _Fold, now: float) -> None:
        """At the end of the period, if there is a loop to do so; else the next line does."""
        if fold.is_timed:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        fold.is_timed = True
        loop.call_later(fold.until - now, self._on_time, key, fold)

    def _on_time(self, key: Key, fold: _Fold) -> None:
        now = self._clock()
        with self._lock:
            fold.is_timed = False
            told = self._end_period(key, fold, now) if fold.held else None
        if told is not None:
            self._tell(*told)
