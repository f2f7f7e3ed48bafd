"""The measuring: both sides in turn, each time with processes and a store of its own.

Every measurement has new processes, for one process differs from the next of the same code (hash seed, where its memory
lies) by more than what is looked for: figures that came from one process each would be as near to each other as they
like and say nothing of the code. Only the coordinator differs: client, participant and load are the working tree's.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.against.checkout import Side
from bench.contestants import Swit

SideName = Literal["old", "new"]
STORES = {"everysec": "Redis everysec", "sqlite": "SQLite FULL"}
"""As ``Swit`` takes them, and for people."""
START_S = 60.0


@dataclass(frozen=True)
class Load:
    """What is asked of each.

    Attributes:
        sagas_at_a_time: Customers, each with one four-step saga at a time; starts, waits and steps go by stream.
        warm_up_s, measured_s: How long sagas are begun; those under way are finished, and counted.
    """

    sagas_at_a_time: int = 500
    warm_up_s: float = 1.0
    measured_s: float = 2.5


@dataclass(frozen=True)
class Measured:
    """One coordinator under load.

    Attributes:
        cpu_us_per_saga: Processor time of its process, user and system, by the sagas that were completed meanwhile.
        sagas_per_s: Those.
    """

    cpu_us_per_saga: float
    sagas_per_s: float


@dataclass(frozen=True)
class Pair:
    """Both sides, one right after the other on one store.

    Attributes:
        store: A key of ``STORES``.
        first: Which of them was first.
    """

    store: str
    first: SideName
    old: Measured
    new: Measured

    @property
    def cpu_ratio(self) -> float:
        """Of processor time per saga, new to old: less is better."""
        return self.new.cpu_us_per_saga / self.old.cpu_us_per_saga

    @property
    def throughput_ratio(self) -> float:
        """Of sagas per second, new to old: more is better."""
        return self.new.sagas_per_s / self.old.sagas_per_s


def order(number: int) -> tuple[SideName, SideName]:
    """Who goes first and who second in the pair of this number, from 0: old new, new old, old new, ...

    So a machine that becomes slower or faster by and by favours neither.
    """
    return ("old", "new") if number % 2 == 0 else ("new", "old")


async def compare(
    old: Side, new: Side, *, pairs: int, load: Load, stores: Sequence[str] = tuple(STORES)
) -> AsyncIterator[Pair]:
    """So many pairs of each store, the stores in turn, each pair as soon as it is there."""
    sides: dict[SideName, Side] = {"old": old, "new": new}
    for number in range(pairs):
        for store in stores:
            found: dict[SideName, Measured] = {}
            for name in order(number):
                found[name] = await measure(store, sides[name].python, load)
            yield Pair(store, order(number)[0], found["old"], found["new"])


async def measure(store: str, python: str, load: Load) -> Measured:
    """Start everything, warm it up, measure and end it.

    Raises:
        RuntimeError: Something did not start, or a saga failed.
        TimeoutError: It took far longer than it may.
    """
    swit = Swit(store, "", python=python)
    try:
        async with asyncio.timeout(START_S + 10 * (load.warm_up_s + load.measured_s)):
            await swit.start()
            await swit.round(load.sagas_at_a_time, load.warm_up_s)
            found = await swit.round(load.sagas_at_a_time, load.measured_s)
    finally:
        await swit.stop()
    return Measured(found["cpu_us_per_saga"], found["sagas_per_s"])
