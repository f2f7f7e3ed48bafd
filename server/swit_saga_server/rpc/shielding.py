"""Writes outlive their callers."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: Awaitable[T]) -> T:
    """Let a write finish even if its caller's deadline passes meanwhile: nothing is left half made."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Nobody is left to hear of it; without this a failure would be logged as never retrieved.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
