"""A handle on one saga."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from swit_saga.durations import DurationLike
from swit_saga.errors import (
    OutcomeError,
    SagaCancelled,
    SagaCompensated,
    SagaFailed,
    SagaTimedOut,
    WaitTimeout,
)
from swit_saga.views import EventView, SagaView

if TYPE_CHECKING:
    from swit_saga.client import AsyncSagaClient

_OUTCOMES: dict[str, type[OutcomeError]] = {
    "compensated": SagaCompensated,
    "failed": SagaFailed,
    "cancelled": SagaCancelled,
    "timed_out": SagaTimedOut,
}


class SagaHandle:
    """One saga, through the client that made this handle.

    Attributes:
        id: The saga's id.
        created: Whether the ``start`` that returned this created the saga.
    """

    def __init__(self, client: "AsyncSagaClient", saga_id: str, *, created: bool) -> None:
        self._client = client
        self.id = saga_id
        self.created = created

    async def get(self) -> SagaView:
        """See ``AsyncSagaClient.get``."""
        return await self._client.get(self.id)

    async def wait(self, *, timeout: DurationLike | None = None, states: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.wait``: never raises on an outcome."""
        return await self._client.wait(self.id, timeout=timeout, states=states)

    async def cancel(self, reason: str = "") -> SagaView:
        """See ``AsyncSagaClient.cancel``."""
        return await self._client.cancel(self.id, reason)

    def watch(self, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
        """See ``AsyncSagaClient.watch``: resumes by itself."""
        return self._client.watch(self.id, after=after, follow=follow)

    async def result(self, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """The last step's output.

        Args:
            kind: Decoded as this; None takes what the payload suggests.
            timeout: At most this long; None is for ever.

        Raises:
            SagaCompensated, SagaFailed, SagaCancelled, SagaTimedOut: It has another outcome than completed.
            WaitTimeout: It has none within ``timeout``.
        """
        saga = await self.wait(timeout=timeout)
        if not saga.is_terminal:
            raise WaitTimeout(f"saga {self.id!r} is still {saga.state}")
        if saga.state in _OUTCOMES:
            raise _OUTCOMES[saga.state](saga)
        return saga.result_data(kind)

    def __repr__(self) -> str:
        return f"<saga {self.id}>"
