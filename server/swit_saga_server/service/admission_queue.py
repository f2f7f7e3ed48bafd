"""The one way a saga begins: starts wait here, whoever sent them, until the engine is ready for more.

They wait here and not in the network: what waits can be counted, and what is too much refused while it has cost next to
nothing. The queue hands them on, oldest first, as fast as the engine takes them.
"""

import asyncio
from collections import deque

from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable, SwitSagaError
from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.engine.answers import future_of
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.items import StartResult
from swit_saga_server.service.starting import Decode, QueuedStart, Starting
from swit_saga_server.tasks import end

BATCH = 64
"""Starts handed on without a pause; other work waits for as long as that takes."""
SHARE = 0.2
"""Of the last batch in what is taken for the pace."""
LOOK_S = 0.5
"""How often the queue looks for starts that have waited for too long."""


class AdmissionQueue:
    """The queue, and the tasks that empty it while there is something in it.

    All methods belong to the engine's event loop. The tasks begin with the first start; ``close`` ends them.
    """

    def __init__(self, engine: Engine, starting: Starting) -> None:
        """Refuse what ``engine`` refuses; hand on the rest to ``starting``."""
        self._engine = engine
        self._starting = starting
        self._elapsed = engine.env.clock.elapsed
        self._queue: deque[QueuedStart] = deque()
        self._some = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._in_hand = 0
        self._pace = 0.0
        """From one start handed on to the next, since there were always more: microseconds; 0 if not known."""

    def __len__(self) -> int:
        return len(self._queue) + self._in_hand

    def refusal(self, saga_id: str) -> SwitSagaError | None:
        """Why a start is not taken now, by its id alone (empty: none chosen yet); None if it is."""
        return self._engine.refusal(saga_id, len(self), self._expected_wait())

    async def start(self, saga_id: str, decode: Decode) -> StartResult:
        """Put a start and wait for what becomes of it.

        One that nobody waits for any more may be forgotten, as long as its turn has not come.

        Returns:
            The saga, durable, and whether this call created it; the same request again gets the same saga.

        Raises:
            InvalidRequest, DefinitionNotFound, DefinitionDisabled, PayloadTooLarge, SagaAlreadyExists,
            CoordinatorOverloaded, CoordinatorUnavailable; and whatever ``decode`` does.
        """
        answered: asyncio.Future[StartResult] = asyncio.get_running_loop().create_future()
        queued = QueuedStart(saga_id, decode, future_of(answered))
        self.put(queued)
        try:
            return await answered
        finally:
            queued.cancel()

    def put(self, queued: QueuedStart) -> None:
        """Take a start, or refuse it at once."""
        refusal = self.refusal(queued.saga_id)
        if refusal is not None:
            queued.on_result(refusal)
            return
        queued.queued_at = self._elapsed()
        self._queue.append(queued)
        self._some.set()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """Hand on nothing more; who still waits is told so. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        self._in_hand = 0
        while self._queue:
            self._queue.popleft().on_result(CoordinatorStopping())

    def _expected_wait(self) -> Span:
        """How long a start that comes now will wait, by the pace of late; no less than the first one has waited."""
        if not self._queue:
            return NO_TIME
        return max(self._elapsed() - self._queue[0].queued_at, Span(len(self._queue) * self._pace))

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            begun_at = self._elapsed()
            await self._engine.ready_for_starts()
            some = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
            if not self._queue:
                self._some.clear()
            self._in_hand = len(some)
            await self._starting.start_many([queued for queued in some if queued.is_wanted])
            self._in_hand = 0
            await asyncio.sleep(0)
            if not self._queue:
                # Caught up: what comes next is a burst, and a few starts say nothing about the pace of many.
                self._pace = 0.0
            elif len(some) == BATCH:
                self._pace += SHARE * ((self._elapsed() - begun_at) / len(some) - self._pace)

    async def _watch(self) -> None:
        """Nobody waits for ever, also if the engine takes nothing."""
        while True:
            await asyncio.sleep(LOOK_S)
            late = self._elapsed() - self._engine.options.answer_timeout
            while self._queue and self._queue[0].queued_at < late:
                self._queue.popleft().on_result(CoordinatorUnavailable("nothing was begun in time; ask again"))
