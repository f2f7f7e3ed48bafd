"""Whose every task is: a task group that ends all of its tasks together, and tells when one of them failed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from swit_saga_server.tasks import end


class Supervisor:
    """Owns tasks. One that fails ends the others: a half-dead engine must not keep its sagas from others."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        """``on_failure`` hears of every exception as it happens."""
        self._on_failure = on_failure
        self._group: asyncio.TaskGroup | None = None
        self._owner: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}  # Ordered, unlike a set: simulations must repeat.

    async def start(self) -> None:
        """Be ready to own tasks."""
        begun = asyncio.Event()
        self._owner = asyncio.create_task(self._own(begun))
        await begun.wait()

    def spawn(self, body: Coroutine[Any, Any, None]) -> None:
        """Run ``body`` until it ends, fails, or all are stopped; once they were, it is not run at all."""
        if self._group is None:
            body.close()
            return
        task = self._group.create_task(body)
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    async def wait(self, timeout_s: float) -> None:
        """Until all tasks have ended by themselves, but no longer than this."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)

    def cancel(self) -> None:
        """Let all tasks end, and run no more, without waiting for it."""
        self._group = None
        if self._owner is not None:
            self._owner.cancel()  # The group cancels its tasks.

    async def stop(self) -> None:
        """End all tasks for certain. Safe to call twice, and before ``start``."""
        self._group = None
        await end(list(self._tasks))
        if self._owner is not None:
            await end([self._owner])

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)

    async def _own(self, begun: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                begun.set()
                await asyncio.get_running_loop().create_future()  # Until cancelled, or a task fails.
        except BaseExceptionGroup:
            pass  # Each failure was told when it happened.
        finally:
            self._group = None
