"""What a mutant raises by itself, seen wherever it is swallowed."""

import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any

from swit_saga_server.core.errors import SagaError
from tests.support.planting.mutant import NOTE, NOTING, PLANTED, Mutant

OWN_ERRORS = (TypeError, NameError, AttributeError, ImportError)
"""What code dies of that was never right: raised where the mistake stands, they say nothing about the tests."""
TESTS = Path(__file__).parents[2]
OURS = (PLANTED, *(str(TESTS.parent / folder) for folder in ("server", "client", "tests", "examples")))


def is_own_error(text: str) -> bool:
    """Whether a text, as a saga that was set aside has it, tells of an error that only a broken mutant has."""
    return text.split(":")[0] in _names_of(OWN_ERRORS)


def raised_in(error: BaseException) -> str:
    """The file of the innermost frame that is ours."""
    files = [at.tb_frame.f_code.co_filename for at in _frames(error.__traceback__)]
    return next((file for file in reversed(files) if file.startswith(OURS)), "")


class Watch:
    """Keeps what a mutant raised by itself, as text: a kept exception would keep a whole world alive.

    Attributes:
        found: What it was, in order, each once.
    """

    def __init__(self, mutant: Mutant) -> None:
        self.found: list[str] = []
        self._mutant = mutant

    def note(self) -> None:
        """Called in the mutant, in the handler of whatever passes."""
        error = sys.exception()
        if isinstance(error, OWN_ERRORS) and raised_in(error) == self._mutant.file:
            self._add(f"{type(error).__name__}: {error} ({self._line(error)})")

    def noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A lambda of the mutant, watched like the rest of it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                return call(*args, **kwargs)
            except Exception:
                self.note()
                raise

        return watched

    def setting_aside(self, quarantine: Callable[..., Any]) -> Callable[..., Any]:
        """``quarantine``, watched: the engine puts there what failed while deciding, and goes on."""

        @wraps(quarantine)
        def watched(saga: Any, error: SagaError, now: Any) -> Any:
            if is_own_error(error.message):
                self._add(f"a saga was set aside: {error.message}")
            return quarantine(saga, error, now)

        return watched

    @contextmanager
    def in_globals(self) -> Iterator[None]:
        """The mutant can call this, and tracebacks find its source, while the context lasts."""
        names, file, source = vars(self._mutant.module), self._mutant.file, self._mutant.source
        names |= {NOTE: self.note, NOTING: self.noting}
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            yield
        finally:
            del names[NOTE], names[NOTING], linecache.cache[file]

    def _add(self, what: str) -> None:
        if what not in self.found:
            self.found.append(what)

    def _line(self, error: BaseException) -> str:
        """The mutant's line that raised it."""
        *_, at = (at for at in _frames(error.__traceback__) if at.tb_frame.f_code.co_filename == self._mutant.file)
        return self._mutant.source.split("\n")[at.tb_lineno - 1].strip()


def _frames(at: TracebackType | None) -> Iterator[TracebackType]:
    while at is not None:
        yield at
        at = at.tb_next


def _names_of(kinds: tuple[type, ...]) -> set[str]:
    return {name for kind in kinds for name in (kind.__name__, *_names_of(tuple(kind.__subclasses__())))}
