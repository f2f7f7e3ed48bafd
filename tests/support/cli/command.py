"""The command line in this process: what a command printed, and its exit code."""

import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from swit_saga_server.cli import main


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


Cli = Callable[..., Awaitable[Said]]


class Screen(io.TextIOWrapper):
    """Standard output or error as a command has it."""

    def __init__(self, encoding: str = "utf-8", *, tty: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n", write_through=True)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def exit_code_of() -> int:
    """Run a command to its end; the caller looks after ``sys.stdout`` and ``sys.stderr``."""
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("a command line ends by exiting")


async def run(
    monkeypatch: pytest.MonkeyPatch, *words: str, encoding: str = "utf-8", tty: bool = False, stdin: bytes = b""
) -> Said:
    """Run a command whose output is not read by anybody but the test."""
    out, err = Screen(encoding, tty=tty), Screen(encoding, tty=tty)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["swit-saga", *words])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = await asyncio.to_thread(exit_code_of)
    return Said(code, out.text, err.text)


async def run_into_closed_pipe(monkeypatch: pytest.MonkeyPatch, *words: str) -> Said:
    """Run a command whose output goes into a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    err = Screen()
    with monkeypatch.context() as patch, os.fdopen(writer, "w", encoding="utf-8") as out:
        patch.setattr(sys, "argv", ["swit-saga", *words])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = await asyncio.to_thread(exit_code_of)
    return Said(code, "", err.text)
