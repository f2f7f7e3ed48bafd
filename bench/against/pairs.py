"""The measuring: pairs of both sides, each pair with processes and stores of its own.

Every pair has new processes, for one process need not cost what the next of the same code costs (hash seed, where its
memory lies): figures that came from one process each would be as near to each other as they like and say nothing of the
code. Within a pair the sides take short turns, so that what else the machine does meets both. Only the coordinator
differs: client, participant and load are the working tree's.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
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
        warm_up_s: How long sagas are begun before anything is measured.
        turn_s: And in each of the two turns that a side has; those under way then are finished, and counted.
    """

    sagas_at_a_time: int = 500
    warm_up_s: float = 1.0
    turn_s: float = 1.25


@dataclass(frozen=True)
class Measured:
    """One coordinator under load, all its turns together.

    Attributes:
        cpu_us: Processor time of its process, user and system.
        sagas: Completed meanwhile.
        seconds: How long that took.
    """

    cpu_us: float
    sagas: int
    seconds: float

    @property
    def cpu_us_per_saga(self) -> float:
        """What it costs."""
        return self.cpu_us / self.sagas

    @property
    def sagas_per_s(self) -> float:
        """How fast it is."""
        return self.sagas / self.seconds


@dataclass(frozen=True)
class Pair:
    """Both sides on one store, at the same time of day.

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


def turns(number: int) -> tuple[SideName, SideName, SideName, SideName]:
    """Who is measured when in the pair of this number, from 0: old new new old, then new old old new, and so on.

    So a machine that becomes slower or faster by and by favours neither, and an even number of pairs neither the one
    whose turns follow each other.
    """
    return ("old", "new", "new", "old") if number % 2 == 0 else ("new", "old", "old", "new")


async def compare(
    old: Side, new: Side, *, pairs: int, load: Load, stores: Sequence[str] = tuple(STORES)
) -> AsyncIterator[Pair]:
    """So many pairs of each store, the stores in turn, each pair as soon as it is there.

    Raises:
        RuntimeError: Something did not start, or a saga failed.
        TimeoutError: A pair took far longer than it may.
    """
    both: Sequence[tuple[SideName, Side]] = (("old", old), ("new", new))
    for number in range(pairs):
        for store in stores:
            async with AsyncExitStack() as ends, asyncio.timeout(START_S + 10 * (2 * load.warm_up_s + 4 * load.turn_s)):
                sides: dict[SideName, Swit] = {}
                for name, side in both:
                    sides[name] = Swit(store, "", python=side.python)
                    ends.push_async_callback(sides[name].stop)
                found = await _measure(sides, turns(number), load)
            yield Pair(store, turns(number)[0], found["old"], found["new"])


async def _measure(sides: Mapping[SideName, Swit], order: Sequence[SideName], load: Load) -> dict[SideName, Measured]:
    """Both are started and warm before either is measured; one at a time is under load."""
    for name in order[:2]:
        await sides[name].start()
    for name in order[:2]:
        await sides[name].round(load.sagas_at_a_time, load.warm_up_s)
    rounds: dict[SideName, list[dict[str, float]]] = {name: [] for name in sides}
    for name in order:
        rounds[name].append(await sides[name].round(load.sagas_at_a_time, load.turn_s))
    return {name: _together(found) for name, found in rounds.items()}


def _together(rounds: Sequence[Mapping[str, float]]) -> Measured:
    cpu_us = sum(one["cpu_us_per_saga"] * one["sagas"] for one in rounds)
    return Measured(cpu_us, sum(int(one["sagas"]) for one in rounds), sum(one["seconds"] for one in rounds))
