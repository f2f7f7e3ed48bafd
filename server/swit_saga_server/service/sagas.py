"""Sagas that have begun: read, listed, stopped, waited for, watched."""

import asyncio
from collections.abc import AsyncIterator

from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.inputs import Cancel
from swit_saga_server.core.model import Saga
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.states import SagaState
from swit_saga_server.engine.answers import future_of
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.waits import OnWaitResult, Wait, WaitResult
from swit_saga_server.service.watching import watch
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage


class Sagas:
    """What can be asked about sagas. All methods belong to the engine's event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def partitions(self) -> tuple[int, tuple[int, ...]]:
        """How many there are, and those whose sagas are driven here, ascending."""
        return self._engine.store.partitions, tuple(sorted(self._engine.ownership))

    async def get(self, saga_id: str) -> Saga:
        """The saga as it is durably.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        return await self._engine.latest(saga_id)

    async def list(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """A page of sagas; see ``StateStorage.list_sagas``."""
        return await self._engine.store.list_sagas(wanted, order, page_size, page_token)

    async def cancel(self, saga_id: str, reason: str, principal: Principal = ANONYMOUS) -> Saga:
        """Stop and undo; durable when this returns; idempotent. Compensations may be still under way.

        Raises:
            SagaNotFound, SagaAlreadyFinished, CoordinatorUnavailable.
        """
        return await self._engine.ask(saga_id, Cancel(reason, principal))

    async def wait(self, saga_id: str, states: frozenset[SagaState], timeout_s: float) -> tuple[Saga, bool]:
        """Until the saga is in one of ``states`` (any outcome, if empty), or the time is up.

        Returns:
            The saga, and whether it got there. A saga at another outcome than asked for ends the wait, too.

        Raises:
            SagaNotFound, StoreUnavailable, CoordinatorStopping.
        """
        answered: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        wait = self.wait_for(saga_id, states, timeout_s, future_of(answered))
        try:
            return await answered
        finally:
            wait.cancel()

    def wait_for(self, saga_id: str, states: frozenset[SagaState], timeout_s: float, on_result: OnWaitResult) -> Wait:
        """``wait`` without a task: ``on_result`` is called once with what ``wait`` would have returned or raised.

        It may be called before this returns. Cancel what is no longer waited for.
        """
        return self._engine.waits.add(saga_id, states, timeout_s, on_result)

    def end_waits(self) -> None:
        """Nothing comes any more that anybody could wait for: say so to whoever still does. Safe to call twice."""
        self._engine.waits.close()

    async def watch(
        self, saga_id: str, after: int, *, follow: bool, idle_s: float
    ) -> tuple[Saga, AsyncIterator[SagaEvent | None]]:
        """A saga's events after sequence ``after``: history, then live, no gap and no duplicate (invariant 15).

        Returns:
            The saga as it is now, and an iterator that gives None when nothing came for ``idle_s`` and ends after the
            outcome's last event unless ``follow``. Close it (``aclose``) when done early.

        Raises:
            SagaNotFound: There is no such saga.
            CursorOutOfRange: ``after`` lies beyond the saga's latest event.
        """
        return await watch(self._engine, saga_id, after, follow=follow, idle_s=idle_s)
