"""Sends that each have a task of their own: a call over the network, or a handler in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from swit_saga_server.core.inputs import Answer
from swit_saga_server.participants.ledger import Carrier, Ledger, Send
from swit_saga_server.tasks import end

Ask: TypeAlias = Callable[[Send, Carrier], Awaitable[Answer]]
"""Makes ready, hands over to the carrier, and waits for the answer. Never raises but when it is cancelled."""


class Calls:
    """Makes them and owns their tasks."""

    def __init__(self, ledger: Ledger, ask: Ask) -> None:
        """``ledger`` has the sends; ``ask`` is how one call is made."""
        self._ledger = ledger
        self._ask = ask
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, sends: Iterable[Send]) -> None:
        """Set a call on its way for each; returns at once."""
        for send in sends:
            task = asyncio.create_task(self._make(send))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def take(self, send: Send) -> None:
        """Set a call on its way for one that is queued, which is handed over to it at once."""
        task = asyncio.create_task(self._make_taken(send))
        self._ledger.hand_over([send], _Call(task))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel all of them, and wait for their ends."""
        await end(list(self._tasks))

    async def _make(self, send: Send) -> None:
        if send.is_over or send.carrier is not None:
            return  # Its turn comes too late.
        await self._make_taken(send)

    async def _make_taken(self, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ledger.answer(send, await self._ask(send, _Call(task)))


class _Call:
    """The carrier of one send."""

    __slots__ = ("_task",)

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    def call_off(self, send: Send) -> None:
        """See ``Carrier``."""
        self._task.cancel()
