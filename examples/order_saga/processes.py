"""The demo's processes: started, found by the port they print, killed and started again on the same port."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

START_S = 30.0


class Process:
    """One process of the demo. It keeps its port over restarts."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        folder: Path,
        *,
        program: str = sys.executable,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; ``{port}`` in the arguments becomes its port, 0 lets it choose one and say which.

        ``environment`` is beside our own.
        """
        self._environment = {**os.environ, **(environment or {})}
        self.name = name
        self.port = port
        self._program = program
        self._arguments = arguments
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it listens.

        Raises:
            RuntimeError: It ended or did not listen in time; with the end of its log.
        """
        command = [a.replace("{port}", str(self.port)) for a in self._arguments]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program, *command, stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environment
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                while line := await self._process.stdout.readline():
                    if found := re.search(rb"port[ =](\d+)", line):
                        self.port = int(found.group(1))
                        return
        except TimeoutError:
            pass
        raise RuntimeError(f"{self.name} did not start:\n{self._log.read_text()[-2_000:]}")

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of the process that runs; 0 if none does."""
        return self._process.pid if self._process is not None and self.is_running else 0

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self.is_running:
            os.kill(self._process.pid, number)

    async def kill(self) -> None:
        """SIGKILL: no chance to say goodbye."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heard."""
        try:
            async with asyncio.timeout(30):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        self.tell(number)
        await process.wait()
        self._process = None
