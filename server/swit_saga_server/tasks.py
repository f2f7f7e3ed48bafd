"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.2


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks, again and again, until all have ended. Their exceptions are theirs.

    Once is not enough: a library can take a cancellation for its own time-out and swallow it (seen with redis-py).
    """
    pending = [task for task in tasks if not task.done()]
    while pending:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=AGAIN_S)
        pending = [task for task in pending if not task.done()]
