"""The participants of examples/ that are not Python, as processes: built by ``make other-languages``."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".cache" / "other-languages"
COMMANDS = {
    "go": (["participant"], ["-listen", "127.0.0.1:0"]),
    "typescript": (["node", "dist/main.js"], ["127.0.0.1:0"]),
}
"""By language: the words that start the built participant, the last of them a file; and where it is to listen."""


class Told:
    """What a participant prints: a line for each command, "began" or "joined", its key and attempt.

    Attributes:
        port: Where it listens.
        lines: All so far, but for the first.
    """

    def __init__(self) -> None:
        self.port = 0
        self.lines: list[str] = []
        self._more = asyncio.Event()

    async def read(self, out: asyncio.StreamReader) -> None:
        while line := (await out.readline()).decode().strip():
            if (listens := re.fullmatch(r"participant inventory on port (\d+)", line)) is not None:
                self.port = int(listens[1])
            else:
                self.lines.append(line)
            self._more.set()

    async def until(self, beginning: str) -> None:
        """A line begins like this, or the port is known if that is nothing."""
        while not (self.port and any(line.startswith(beginning) for line in ["", *self.lines])):
            self._more.clear()
            await self._more.wait()

    def of(self, key: str) -> list[str]:
        """What was done for the commands of this key, in order."""
        return [line.split()[0] for line in self.lines if line.split()[1] == key]


def program(language: str) -> list[str]:
    """The command that runs it, in ``BUILT / language``; skips the test if there is none of the present sources."""
    words, listen = COMMANDS[language]
    built = BUILT / language / words[-1]
    example = ROOT / "examples" / f"{language}-participant"
    sources = [*(ROOT / "protos").rglob("*.proto"), *(p for p in example.iterdir() if p.suffix != ".md")]
    if not built.exists():
        pytest.skip(f"the {language} participant is not built: make other-languages")
    if built.stat().st_mtime < max(p.stat().st_mtime for p in sources if p.is_file()):
        pytest.skip(f"the {language} participant was built of older sources: make other-languages")
    return [str(built), *listen] if len(words) == 1 else [*words, *listen]


@asynccontextmanager
async def participant(language: str) -> AsyncIterator[Told]:
    """It runs, and ends well on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *program(language), cwd=BUILT / language, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    told = Told()
    reading = asyncio.create_task(told.read(process.stdout))
    try:
        async with asyncio.timeout(10):
            await told.until("")
        yield told
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await process.wait()
            await reading
    assert process.returncode == 0
