"""What takes part in the benchmark: processes on loopback, started and ended here, under a load of rounds."""

import asyncio
import json
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.machine import cpu_us, memory_kib

ROOT = Path(__file__).parents[2]
START_S = 60.0
WORKLOADS = frozenset({"success4", "idle", "half", "rejected", "steps10"})
"""Four steps as fast as can be; one saga at a time; at half of the former's rate; every tenth saga rejected at its
third step; ten steps.
"""


class Absent(Exception):
    """It cannot run here, and why."""


class Contestant(ABC):
    """One system under the load.

    Attributes:
        name: In tables.
        durability: What is durable when a saga counts as done.
        versions: Of what it runs on.
        workloads: Those it takes part in.
        transitions: Commits of a four-step saga, where they are known.
    """

    name: str
    durability: str
    versions: dict[str, str]
    workloads: frozenset[str] = WORKLOADS
    transitions: int = 0

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._driver: asyncio.subprocess.Process | None = None

    @abstractmethod
    async def start(self) -> None:
        """Start everything, the driver last.

        Raises:
            Absent: It is not installed.
        """

    @abstractmethod
    async def end(self) -> None:
        """End everything that was started."""

    @property
    @abstractmethod
    def pids(self) -> list[int]:
        """The processes that coordinate: whose time and memory count as the coordinator's."""

    async def stop(self) -> None:
        """End the driver and the rest, and remove what was written."""
        if self._driver is not None and self._driver.returncode is None:
            self._driver.kill()
            await self._driver.wait()
        await self.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def round(
        self, concurrency: int, seconds: float, workload: str = "success4", rate: float | None = None
    ) -> dict[str, float]:
        """One round of load: so many sagas at a time, or ``rate`` of them begun per second.

        Returns:
            ``sagas``, all of them completed, and the ``seconds`` that took; ``sagas_per_s``, ``p50_ms``, ``p99_ms``;
            ``cpu_us_per_saga`` and ``memory_mib`` of the coordinator.
        """
        asked = {"workload": workload, "seconds": seconds}
        asked |= {"concurrency": concurrency} if rate is None else {"rate": rate}
        before = sum(cpu_us(pid) for pid in self.pids)
        found = await self.ask(asked, seconds + 120)
        return {
            "sagas": found["sagas"],
            "seconds": found["seconds"],
            "sagas_per_s": found["sagas"] / found["seconds"],
            "p50_ms": found["p50_ms"],
            "p99_ms": found["p99_ms"],
            "cpu_us_per_saga": (sum(cpu_us(pid) for pid in self.pids) - before) / found["sagas"],
            "memory_mib": sum(memory_kib(pid) for pid in self.pids) / 1024,
        }

    async def ask(self, asked: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """What the driver says to this."""
        assert self._driver is not None
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(timeout_s):
            line = await self._driver.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the driver ended: {(self._folder / 'driver.log').read_text()[-2_000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    async def _drive(self, *arguments: str, python: str = sys.executable) -> None:
        with (self._folder / "driver.log").open("ab") as log:
            self._driver = await asyncio.create_subprocess_exec(
                python, "-m", *arguments, cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._driver.stdout is not None
        async with asyncio.timeout(START_S):
            while (line := await self._driver.stdout.readline()).strip() != b"ready":
                if not line:
                    raise RuntimeError(f"{self.name}: {(self._folder / 'driver.log').read_text()[-2_000:]}")
