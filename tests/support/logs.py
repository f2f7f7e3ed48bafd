"""What was logged, for tests to look at."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(
            {
                "event": getattr(record, "event", record.getMessage()),
                "level": record.levelname.lower(),
                "exception": record.exc_info[1] if record.exc_info else None,
                **getattr(record, "fields", {}),
            }
        )


@contextmanager
def logged(name: str = "swit_saga_server", level: int = logging.DEBUG) -> Iterator[list[dict[str, Any]]]:
    """Every line logged meanwhile under ``name``: its event, level, exception and fields. It goes nowhere else."""
    logger, kept = logging.getLogger(name), _Kept()
    before = logger.level, logger.propagate
    logger.addHandler(kept)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield kept.lines
    finally:
        logger.removeHandler(kept)
        logger.setLevel(before[0])
        logger.propagate = before[1]
