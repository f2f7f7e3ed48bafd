"""The command as a process: started, listened to, signalled, and never left behind."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = (sys.executable, "-m", "swit_saga")


@dataclass
class Command:
    """One that runs.

    Attributes:
        out, err: The lines read so far.
    """

    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    async def says(self, word: str, within_s: float = 15) -> str:
        """The first line from now on, on either output, with this word in it."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        outputs = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        reading = {asyncio.create_task(stream.readline()): (stream, lines) for stream, lines in outputs}
        try:
            async with asyncio.timeout(within_s):
                while reading:
                    done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        stream, lines = reading.pop(task)
                        if line := task.result().decode():
                            lines.append(line)
                            if word in line:
                                return line
                            reading[asyncio.create_task(stream.readline())] = (stream, lines)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
        raise AssertionError(f"it ended without saying {word!r}: {self.out} {self.err}")

    async def ends(self, within_s: float = 15) -> int:
        """Its exit code; what it still says is read."""
        async with asyncio.timeout(within_s):
            out, err = await self.process.communicate()
        self.out += (out or b"").decode().splitlines(keepends=True)
        self.err += (err or b"").decode().splitlines(keepends=True)
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def said(self) -> str:
        """All of it."""
        return "".join([*self.out, *self.err])


@asynccontextmanager
async def command(
    folder: Path, *words: str, variables: Mapping[str, str] | None = None, shell: str = ""
) -> AsyncIterator[Command]:
    """``swit-saga`` with these words, in a folder.

    Args:
        folder: It runs there, and has its temporary files there.
        words: Of the command line.
        variables: On top of those of this process.
        shell: Redirections, as a shell has them.
    """
    line = ("bash", "-c", f'exec "$@" {shell}', "bash", *COMMAND, *words) if shell else (*COMMAND, *words)
    process = await asyncio.create_subprocess_exec(
        *line,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **(variables or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
