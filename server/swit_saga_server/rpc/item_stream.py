"""One call with many items both ways: items in, answers out, each when it is ready, many to a message.

Free of gRPC: ``serving`` moves the messages. No task per item. ``start_items`` and ``wait_items`` say what an item is.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from swit_saga.v1 import error_pb2
from swit_saga_server.core.errors import CoordinatorOverloaded, InvalidRequest, SwitSagaError, Violation
from swit_saga_server.core.limits import MAX_MESSAGE_ITEMS
from swit_saga_server.engine.patience import YIELD_EVERY
from swit_saga_server.logs import get_logger
from swit_saga_server.rpc.errors import to_status
from swit_saga_server.rpc.views import View

log = get_logger(__name__)

MAX_OPEN = 8_192
"""Items under way on one stream."""
MAX_UNREAD = 8_192
"""Answers not yet read: past it, no more is read from the caller."""
MESSAGE_BYTES = 1 << 20
"""Size of one message, unless a single answer is larger: whoever can receive each answer can receive the message."""

Result = TypeVar("Result")
"""What becomes of an item, if it is not refused."""
Response = TypeVar("Response", bound=Message)


class Open(Protocol):
    """An item under way."""

    def cancel(self) -> None:
        """Nobody wants it any more."""
        ...


class ItemStream(ABC, Generic[Result, Response]):
    """What one such call is about. All methods belong to the engine's event loop."""

    max_message_items: ClassVar[int]
    """Answers in one message at most: other work waits while it is made."""
    is_cancellable: ClassVar[bool]
    """Whether the caller may cancel items by their ids. Then what is more than ``MAX_OPEN`` is refused: kept waiting
    unread, it would keep what cancels others waiting, too. Else no more is read until there is capacity again.
    """

    def __init__(self) -> None:
        self._open: dict[int, Open | None] = {}
        """None of one that is just being begun."""
        self._answers: deque[tuple[int, View, Result | Exception]] = deque()
        self._held: Any = None
        """The first of the answers as a message, if it did not fit into the last response."""
        self._changed = asyncio.Event()
        self._capacity = asyncio.Event()
        self._ended = False

    @property
    def unread(self) -> int:
        """Answers ready and not yet read."""
        return len(self._answers)

    async def take(self, request: Any) -> None:
        """Set the items of a message on their way, cancel others; returns when the caller may send more.

        Raises:
            InvalidRequest: These are too many for one message; none of them was begun.
        """
        refuse_too_many(request)
        for n, item in enumerate(request.items, 1):
            self._begin(item)
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)
                await self._capacity_for_more()
        if self.is_cancellable:
            for item_id in request.withdrawn:
                if (opened := self._open.pop(item_id, None)) is not None:
                    opened.cancel()
        await self._capacity_for_more()

    def end(self) -> None:
        """No more items come, or none are wanted: what was taken is still answered. Safe to call twice."""
        self._ended = True
        self._changed.set()
        self._capacity.set()

    def leave(self) -> None:
        """The caller has gone: nobody wants its items any more."""
        self.end()
        for opened in self._open.values():
            if opened is not None:
                opened.cancel()
        self._open.clear()

    async def answers(self) -> Response | None:
        """The next message of answers, as soon as there are some; None when all were given and no more items come."""
        while not self._answers:
            if self._ended and not self._open:
                return None
            self._changed.clear()
            await self._changed.wait()
        response = self._new_response()
        items: Any = response.items  # type: ignore[attr-defined] # every such response has them
        if self._held is not None:
            items.append(self._held)
            self._held = None
            self._answers.popleft()
        size = response.ByteSize()
        while self._answers and len(items) < self.max_message_items:
            item_id, view, result = self._answers[0]
            item = items.add()
            item.item_id = item_id
            if isinstance(result, Exception):
                item.status.CopyFrom(item_status(result))
            elif (reading := self._write(item, view, result)) is not None:
                await reading
            size += item.ByteSize()
            if size > MESSAGE_BYTES and len(items) > 1:
                self._held = items.pop()
                break
            self._answers.popleft()
        self._capacity.set()
        return response

    @abstractmethod
    def _begin(self, item: Any) -> None:
        """Set an item on its way: put it among ``_open``, or refuse it; ``_on_result`` takes it out again."""

    @abstractmethod
    def _write(self, item: Any, view: View, result: Result) -> Awaitable[None] | None:
        """Fill an answer in; what it returns is awaited first."""

    @abstractmethod
    def _new_response(self) -> Response:
        """An empty message of answers."""

    def _on_result(self, key: int, item_id: int, view: View, result: Result | Exception) -> None:
        """What became of the item that is ``key`` among the open ones."""
        self._open.pop(key, None)
        self._answers.append((item_id, view, result))
        self._changed.set()

    def _refuse(self, item_id: int, view: View, refused: Exception) -> None:
        """The item was not begun."""
        self._answers.append((item_id, view, refused))
        self._changed.set()

    async def _capacity_for_more(self) -> None:
        while self._is_full() and not self._ended:
            self._capacity.clear()
            await self._capacity.wait()

    def _is_full(self) -> bool:
        if self.is_cancellable:
            return len(self._answers) > MAX_UNREAD
        return len(self._open) + len(self._answers) > MAX_OPEN


def refuse_too_many(request: Any) -> None:
    """Return if a message has no more items than it may: tiny ones are many in one, and each costs memory.

    Raises:
        InvalidRequest: It has more.
    """
    for field, items in request.ListFields():
        if len(items) > MAX_MESSAGE_ITEMS:
            text = f"has {len(items)} items; at most {MAX_MESSAGE_ITEMS} in one message"
            raise InvalidRequest((Violation(field.name, text),))


def item_status(error: Exception) -> error_pb2.ItemStatus:
    """What a call of its own would have failed with; what was not raised on purpose is logged and says nothing."""
    if isinstance(error, CoordinatorOverloaded):
        return _overloaded(str(error))
    if not isinstance(error, SwitSagaError):
        log.error("call_failed", fold_by=type(error), exc_info=error)
    return _status(error)


@lru_cache
def _overloaded(text: str) -> error_pb2.ItemStatus:
    """Made once: the more are refused, the less each may cost."""
    return _status(CoordinatorOverloaded(text))


def _status(error: Exception) -> error_pb2.ItemStatus:
    status = to_status(error)
    return error_pb2.ItemStatus(code=status.code, message=status.message, details=status.details)
