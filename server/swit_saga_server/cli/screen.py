"""What people see: the one way for data to a terminal or a pipe.

Ids, reasons, names and errors come from anybody. They are shown as text and as nothing else: no markup is looked for,
and what a terminal would act on is shown escaped.
"""

import os
import shutil
import stat
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = "  "
LEAST_WIDTH = 20
"""Cells of a table's last column below which it is not folded."""


def shown(text: str) -> str:
    r"""Data as it may be put on a screen: on one line, and whatever does not print shown escaped, as in ``\x1b[31m``.

    That is every control character (escape sequences, carriage returns, newlines), every format character (which turn
    the direction of what follows, or are not seen) and what is no character at all.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else _escaped(c) for c in text)


def say(line: str = "") -> None:
    """A line of output; its data went through ``shown``.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    print(line, flush=True)


def note(line: str) -> None:
    """A line beside the output, for people: progress, and what went wrong; its data went through ``shown``."""
    print(f"swit-saga: {line}", file=sys.stderr, flush=True)


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows, the first of which are the headings, in columns; the cells are data.

    Nothing is ever cut. On a terminal the last column is folded into what is left of the line.
    """
    for line in aligned(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        say(line)


def aligned(rows: Sequence[Sequence[str]], width: int | None) -> Iterable[str]:
    """The lines of a table.

    Args:
        rows: The cells, which are data; all rows have as many.
        width: Cells of a line, into which the last column is folded where it can be; None never folds.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]) - 1)]
    indent = sum(widths) + len(GAP) * len(widths)
    left = width - indent if width is not None and width - indent >= LEAST_WIDTH else None
    for *fixed, last in cells:
        before = "".join(cell + " " * (w - cell_len(cell)) + GAP for cell, w in zip(fixed, widths, strict=True))
        for part in _folded(last, left):
            yield (before + part).rstrip()
            before = " " * indent


def moment(at: datetime) -> str:
    """A time, to the millisecond."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def prepare() -> None:
    """Have output take every character: what its encoding lacks is shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def let_go(stream: TextIO) -> None:
    """Nobody reads this any more: what is still to be written goes nowhere, and Python's own end says nothing."""
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), number)


def output_pipe() -> int | None:
    """The number of the pipe that output goes to; None if it goes elsewhere."""
    try:
        number = sys.stdout.fileno()
        return number if stat.S_ISFIFO(os.fstat(number).st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None


def _folded(cell: str, width: int | None) -> Iterable[str]:
    if width is None or cell_len(cell) <= width:
        return (cell,)
    return (line.plain.rstrip() for line in Text(cell).wrap(Console(width=width), width, overflow="fold"))


def _escaped(c: str) -> str:
    code = ord(c)
    if c in "\n\r\t":
        return repr(c)[1:-1]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
