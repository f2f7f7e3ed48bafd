"""Hints of the simulated store: at once; ``network`` makes them late, double or lost."""

from collections.abc import Callable

from swit_saga_server.store.contract import Hint


class SimHints:
    """``Hints`` in memory."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Hint], None]] = []

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        self._listeners.append(on_hint)

        def stop() -> None:
            if on_hint in self._listeners:
                self._listeners.remove(on_hint)

        return stop

    def give(self, kind: str, partition: int) -> None:
        """Tell every listener."""
        for on_hint in list(self._listeners):
            on_hint(Hint(kind, partition))
