"""Hints in SQLite: nobody else can write the file, so what is heard comes from this very store."""

import asyncio
from collections.abc import Callable

from swit_saga_server.store.contract import Hint


class SqliteHints:
    """``Hints`` within one process."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Hint], None]] = []

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """See the contract."""
        self._listeners.append(on_hint)

        def stop() -> None:
            if on_hint in self._listeners:
                self._listeners.remove(on_hint)

        return stop

    def give(self, kind: str, partition: int) -> None:
        """Tell every listener, on this event loop, soon."""
        loop = asyncio.get_running_loop()
        for on_hint in self._listeners:
            loop.call_soon(on_hint, Hint(kind, partition))
