"""One caller's stream of starts: items in, answers out, each when its saga is durable, many to a message.

Free of gRPC: ``serving`` moves the messages. No task per saga; what the engine applies in one round is answered in one
message.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache

import structlog

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import error_pb2
from swit_saga_server.core.errors import CoordinatorOverloaded, SwitSagaError
from swit_saga_server.engine.items import StartResult
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.errors import to_status
from swit_saga_server.rpc.intake import Intake, Waiting
from swit_saga_server.wire import saga as wire

log = structlog.get_logger(__name__)

MESSAGE_ITEMS = 256
"""Answers in one message at most."""
MOST_OPEN = 8_192
"""Items taken and not yet answered, or answered and not yet read: past it, no more is read from the caller."""


class StartsStream:
    """What one stream of starts is about. All methods belong to the engine's event loop."""

    def __init__(self, intake: Intake, caller: Caller, partitions: Callable[[], tuple[int, tuple[int, ...]]]) -> None:
        """``caller``'s trace is that of items that bring none; ``partitions`` as the service's."""
        self._partitions = partitions
        self._told_partitions: tuple[int, tuple[int, ...]] | None = None
        self._intake = intake
        self._caller = caller
        self._open: dict[int, Waiting] = {}
        self._taken = 0
        self._answers: deque[tuple[int, StartResult | Exception, bool]] = deque()
        """Of an item: its outcome, and whether no more than the head of the saga is wanted."""
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False

    async def take(self, request: pb.StartSagasRequest) -> None:
        """Set the items on their way; returns when the caller may send more."""
        for item in request.items:
            number = self._taken = self._taken + 1
            trace = item if item.traceparent else self._caller
            told = self._told(number, item.item_id, item.start.view == pb.SAGA_VIEW_HEAD)
            waiting = self._open[number] = Waiting(item.start, trace.traceparent, trace.tracestate, told)
            self._intake.put(waiting)
        while len(self._open) + len(self._answers) > MOST_OPEN and not self._ended:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """No more items come, or none are wanted: what was taken is still answered."""
        self._ended = True
        self._changed.set()
        self._room.set()

    def leave(self) -> None:
        """The caller has gone: what was not begun may be forgotten, for nobody was told that it would be."""
        self.end()
        for waiting in self._open.values():
            waiting.is_wanted = False

    async def answers(self) -> pb.StartSagasResponse | None:
        """The next answers, as soon as there are some; None when all were given and no more items come."""
        while not self._answers:
            if self._ended and not self._open:
                return None
            self._changed.clear()
            await self._changed.wait()
        response = pb.StartSagasResponse()
        if (partitions := self._partitions()) != self._told_partitions:
            self._told_partitions = partitions
            response.partitions.total, held = partitions
            response.partitions.held.extend(held)
        while self._answers and len(response.items) < MESSAGE_ITEMS:
            item_id, outcome, head_only = self._answers.popleft()
            if isinstance(outcome, Exception):
                response.items.add(item_id=item_id, status=item_status(outcome))
            else:
                saga, created = outcome
                shown = wire.head(saga) if head_only else wire.saga(saga, None)
                response.items.add(item_id=item_id, saga=shown, created=created)
        self._room.set()
        return response

    def _told(self, number: int, item_id: int, head_only: bool) -> Callable[[StartResult | Exception], None]:
        def told(outcome: StartResult | Exception) -> None:
            del self._open[number]
            self._answers.append((item_id, outcome, head_only))
            self._changed.set()

        return told


def item_status(error: Exception) -> error_pb2.ItemStatus:
    """What StartSaga would have failed with; what was not raised on purpose is logged and says nothing."""
    if isinstance(error, CoordinatorOverloaded):
        return _overloaded(str(error))
    if not isinstance(error, SwitSagaError):
        log.error("call_failed", exc_info=error)
    return _status(error)


@lru_cache
def _overloaded(text: str) -> error_pb2.ItemStatus:
    """StartResult once: the more are refused, the less each may cost."""
    return _status(CoordinatorOverloaded(text))


def _status(error: Exception) -> error_pb2.ItemStatus:
    status = to_status(error)
    return error_pb2.ItemStatus(code=status.code, message=status.message, details=status.details)
