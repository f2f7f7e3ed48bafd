"""Waiting for what other tasks and processes bring about. The tests have no other sleeps than these polls."""

import asyncio
import inspect
import time
from collections.abc import Callable
from random import Random
from typing import Any

POLL_S = 0.02


async def eventually(holds: Callable[[], Any], within_s: float = 10) -> Any:
    """What ``holds()``, plain or async, returns as soon as it is true; fail when it is not within the time."""
    end = time.monotonic() + within_s
    pause_s = 0.0
    while True:
        found = holds()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"did not hold within {within_s:g} s"
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s + POLL_S / 10, POLL_S)


def soon(holds: Callable[[], Any], within_s: float, said: str) -> Any:
    """As ``eventually``, for where there is no loop; ``said`` is what the failure says."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, said
        time.sleep(POLL_S)
    return found


async def never(happens: Callable[[], Any], within_s: float = 0.05) -> None:
    """Fail if ``happens()`` is true at any time in the next moments: what must not happen gives no signal."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        assert not happens()
        await asyncio.sleep(POLL_S / 10)


async def turn(times: int = 1) -> None:
    """Let every other task that can go on do so."""
    for _ in range(times):
        await asyncio.sleep(0)


async def spend(chance: Random, min_s: float, max_s: float) -> None:
    """Take a while, as a step's work, a customer or a fault does: this is load, it waits for nothing."""
    await asyncio.sleep(chance.uniform(min_s, max_s))
