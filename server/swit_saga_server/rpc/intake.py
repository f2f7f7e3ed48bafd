"""Starts that came and have not been looked into yet, by streams or by calls of their own.

They wait here and not in the network: what waits can be counted, and what is too much refused while it has cost next to
nothing. They are taken up, oldest first, as fast as the engine wants more.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable, SwitSagaError
from swit_saga_server.core.units import Span
from swit_saga_server.engine.answers import OnResult
from swit_saga_server.engine.items import StartResult
from swit_saga_server.rpc import requests
from swit_saga_server.rpc.callers import Caller, trace_of
from swit_saga_server.service import SagaService, Start
from swit_saga_server.tasks import end

BATCH = 64
"""Starts looked into without a pause; other work waits for as long as that takes."""
SHARE = 0.2
"""Of the last batch in what is taken for the pace."""
LOOK_S = 0.5
"""How often it is looked for starts that have waited for too long."""


@dataclass(slots=True)
class Waiting:
    """One start.

    Attributes:
        request: As it came.
        traceparent, tracestate: The trace it belongs to; empty without one.
        told: Hears once what becomes of it.
        put_at: When it came, in plain time.
        is_wanted: False once its caller has gone.
    """

    request: pb.StartSagaRequest
    traceparent: str
    tracestate: str
    told: OnResult
    put_at: Span = 0
    is_wanted: bool = True


class Intake:
    """The queue, and the task that empties it while there is something in it."""

    def __init__(self, service: SagaService) -> None:
        self._service = service
        self._queue: deque[Waiting] = deque()
        self._some = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._in_hand = 0
        self._pace = 0.0
        """From one start taken up to the next, since there were always more: microseconds; 0 if not known."""

    def __len__(self) -> int:
        return len(self._queue) + self._in_hand

    def refusal(self, saga_id: str) -> SwitSagaError | None:
        """Why a start is not taken now, by its id alone; None if it is."""
        return self._service.refusal(saga_id, len(self), self._expected_wait())

    def _expected_wait(self) -> Span:
        """How long a start that comes now will wait, by the pace of late; no less than the first one has waited."""
        if not self._queue:
            return 0
        return max(self._service.elapsed() - self._queue[0].put_at, int(len(self._queue) * self._pace))

    async def start(self, request: pb.StartSagaRequest, caller: Caller) -> StartResult:
        """Take a start and return what becomes of it; see ``SagaService.start``.

        One that nobody waits for any more may be forgotten, as long as it is not begun.
        """
        answered: asyncio.Future[StartResult] = asyncio.get_running_loop().create_future()

        def told(outcome: StartResult | Exception) -> None:
            if answered.done():
                return  # Its caller is gone.
            if isinstance(outcome, Exception):
                answered.set_exception(outcome)
            else:
                answered.set_result(outcome)

        waiting = Waiting(request, caller.traceparent, caller.tracestate, told)
        self.put(waiting)
        try:
            return await answered
        finally:
            waiting.is_wanted = False

    def put(self, waiting: Waiting) -> None:
        """Take a start, or refuse it at once."""
        refusal = self.refusal(waiting.request.saga_id)
        if refusal is not None:
            waiting.told(refusal)
            return
        waiting.put_at = self._service.elapsed()
        self._queue.append(waiting)
        self._some.set()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """Take up nothing more; who still waits is told so. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        while self._queue:
            self._queue.popleft().told(CoordinatorStopping())

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            begun_at = self._service.elapsed()
            await self._service.wants_starts()
            some = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
            if not self._queue:
                self._some.clear()
            self._in_hand = len(some)
            await self._service.start_many([s for w in some if w.is_wanted and (s := _read(w)) is not None])
            self._in_hand = 0
            await asyncio.sleep(0)
            if not self._queue:
                # Caught up: what comes next is a burst, and a few starts say nothing about the pace of many.
                self._pace = 0.0
            elif len(some) == BATCH:
                self._pace += SHARE * ((self._service.elapsed() - begun_at) / len(some) - self._pace)

    async def _watch(self) -> None:
        """Nobody waits for ever, also if the engine takes nothing."""
        while True:
            await asyncio.sleep(LOOK_S)
            late = self._service.elapsed() - self._service.answer_timeout
            while self._queue and self._queue[0].put_at < late:
                self._queue.popleft().told(CoordinatorUnavailable("nothing was begun in time; ask again"))


def _read(waiting: Waiting) -> Start | None:
    try:
        trace = trace_of(waiting.traceparent, waiting.tracestate)
        return Start(requests.start_request(waiting.request), trace, waiting.told)
    except Exception as refused:
        waiting.told(refused)
        return None
