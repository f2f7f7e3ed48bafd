"""The load, the same for all: so many customers, each with one saga at a time, for so many seconds.

Standard library only: the contestants' drivers run in environments of their own.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

PAYLOAD = "x" * 200


async def answer_rounds(one: Callable[[], Awaitable[Any]]) -> None:
    """Answer every line ``{"concurrency": n, "seconds": s}`` of standard input with what a round of it came to."""
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        print(json.dumps(await one_round(one, asked["concurrency"], asked["seconds"])), flush=True)


async def one_round(one: Callable[[], Awaitable[Any]], concurrency: int, seconds: float) -> dict[str, float]:
    """Run it; sagas begun within the time are finished, and counted with the time that took."""
    took: list[float] = []
    begun = time.perf_counter()
    until = begun + seconds

    async def customer() -> None:
        while (start := time.perf_counter()) < until:
            await one()
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(customer() for _ in range(concurrency)))
    elapsed = time.perf_counter() - begun
    took.sort()
    return {
        "sagas": len(took),
        "seconds": elapsed,
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[min(len(took) * 99 // 100, len(took) - 1)] * 1e3,
    }
