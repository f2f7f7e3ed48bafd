"""Live events for those who watch or wait. Only applied transitions come here, so nobody sees what may not last."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from typing import Protocol

from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga


class Reader(Protocol):
    """Whoever follows one saga."""

    def offer(self, saga: Saga, events: Sequence[SagaEvent]) -> None:
        """A transition became durable. Must not block; may unsubscribe."""
        ...

    def notify(self) -> None:
        """Something may have happened that is not offered. Must not block, nor subscribe or unsubscribe anybody."""
        ...


class Subscription:
    """One reader of one saga. A reader that lags loses its buffer, not events: it reads the history again."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._events: deque[SagaEvent] = deque()
        self._notified = asyncio.Event()
        self.overflowed = False
        self.saga: Saga | None = None

    def offer(self, saga: Saga, events: Sequence[SagaEvent]) -> None:
        """A transition became durable. Never blocks."""
        self.saga = saga
        if len(self._events) + len(events) > self._buffer:
            self._events.clear()
            self.overflowed = True
        else:
            self._events.extend(events)
        self._notified.set()

    def notify(self) -> None:
        """Something may have happened that is not in the buffer: read the store."""
        self.overflowed = True
        self._notified.set()

    async def wait(self, timeout_s: float | None) -> bool:
        """Until something is offered; False if nothing was within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._notified.wait()
        except TimeoutError:
            return False
        self._notified.clear()
        return True

    def take(self) -> list[SagaEvent]:
        """The buffered events, in order, removed."""
        events = list(self._events)
        self._events.clear()
        return events


class Feed:
    """Who reads which saga."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._readers: dict[str, dict[Reader, None]] = {}  # Ordered, unlike a set: simulations must repeat.

    @property
    def watched(self) -> Collection[str]:
        """Ids of the sagas that somebody reads."""
        return self._readers.keys()

    def subscribe(self, saga_id: str) -> Subscription:
        """Read ``saga_id`` from now on, until ``unsubscribe``."""
        subscription = Subscription(self._buffer)
        self.add(saga_id, subscription)
        return subscription

    def add(self, saga_id: str, reader: Reader) -> None:
        """Tell ``reader`` of ``saga_id`` from now on, until ``unsubscribe``."""
        self._readers.setdefault(saga_id, {})[reader] = None

    def is_watched(self, saga_id: str) -> bool:
        """Whether anybody reads ``saga_id``."""
        return saga_id in self._readers

    def unsubscribe(self, saga_id: str, reader: Reader) -> None:
        """Stop reading. Safe to call twice."""
        readers = self._readers.get(saga_id)
        if readers is not None:
            readers.pop(reader, None)
            if not readers:
                del self._readers[saga_id]

    def publish(self, saga: Saga, events: Sequence[SagaEvent]) -> None:
        """A transition of ``saga`` became durable."""
        for reader in tuple(self._readers.get(saga.id, ())):
            reader.offer(saga, events)

    def notify(self, saga_id: str) -> None:
        """Another coordinator did something to ``saga_id``."""
        for reader in self._readers.get(saga_id, ()):
            reader.notify()

    def notify_all(self) -> None:
        """Memory can no longer be trusted: everybody reads the store."""
        for readers in self._readers.values():
            for reader in readers:
                reader.notify()
