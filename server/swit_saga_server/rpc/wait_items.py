"""Waits as the items of a stream: nothing is read from the store to answer, what the engine applied is what is sent."""

from collections.abc import Awaitable
from functools import partial
from typing import Any

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga_server.core.errors import CoordinatorOverloaded, InvalidRequest, Violation
from swit_saga_server.core.model import Saga
from swit_saga_server.engine.waits import WaitResult
from swit_saga_server.rpc import item_stream, requests
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.item_stream import ItemStream, item_status
from swit_saga_server.rpc.views import View, Views
from swit_saga_server.service import SagaService
from swit_saga_server.wire.door import admit


class WaitItems(ItemStream[WaitResult, pb.WaitSagasResponse]):
    """One caller's stream of waits. Each is answered when its saga gets there or its time is up."""

    max_message_items = 64
    is_cancellable = True

    def __init__(self, service: SagaService, views: Views, caller: Caller) -> None:
        """``caller``'s deadline, if it has one, ends every wait a little before."""
        super().__init__()
        self._service = service
        self._views = views
        self._until_s = None if caller.time_left_s is None else service.elapsed() / 1e6 + caller.time_left_s

    def _begin(self, item: Any) -> None:
        item_id, request = item.item_id, item.wait
        view = request.view or pb.SAGA_VIEW_FULL
        try:
            if item_id in self._open:
                raise InvalidRequest((Violation("item_id", f"{item_id} is the id of another wait under way"),))
            if len(self._open) >= item_stream.MAX_OPEN:
                raise CoordinatorOverloaded(f"{item_stream.MAX_OPEN} waits are under way on this stream; open another")
            admit(request)
            time_left_s = None if self._until_s is None else self._until_s - self._service.elapsed() / 1e6
            asked = requests.wait_request(request, time_left_s)
        except Exception as refused:
            self._refuse(item_id, view, refused)
            return
        self._open[item_id] = None  # Just being begun.
        on_result = partial(self._on_result, item_id, item_id, view)
        wait = self._service.sagas.wait_for(asked.saga_id, asked.states, asked.timeout_s, on_result)
        if item_id in self._open:  # Its result did not come at once.
            self._open[item_id] = wait

    def _write(self, item: Any, view: View, result: WaitResult) -> Awaitable[None] | None:
        saga, item.done = result
        shown = self._views.without_definition(saga, view)
        if shown is None:
            return self._write_in_full(item, saga)
        item.saga.MergeFrom(shown)
        return None

    async def _write_in_full(self, item: Any, saga: Saga) -> None:
        try:
            item.saga.MergeFrom(await self._views.of(saga, pb.SAGA_VIEW_FULL))
        except Exception as unreadable:
            item.done = False
            item.status.CopyFrom(item_status(unreadable))

    def _new_response(self) -> pb.WaitSagasResponse:
        return pb.WaitSagasResponse()
