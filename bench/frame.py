"""The run: everybody started, tuned, and measured in turn, so that what else the machine does meets all alike."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contestants import Absent, Contestant

CONCURRENCY = (1, 16, 64, 200, 500, 1_000)
TUNE_S = 1.5
IDLE_S = 1.5
FIGURES = ("sagas_per_s", "p50_ms", "p99_ms", "cpu_us_per_saga", "memory_mib")


@dataclass
class Result:
    """One contestant's figures.

    Attributes:
        absent: Why it did not run; empty if it did.
        concurrency: With which it was best.
        transitions: Commits of a four-step saga; 0 if not known.
        rounds: By workload: one dict of figures per round.
    """

    name: str
    durability: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    absent: str = ""
    concurrency: int = 0
    transitions: int = 0
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def median(self, figure: str, workload: str = "success4") -> float:
        """Of all rounds; 0 without any."""
        return statistics.median([r[figure] for r in self.rounds.get(workload, [])] or [0.0])

    def spread(self, figure: str, workload: str = "success4") -> tuple[float, float]:
        """Least and most."""
        found = [r[figure] for r in self.rounds.get(workload, [])] or [0.0]
        return min(found), max(found)

    def as_json(self) -> dict[str, Any]:
        """For latest.json."""
        if self.absent:
            return {"absent": self.absent}
        made: dict[str, Any] = {
            "durability": self.durability,
            "versions": self.versions,
            "concurrency": self.concurrency,
        }
        for workload in self.rounds:
            low, high = self.spread("sagas_per_s", workload)
            made[workload] = {f: round(self.median(f, workload), 2) for f in FIGURES}
            made[workload] |= {"least_per_s": round(low, 1), "most_per_s": round(high, 1)}
        if self.transitions:
            made["cpu_us_per_transition"] = round(self.median("cpu_us_per_saga") / self.transitions, 1)
        return made


async def run(
    contestants: Sequence[Contestant], workloads: Sequence[str], *, rounds: int, seconds: float
) -> list[Result]:
    """All of it; one at a time is under load, the others idle. ``workloads`` begin with success4.

    A contestant that is absent or breaks is reported as that.
    """
    results = [Result(c.name, c.durability, transitions=c.transitions) for c in contestants]
    running: list[tuple[Contestant, Result]] = []
    try:
        for contestant, result in zip(contestants, results, strict=True):
            try:
                await contestant.start()
                running.append((contestant, result))
                result.versions = contestant.versions
                result.concurrency = await _tuned(contestant)
                print(f"{contestant.name}: best with {result.concurrency} at a time", flush=True)
            except Absent as absent:
                result.absent = str(absent)
                print(f"{contestant.name}: absent: {absent}", flush=True)
        for number in range(rounds):
            for contestant, result in running:
                for workload in workloads:
                    if workload in contestant.workloads:
                        found = await _one_round(contestant, result, workload, seconds)
                        result.rounds.setdefault(workload, []).append(found)
                        rate = f"{found['sagas_per_s']:.0f} sagas/s, p50 {found['p50_ms']:.1f} ms"
                        print(f"round {number + 1}, {contestant.name}, {workload}: {rate}", flush=True)
    finally:
        await asyncio.gather(*(c.stop() for c in contestants), return_exceptions=True)
    return results


async def _one_round(contestant: Contestant, result: Result, workload: str, seconds: float) -> dict[str, float]:
    match workload:
        case "idle":
            return await contestant.round(1, IDLE_S, workload)
        case "half":
            return await contestant.round(0, seconds, workload, rate=result.median("sagas_per_s") / 2)
        case _:
            return await contestant.round(result.concurrency, seconds, workload)


async def _tuned(contestant: Contestant) -> int:
    """The concurrency with the best throughput; the search ends when more no longer helps."""
    best, best_rate = 1, 0.0
    await contestant.round(8, 1.0)  # Connections are made, code is warm.
    for concurrency in CONCURRENCY:
        rate = (await contestant.round(concurrency, TUNE_S))["sagas_per_s"]
        if rate > best_rate:
            best, best_rate = concurrency, rate
        elif rate < best_rate * 0.8:
            break
    return best
