"""A handle on one saga."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, TypeVar, overload

from swit_saga.durations import DurationLike
from swit_saga.views import EventView, SagaView

T = TypeVar("T")


class Sagas(Protocol):
    """What a handle asks of a client, see ``AsyncSagaClient``."""

    async def get(self, saga_id: str, *, full: bool = True, steps: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.get``."""
        ...

    async def wait(self, saga_id: str, *, timeout: DurationLike | None = None, states: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.wait``."""
        ...

    async def cancel(self, saga_id: str, reason: str = "") -> SagaView:
        """See ``AsyncSagaClient.cancel``."""
        ...

    def watch(self, saga_id: str, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
        """See ``AsyncSagaClient.watch``."""
        ...

    async def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """See ``AsyncSagaClient.result``."""
        ...


class SagaHandle:
    """One saga, through the client that made this handle.

    Attributes:
        id: The saga's id.
        created: Whether the ``start`` that returned this created the saga.
    """

    def __init__(self, client: Sagas, saga_id: str, *, created: bool) -> None:
        self._client = client
        self.id = saga_id
        self.created = created

    async def get(self, *, full: bool = True, steps: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.get``."""
        return await self._client.get(self.id, full=full, steps=steps)

    async def wait(self, *, timeout: DurationLike | None = None, states: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.wait``: never raises on an outcome."""
        return await self._client.wait(self.id, timeout=timeout, states=states)

    async def cancel(self, reason: str = "") -> SagaView:
        """See ``AsyncSagaClient.cancel``."""
        return await self._client.cancel(self.id, reason)

    def watch(self, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
        """See ``AsyncSagaClient.watch``: resumes by itself."""
        return self._client.watch(self.id, after=after, follow=follow)

    @overload
    async def result(self, kind: type[T], *, timeout: DurationLike | None = None) -> T: ...

    @overload
    async def result(self, kind: Any = None, *, timeout: DurationLike | None = None) -> Any: ...

    async def result(self, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """See ``AsyncSagaClient.result``: raises if the saga has another outcome than completed."""
        return await self._client.result(self.id, kind, timeout=timeout)

    def __repr__(self) -> str:
        return f"<saga {self.id}>"
