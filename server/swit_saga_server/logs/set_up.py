"""The logs of a process of our own: JSON or readable lines on standard error, of ours and of the libraries."""

import logging
import os
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from swit_saga_server.logs.folding import Folding
from swit_saga_server.logs.logger import ROOT
from swit_saga_server.logs.output import Output

_AGAIN = "The step is taken as 'unknown' and asked for again with the same key."
EXPLAINED = {
    (
        "step_in_doubt",
        "UNAVAILABLE",
    ): f"the participant was not reached, or the connection broke: does it run, and at this address? {_AGAIN}",
    ("step_in_doubt", "UNIMPLEMENTED"): f"what answers at the participant's address is no participant. {_AGAIN}",
    ("step_in_doubt", "DEADLINE_EXCEEDED"): f"the participant did not answer within the step's timeout. {_AGAIN}",
    ("step_in_doubt", None): f"an ordinary exception or a lost answer says nothing certain. {_AGAIN} "
    "Raise Reject(...) in the participant to say no for good.",
}
"""What an event with this code means; None stands for every other code."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def set_up_logs(level: str, *, pretty: bool, explain: bool = False, fd: int = 2) -> None:
    """Configure the process's logs. Safe to call again.

    Args:
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``; of libraries nothing below a warning.
        pretty: Readable lines instead of JSON.
        explain: Say in words what an event means, for people new to sagas (``swit-saga dev``).
        fd: Where the lines go.
    """
    root, number = logging.getLogger(), logging.getLevelNamesMapping()[level.upper()]
    for handler in list(root.handlers):
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    root.addHandler(_Handler(_Lines(pretty=pretty, explain=explain, colors=pretty and os.isatty(fd)), Output(fd)))
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger(ROOT).setLevel(number)


class _Handler(logging.Handler):
    """Writes lines to an output. It raises nothing, and prints nothing of its own troubles."""

    def __init__(self, lines: "_Lines", output: Output) -> None:
        super().__init__()
        self.setFormatter(lines)
        self._lines = lines
        self._output = output
        self._foreign = Folding(self._tell)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if hasattr(record, "fields") or self._foreign.admits(
                record.levelno, record.name, str(record.msg), {"last": record.getMessage()}
            ):
                self._output.write(self.format(record))
        except Exception:
            self._output.lost += 1

    def _tell(self, level: int, event: str, fields: Any) -> None:
        try:
            self._output.write(self._lines.line({"event": "repeated", "logger": event, **fields}, level, None))
        except Exception:
            self._output.lost += 1


class _Lines(logging.Formatter):
    """Records as lines."""

    def __init__(self, *, pretty: bool, explain: bool, colors: bool) -> None:
        super().__init__()
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        processors: list[Any] = [_explain] if explain else []
        if pretty:
            plain = structlog.dev.plain_traceback  # The rich one prints locals.
            processors += [_printable, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
        else:
            # Without locals: they hold requests, and with them payloads.
            tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            processors += [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
        self._processors = processors

    def format(self, record: logging.LogRecord) -> str:
        if hasattr(record, "fields"):
            return self.line({"event": getattr(record, "event", ""), **record.fields}, record.levelno, record.exc_info)
        return self.line({"event": record.getMessage(), "logger": record.name}, record.levelno, record.exc_info)

    def line(self, event: MutableMapping[str, Any], level: int, exc_info: Any) -> str:
        """One line, with its level, its time and, if there is an exception, its traceback."""
        event["level"] = logging.getLevelName(level).lower()
        made: Any = self._stamp(None, "", event)
        if exc_info:
            made["exc_info"] = exc_info
        for processor in self._processors:
            made = processor(None, event["level"], made)
        return str(made)


def _explain(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    meaning = EXPLAINED.get((event["event"], event.get("code"))) or EXPLAINED.get((event["event"], None))
    if meaning:
        event["meaning"] = meaning
    return event


def _printable(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A participant's words must not write to the terminal what is no text."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value).replace("\n", "\\n")
    return event
