"""Waiting for what other tasks and processes bring about."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def eventually(holds: Callable[[], Any], within_s: float = 10) -> Any:
    """What ``holds()``, plain or async, returns as soon as it is true; fail when it is not within the time."""
    end = time.monotonic() + within_s
    while True:
        found = holds()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"did not hold within {within_s:g} s"
        await asyncio.sleep(0.02)
