"""The experiments: how each is set up, and in what order it is measured."""

import time
from typing import Any

from bench.contestants import WITHOUT_LIMITS, Swit
from bench.limits.judge import Finding, growth, overload, two, watchers
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
        bytes_each = (_memory(many) - before) / waiting
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for swit, found in zip((few, many), rates, strict=True):
                found.append(await _rate(swit, seconds))
        (coordinator,) = many.coordinators
        await coordinator.stop()
        begun = time.monotonic()
        await coordinator.start()
        await many.round(1, 0.001)
        return growth(*rates, waiting, bytes_each, time.monotonic() - begun)
    finally:
        await few.stop()
        await many.stop()


async def run_two(rounds: int, seconds: float) -> list[Finding]:
    """One coordinator, and two on one Redis with every other start given to the other, in turn."""
    one, both = _swit(), _swit(2)
    costs: tuple[list[float], list[float]] = ([], [])
    try:
        for swit in (one, both):
            await swit.start()
            await _rate(swit, 3.0)
        for _ in range(rounds):
            for swit, found in zip((one, both), costs, strict=True):
                found.append((await swit.round(MANY, seconds))["cpu_us_per_saga"])
        return two(*costs, MANY)
    finally:
        await one.stop()
        await both.stop()


async def run_watchers(rounds: int, seconds: float, reading: int, idle: int) -> list[Finding]:
    """Two coordinators, a store each, one of them watched, in turn; the watched one's watchers watch all the time."""
    alone = _swit()
    watched = _swit(server={"slow_watcher_timeout": "5s"})
    try:
        for swit in (alone, watched):
            await swit.start()
            await _rate(swit, 3.0)
        before = _memory(watched)
        await watched.ask({"do": "watch", "sagas": 10, "reading": reading, "idle": idle}, ASK_S)
        rates: tuple[list[float], list[float]] = ([], [])
        grown = 0
        for _ in range(rounds):
            for swit, found in zip((alone, watched), rates, strict=True):
                found.append(await _rate(swit, seconds))
            grown = max(grown, _memory(watched) - before)
        told = await watched.ask({"do": "watched"}, ASK_S)
        return watchers(*rates, grown / 2**20, {**told, "reading": reading, "idle": idle})
    finally:
        await alone.stop()
        await watched.stop()


async def run_overload(seconds: float, times: float) -> list[Finding]:
    """The peak as clients at their best have it, then ``times`` as much, with the limits as they are shipped."""
    swit = Swit("everysec", "relaxed", limits={}, programs=PROGRAMS)
    try:
        await swit.start()
        await swit.round(CONCURRENCY, 3.0)
        peak = max([(await swit.round(n, 5.0))["sagas_per_s"] for n in (200, 500, 1_000)])
        told = await swit.ask({"do": "flood", "rate": peak * times, "seconds": seconds}, seconds + ASK_S)
        return overload(peak, told)
    finally:
        await swit.stop()
