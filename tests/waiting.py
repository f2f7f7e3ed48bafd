"""Waiting for what other tasks and processes bring about."""

import asyncio
import time
from collections.abc import Callable


async def eventually(holds: Callable[[], object], within_s: float = 10) -> None:
    """Return as soon as ``holds()``; fail when it does not within the time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"did not hold within {within_s:g} s"
        await asyncio.sleep(0.02)
