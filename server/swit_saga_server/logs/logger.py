"""What the parts log by: an event and fields, to the standard library's ``logging``."""

import json
import logging
import sys
from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

from swit_saga_server.logs.folding import Folding

ROOT = "swit_saga_server"

About: TypeAlias = Hashable | type
"""What a line tells of. (A type is hashable, too, but mypy does not find it so.)"""


_all: list["Log"] = []


class Log:
    """One module's logger. No method raises, whatever becomes of the line.

    The record's message is the event and its fields as text; its attributes ``event`` and ``fields`` have them apart.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self._folding = Folding(self._write)
        _all.append(self)

    def forget(self) -> None:
        """Begin anew with what is folded."""
        self._folding.forget()

    def debug(self, event: str, **fields: Any) -> None:
        """For those who work on the coordinator. Never folded."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, *, fold_by: About = None, **fields: Any) -> None:
        """In good order.

        Args:
            event: Its name, always the same.
            fold_by: What is told of; of each one line a period is written, see ``folding``.
            fields: Anything that has a text. ``exc_info`` is an exception whose traceback is written.
        """
        self._log(logging.INFO, event, fields, fold_by)

    def warning(self, event: str, *, fold_by: About = None, **fields: Any) -> None:
        """Somebody may want to know; it goes on by itself. See ``info``."""
        self._log(logging.WARNING, event, fields, fold_by)

    def error(self, event: str, *, fold_by: About = None, **fields: Any) -> None:
        """Somebody must look at it. See ``info``."""
        self._log(logging.ERROR, event, fields, fold_by)

    def critical(self, event: str, *, fold_by: About = None, **fields: Any) -> None:
        """The coordinator cannot go on, or the store has lost what it had. See ``info``."""
        self._log(logging.CRITICAL, event, fields, fold_by)

    def exception(self, event: str, *, fold_by: About = None, **fields: Any) -> None:
        """An error with the traceback of the exception that is being handled. See ``info``."""
        self._log(logging.ERROR, event, {"exc_info": True, **fields}, fold_by)

    def _log(self, level: int, event: str, fields: dict[str, Any], about: About = None) -> None:
        try:
            if not self._logger.isEnabledFor(level):
                return
            if level == logging.DEBUG or self._folding.admits(level, event, about, _kept(fields)):
                self._write(level, event, fields)
        except Exception:
            pass

    def _write(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        try:
            shown = {name: value for name, value in fields.items() if name != "exc_info"}
            text = " ".join([event, *(f"{name}={_text(value)}" for name, value in shown.items())])
            # Without arguments: a '%' in the text is a '%'.
            self._logger.log(
                level, text, exc_info=fields.get("exc_info"), stacklevel=4, extra={"event": event, "fields": shown}
            )
        except Exception:
            pass


def _text(value: Any) -> str:
    """On one line, whatever is in it: a participant may have said it."""
    text = str(value)
    plain = text.isascii() and text.isprintable() and not {" ", "=", '"'} & set(text)
    return text if plain and text else json.dumps(text)


def _kept(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may be held back for a while: no traceback, which holds on to all that its frames hold."""
    error = fields.get("exc_info")
    if error is None:
        return fields
    error = sys.exc_info()[1] if error is True else error
    return {**{n: v for n, v in fields.items() if n != "exc_info"}, "exception": type(error).__name__}


def get_logger(name: str) -> Log:
    """The logger of a module, ``__name__``."""
    return Log(name)


def forget_folded() -> None:
    """Of everything the next line is a first one again: for tests, which are not to depend on each other's lines."""
    for log in _all:
        log.forget()


def set_level(level: str) -> None:
    """What is logged from now on in this process: ``level`` and worse."""
    logging.getLogger(ROOT).setLevel(level.upper())
