"""Starts as the items of a stream: what the engine applies in one round is answered in one message."""

from collections.abc import Callable
from functools import partial
from typing import Any

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga_server.engine.items import StartResult
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.item_stream import ItemStream
from swit_saga_server.rpc.requests import read_start
from swit_saga_server.rpc.views import View
from swit_saga_server.service.admission_queue import AdmissionQueue
from swit_saga_server.service.starting import QueuedStart
from swit_saga_server.wire import fitting
from swit_saga_server.wire import saga as wire

Partitions = tuple[int, tuple[int, ...]]
"""How many there are, and those whose sagas are driven here."""


class StartItems(ItemStream[StartResult, pb.StartSagasResponse]):
    """One caller's stream of starts. Each is answered when its saga is durable, with the basic view at most."""

    max_message_items = 256
    is_cancellable = False

    def __init__(self, queue: AdmissionQueue, caller: Caller, partitions: Callable[[], Partitions], room: int) -> None:
        """``caller``'s trace is that of items that bring none; ``partitions`` is the service's, ``room`` the views'."""
        super().__init__()
        self._queue = queue
        self._caller = caller
        self._partitions = partitions
        self._room = room
        self._said_partitions: Partitions | None = None
        self._taken = 0

    def _begin(self, item: Any) -> None:
        start = item.start
        trace = item if item.traceparent else self._caller
        number = self._taken = self._taken + 1
        self._open[number] = queued = QueuedStart(
            start.saga_id,
            partial(read_start, start, trace.traceparent, trace.tracestate, self._caller.principal),
            partial(self._on_result, number, item.item_id, start.view),
        )
        self._queue.put(queued)

    def _write(self, item: Any, view: View, result: StartResult) -> None:
        saga, item.created = result
        if view == pb.SAGA_VIEW_HEAD:
            wire.write_head(item.saga, saga)
        else:
            item.saga.MergeFrom(fitting.basic_view(saga, self._room))

    def _new_response(self) -> pb.StartSagasResponse:
        response = pb.StartSagasResponse()
        if (partitions := self._partitions()) != self._said_partitions:
            self._said_partitions = partitions
            response.partitions.total, held = partitions
            response.partitions.held.extend(held)
        return response
