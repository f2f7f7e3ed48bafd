"""One caller's stream of waits: items in, answers out, each when its saga gets there or its time is up, many to a
message.

Free of gRPC: ``serving`` moves the messages. No task per wait, and nothing is read from the store to answer: what the
engine applied is what is sent.
"""

import asyncio
from collections import deque

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga_server.core.errors import CoordinatorOverloaded, InvalidRequest, Violation
from swit_saga_server.engine.waits import Wait, WaitResult
from swit_saga_server.rpc import requests
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.starts import item_status
from swit_saga_server.rpc.views import view_of
from swit_saga_server.service import SagaService

MESSAGE_ITEMS, MESSAGE_BYTES = 64, 1 << 20
"""Answers in one message at most, for other work waits while it is made; and their size, so that whoever can receive
each saga can receive the message."""
MOST_OPEN = 8_192
"""Waits under way on one stream; more are refused. Not kept waiting unread, or what withdraws them would be, too."""
MOST_UNREAD = 8_192
"""Answers not yet read: past it, no more is read from the caller."""
PAUSE = 64
"""Items taken without a pause; other work waits for as long as that takes."""


class WaitsStream:
    """What one stream of waits is about. All methods belong to the engine's event loop."""

    def __init__(self, service: SagaService, caller: Caller) -> None:
        """``caller``'s deadline, if it has one, ends every wait a little before."""
        self._service = service
        self._until_s = None if caller.time_left_s is None else service.elapsed() / 1e6 + caller.time_left_s
        self._open: dict[int, Wait | None] = {}
        """By item id; None of one that is just being begun."""
        self._answers: deque[tuple[int, pb.WaitSagaRequest, WaitResult | Exception]] = deque()
        self._held: pb.WaitSagasResponse.Item | None = None
        """The first of the answers, if it did not fit into the last message."""
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False

    async def take(self, request: pb.WaitSagasRequest) -> None:
        """Set the waits on their way and withdraw others; returns when the caller may send more."""
        for n, item in enumerate(request.items, 1):
            self._begin(item.item_id, item.wait)
            if n % PAUSE == 0:
                await asyncio.sleep(0)
        for item_id in request.withdrawn:
            if (wait := self._open.pop(item_id, None)) is not None:
                wait.cancel()
        while len(self._answers) > MOST_UNREAD and not self._ended:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """No more items come, or none are wanted: what was taken is still answered."""
        self._ended = True
        self._changed.set()
        self._room.set()

    def leave(self) -> None:
        """The caller has gone: nobody waits any more."""
        self.end()
        for wait in self._open.values():
            if wait is not None:
                wait.cancel()
        self._open.clear()

    async def answers(self) -> pb.WaitSagasResponse | None:
        """The next answers, as soon as there are some; None when all were given and no more items come."""
        while not self._answers:
            if self._ended and not self._open:
                return None
            self._changed.clear()
            await self._changed.wait()
        items: list[pb.WaitSagasResponse.Item] = []
        size = 0
        while self._answers and len(items) < MESSAGE_ITEMS:
            item = self._held or await self._answer(*self._answers[0])
            size += item.ByteSize()
            if items and size > MESSAGE_BYTES:
                self._held = item
                break
            self._held = None
            self._answers.popleft()
            items.append(item)
        self._room.set()
        return pb.WaitSagasResponse(items=items)

    def _begin(self, item_id: int, request: pb.WaitSagaRequest) -> None:
        def heard(outcome: WaitResult | Exception) -> None:
            del self._open[item_id]
            self._answer_with(item_id, request, outcome)

        try:
            if item_id in self._open:
                raise InvalidRequest((Violation("item_id", f"{item_id} is the id of another wait under way"),))
            if len(self._open) >= MOST_OPEN:
                raise CoordinatorOverloaded(f"{MOST_OPEN} waits are under way on this stream; open another")
            time_left_s = None if self._until_s is None else self._until_s - self._service.elapsed() / 1e6
            asked = requests.wait_request(request, time_left_s)
        except Exception as refused:
            self._answer_with(item_id, request, refused)
            return
        self._open[item_id] = None
        wait = self._service.wait_for(asked.saga_id, asked.states, asked.timeout_s, heard)
        if item_id in self._open:  # It was not told at once.
            self._open[item_id] = wait

    def _answer_with(self, item_id: int, request: pb.WaitSagaRequest, outcome: WaitResult | Exception) -> None:
        self._answers.append((item_id, request, outcome))
        self._changed.set()

    async def _answer(
        self, item_id: int, request: pb.WaitSagaRequest, outcome: WaitResult | Exception
    ) -> pb.WaitSagasResponse.Item:
        if isinstance(outcome, Exception):
            return pb.WaitSagasResponse.Item(item_id=item_id, status=item_status(outcome))
        saga, done = outcome
        try:
            view = await view_of(self._service, saga, request.view or pb.SAGA_VIEW_FULL)
        except Exception as unreadable:
            return pb.WaitSagasResponse.Item(item_id=item_id, status=item_status(unreadable))
        return pb.WaitSagasResponse.Item(item_id=item_id, saga=view, done=done)
