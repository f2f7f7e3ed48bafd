"""The load, the same for all: so many customers, each with one saga at a time, for so many seconds; or sagas begun at a
fixed rate, whether those before are over or not.

Standard library only: the contestants' drivers run in environments of their own.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STEPS = ("order", "stock", "pay", "ship", "bill", "note", "pack", "send", "mail", "close")
PAYLOAD = "x" * 200
REFUSED = "r" + "x" * 199
"""What the third step rejects."""
REFUSED_EVERY = 10


@dataclass(frozen=True)
class Order:
    """One saga to be run.

    Attributes:
        ten: With ten steps, else with four.
        value: What it is started with; every step returns it.
    """

    ten: bool
    value: str

    @property
    def is_refused(self) -> bool:
        """Its third step rejects; the two before must be undone."""
        return self.value == REFUSED

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of its steps."""
        return STEPS if self.ten else STEPS[:4]


One = Callable[[Order], Awaitable[Any]]
"""Runs one to its outcome, and raises if that is not the one it must have."""


def orders(workload: str) -> Iterator[Order]:
    """The sagas of a workload, without end."""
    refusing = workload == "rejected"
    for number in itertools.count(1):
        yield Order(workload == "steps10", REFUSED if refusing and number % REFUSED_EVERY == 0 else PAYLOAD)


async def answer_rounds(one: One, others: Mapping[str, Callable[[Any], Awaitable[Any]]] | None = None) -> None:
    """Answer every line ``{"workload": w, "seconds": s, "concurrency": n or "rate": sagas per second}`` of standard
    input with what a round of it came to; ``{"do": name}`` with what that one of ``others`` returns.
    """
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        if "do" in asked and others is not None:
            found = await others[asked["do"]](asked)
        elif "rate" in asked:
            found = await one_paced_round(one, asked["workload"], asked["rate"], asked["seconds"])
        else:
            found = await one_round(one, asked["workload"], asked["concurrency"], asked["seconds"])
        print(json.dumps(found), flush=True)


async def one_round(one: One, workload: str, concurrency: int, seconds: float) -> dict[str, float]:
    """Run it; sagas begun within the time are finished, and counted with the time that took."""
    took: list[float] = []
    todo = orders(workload)
    begun = time.perf_counter()
    until = begun + seconds

    async def customer() -> None:
        while (start := time.perf_counter()) < until:
            await one(next(todo))
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(customer() for _ in range(concurrency)))
    return _found(took, time.perf_counter() - begun)


async def one_paced_round(one: One, workload: str, rate: float, seconds: float) -> dict[str, float]:
    """Run it; a saga that is begun late because this program was busy has waited since it should have been."""
    took: list[float] = []
    todo = orders(workload)
    begun = time.perf_counter()

    async def customer(due: float) -> None:
        await one(next(todo))
        took.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as customers:
        for number in range(max(int(rate * seconds), 1)):
            due = begun + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            customers.create_task(customer(due))
    return _found(took, time.perf_counter() - begun)


def _found(took: list[float], elapsed: float) -> dict[str, float]:
    took.sort()
    return {
        "sagas": len(took),
        "seconds": elapsed,
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[min(len(took) * 99 // 100, len(took) - 1)] * 1e3,
    }
