"""The experiments: how each is set up, and in what order it is measured."""

import time
from typing import Any

from bench.contestants import WITHOUT_LIMITS, Swit
from bench.limits.oracle import Finding, followers, growth, overload, two, two_by_others, watchers
from bench.machine import memory_kib

PROGRAMS = ("bench.limits.participant", "bench.limits.driver")
CONCURRENCY, MANY = 200, 500
"""Sagas at a time; many where a load is shared by two."""
ASK_S = 240.0


def _swit(coordinators: int = 1, **sections: Any) -> Swit:
    limits = {**WITHOUT_LIMITS, **sections}
    return Swit("everysec", "relaxed", coordinators=coordinators, limits=limits, programs=PROGRAMS)


async def _rate(swit: Swit, seconds: float) -> float:
    return (await swit.round(CONCURRENCY, seconds))["sagas_per_s"]


def _memory(swit: Swit) -> int:
    """Bytes."""
    return sum(memory_kib(pid) for pid in swit.pids) * 1024


async def run_growth(rounds: int, seconds: float, waiting: int) -> list[Finding]:
    """Two coordinators, a store each, one with few waiting sagas and one with many, in turn."""
    few, many = _swit(), _swit()
    try:
        for swit in (few, many):
            await swit.start()
            await _rate(swit, 3.0)
        await few.ask({"do": "wait_in_store", "sagas": 1_000}, ASK_S)
        before = _memory(many)
        await many.ask({"do": "wait_in_store", "sagas": waiting}, ASK_S)
        facts: dict[str, Any] = {"grown": _memory(many) - before}
        facts["in_memory"] = (await many.ask({"do": "metrics"}, ASK_S))["in_memory"]
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for swit, found in zip((few, many), rates, strict=True):
                found.append(await _rate(swit, seconds))
        (coordinator,) = many.coordinators
        for how, end in (("stopped", coordinator.stop), ("killed", coordinator.kill)):
            await end()
            begun = time.monotonic()
            await coordinator.start()
            ready_s = time.monotonic() - begun
            await many.round(1, 0.001)
            facts[how] = {"ready_s": ready_s, "completed_s": time.monotonic() - begun}
            facts[how]["waiting"] = (await many.ask({"do": "metrics"}, ASK_S))["active"]
        return growth(*rates, waiting, facts)
    finally:
        await few.stop()
        await many.stop()


async def run_two(rounds: int, seconds: float) -> list[Finding]:
    """One coordinator, and two on one Redis with every other start given to the other, in turn; with ids that the SDK
    makes, few and many at a time, then with ids of the caller's own.
    """
    one, both = _swit(), _swit(2)
    costs: dict[tuple[str, int], tuple[list[float], list[float]]] = {
        (ids, together): ([], []) for ids, together in (("sdk", CONCURRENCY), ("sdk", MANY), ("own", MANY))
    }
    try:
        for swit in (one, both):
            await swit.start()
            await _rate(swit, 3.0)
        for _ in range(rounds):
            for (ids, together), found in costs.items():
                for swit, costs_of in zip((one, both), found, strict=True):
                    await swit.ask({"do": "ids", "own": ids == "own"}, ASK_S)
                    costs_of.append((await swit.round(together, seconds))["cpu_us_per_saga"])
        return [
            *(two(*found, together) for (ids, together), found in costs.items() if ids == "sdk"),
            two_by_others(*costs["own", MANY], MANY),
        ]
    finally:
        await one.stop()
        await both.stop()


async def run_watchers(
    rounds: int, seconds: float, reading: int, idle: int, slow_s: int | None = None
) -> list[Finding]:
    """Two coordinators, a store each, one of them watched, in turn; the watched one's watchers watch all the time.

    First all watch long sagas that many share, then all who read watch sagas of the load, see ``Following``. ``slow_s``
    is for a run that is too short for the limit as it is shipped.
    """
    alone, watched = _swit(), _swit(server={"slow_watcher_timeout": f"{slow_s}s"} if slow_s else {})
    try:
        for swit in (alone, watched):
            await swit.start()
            await _rate(swit, 3.0)
        before = _memory(watched)
        await watched.ask({"do": "watch", "sagas": 10, "reading": reading, "idle": idle}, ASK_S)
        shared, grown = await _in_turn(alone, watched, rounds, seconds)
        facts = await watched.ask({"do": "watched"}, ASK_S)
        await watched.ask({"do": "follow", "watchers": reading + idle}, ASK_S)
        await _rate(watched, 4.0)
        followed, more = await _in_turn(alone, watched, rounds, seconds)
        return [
            *watchers(*shared, (max(grown, more) - before) / 2**20, {**facts, "reading": reading, "idle": idle}),
            *followers(*followed, await watched.ask({"do": "followed"}, ASK_S)),
        ]
    finally:
        await alone.stop()
        await watched.stop()


async def _in_turn(
    alone: Swit, watched: Swit, rounds: int, seconds: float
) -> tuple[tuple[list[float], list[float]], int]:
    """Sagas per second of each, and the most memory the watched one had."""
    rates: tuple[list[float], list[float]] = ([], [])
    most = 0
    for _ in range(rounds):
        for swit, found in zip((alone, watched), rates, strict=True):
            found.append(await _rate(swit, seconds))
        most = max(most, _memory(watched))
    return rates, most


async def run_overload(seconds: float, times: float) -> list[Finding]:
    """The peak as clients at their best have it, then ``times`` as much, with the limits as they are shipped."""
    swit = Swit("everysec", "relaxed", limits={}, programs=PROGRAMS)
    try:
        await swit.start()
        await swit.round(CONCURRENCY, 3.0)
        peak = max([(await swit.round(n, 5.0))["sagas_per_s"] for n in (200, 500, 1_000)])
        facts = await swit.ask({"do": "flood", "rate": peak * times, "seconds": seconds}, seconds + ASK_S)
        after = max([(await swit.round(n, 5.0))["sagas_per_s"] for n in (200, 500, 1_000)])
        return overload(peak, {**facts, "peak_after_per_s": after})
    finally:
        await swit.stop()
