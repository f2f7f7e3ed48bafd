"""CoordinatorService, free of gRPC: a request in, a response out, refusals as the core's errors.

The servicers put these behind gRPC; a coordinator in the caller's own process calls them directly.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import metrics_pb2, saga_pb2
from swit_saga_server.core.units import SECOND
from swit_saga_server.rpc import requests
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.item_stream import ItemStream
from swit_saga_server.rpc.pages import Page
from swit_saga_server.rpc.shielding import to_the_end
from swit_saga_server.rpc.start_items import StartItems
from swit_saga_server.rpc.views import Views
from swit_saga_server.rpc.wait_items import WaitItems
from swit_saga_server.service import SagaService
from swit_saga_server.wire import fitting
from swit_saga_server.wire.basic import duration, span, timestamp

DEFAULT_HEARTBEAT_S = 15.0
S = TypeVar("S", bound=ItemStream[Any, Any])


class CoordinatorHandlers:
    """CoordinatorService.

    Attributes:
        streams: Of items, under way.
    """

    def __init__(self, service: SagaService) -> None:
        self._service = service
        self._views = Views(service)
        self.streams: set[ItemStream[Any, Any]] = set()

    async def start_saga(self, request: pb.StartSagaRequest, caller: Caller) -> pb.StartSagaResponse:
        """StartSaga."""
        decode = partial(requests.read_start, request, caller.traceparent, caller.tracestate, caller.principal)
        saga, created = await self._service.starts.start(request.saga_id, decode)
        view = request.view or pb.SAGA_VIEW_FULL
        return pb.StartSagaResponse(saga=await self._views.of(saga, view), created=created)

    @contextmanager
    def start_sagas(self, caller: Caller) -> Iterator[StartItems]:
        """StartSagas, while the context lasts."""
        items = StartItems(self._service.starts, caller, self._service.sagas.partitions, self._views.room)
        with self._under_way(items) as stream:
            yield stream

    async def close(self) -> None:
        """Take no more items; what was taken is still answered, and then the streams end. Safe to call twice."""
        await self._service.close()
        self._service.sagas.end_waits()
        for stream in list(self.streams):
            stream.end()

    async def get_saga(self, request: pb.GetSagaRequest, caller: Caller) -> pb.GetSagaResponse:
        """GetSaga."""
        step_ids = requests.step_ids(request)
        saga = await self._service.sagas.get(request.saga_id)
        requests.refuse_unknown_steps(step_ids, saga)
        return pb.GetSagaResponse(saga=await self._views.of(saga, request.view or pb.SAGA_VIEW_FULL, step_ids))

    async def list_sagas(self, request: pb.ListSagasRequest, caller: Caller) -> pb.ListSagasResponse:
        """ListSagas."""
        found = await self._service.sagas.list(
            requests.saga_filter(request.filter, self._service.now()),
            requests.order(request.order_by),
            requests.page_size(request.page_size),
            request.page_token,
        )
        view = request.view or pb.SAGA_VIEW_BASIC
        page: Page[saga_pb2.Saga] = Page(self._views.room, found.next_token, found.tokens)
        for saga in found.sagas:
            if not page.add(await self._views.of(saga, view)):
                break
        return pb.ListSagasResponse(sagas=page, next_page_token=page.next_token)

    async def cancel_saga(self, request: pb.CancelSagaRequest, caller: Caller) -> pb.CancelSagaResponse:
        """CancelSaga."""
        saga_id = request.saga_id
        saga = await to_the_end(self._service.sagas.cancel(saga_id, request.reason, caller.principal))
        return pb.CancelSagaResponse(saga=await self._views.of(saga, pb.SAGA_VIEW_FULL))

    async def wait_saga(self, request: pb.WaitSagaRequest, caller: Caller) -> pb.WaitSagaResponse:
        """WaitSaga."""
        asked = requests.wait_request(request, caller.time_left_s)
        saga, done = await self._service.sagas.wait(asked.saga_id, asked.states, asked.timeout_s)
        return pb.WaitSagaResponse(saga=await self._views.of(saga, request.view or pb.SAGA_VIEW_FULL), done=done)

    @contextmanager
    def wait_sagas(self, caller: Caller) -> Iterator[WaitItems]:
        """WaitSagas, while the context lasts."""
        with self._under_way(WaitItems(self._service, self._views, caller)) as stream:
            yield stream

    async def watch_saga(self, request: pb.WatchSagaRequest, caller: Caller) -> AsyncIterator[pb.WatchSagaResponse]:
        """WatchSaga."""
        idle_s = DEFAULT_HEARTBEAT_S
        if request.HasField("heartbeat_interval"):
            idle_s = span(request.heartbeat_interval) / SECOND
        after = request.after_sequence
        saga, events = await self._service.sagas.watch(request.saga_id, after, follow=request.follow, idle_s=idle_s)
        try:
            async for event in events:
                if event is None:
                    beat = pb.Heartbeat(last_sequence=after, timestamp=timestamp(self._service.now()))
                    yield pb.WatchSagaResponse(heartbeat=beat)
                else:
                    after = event.sequence
                    yield pb.WatchSagaResponse(event=fitting.event(event, saga, self._views.room))
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def get_metrics(self, request: pb.GetMetricsRequest, caller: Caller) -> pb.GetMetricsResponse:
        """GetMetrics."""
        values = asdict(await self._service.metrics())
        for name in ("average_saga_duration", "average_step_duration"):
            values[name] = duration(values[name])
        for name in ("start_time", "last_update_time"):
            values[name] = timestamp(values[name])
        return pb.GetMetricsResponse(metrics=metrics_pb2.CoordinatorMetrics(**values))

    @contextmanager
    def _under_way(self, stream: S) -> Iterator[S]:
        self.streams.add(stream)
        try:
            yield stream
        finally:
            self.streams.discard(stream)
            stream.leave()
