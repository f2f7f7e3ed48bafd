"""Logs: structlog, one event name and fields a line, JSON or readable. Payloads never."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

EXPLAINED = {
    "step_in_doubt": "an ordinary exception or a lost answer says nothing certain: the step is taken as 'unknown' and "
    "asked again with the same key. Raise Reject(...) in the participant to say no for good.",
}


def set_up_logs(level: str, *, pretty: bool, explain: bool = False) -> None:
    """Configure the process's logs.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        pretty: Readable lines instead of JSON.
        explain: Say in words what an event means, for people new to sagas (``swit-saga dev``).
    """
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if explain:
        processors.append(_explain)
    if pretty:
        plain = structlog.dev.plain_traceback  # The rich one prints locals.
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))
    else:
        # Without locals: they hold requests, and with them payloads.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors += [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _explain(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    meaning = EXPLAINED.get(event["event"])
    if meaning:
        event["meaning"] = meaning
    return event
