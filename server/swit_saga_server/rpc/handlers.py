"""What each call does, free of gRPC: a request in, a response out, refusals as the core's errors.

The servicers put these behind gRPC; a coordinator in the caller's own process calls them directly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypeVar

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import definition_service_pb2 as dpb
from swit_saga.v1 import metrics_pb2, saga_pb2
from swit_saga_server.core.errors import InvalidRequest, Violation
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import SECOND
from swit_saga_server.rpc import requests
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.intake import Intake
from swit_saga_server.rpc.starts import StartsStream
from swit_saga_server.rpc.views import view_of
from swit_saga_server.rpc.waits import WaitsStream
from swit_saga_server.service import SagaService
from swit_saga_server.wire import saga as wire
from swit_saga_server.wire.basic import duration, span, timestamp
from swit_saga_server.wire.definition import definition, read_definition
from swit_saga_server.wire.unsupported import refuse_unsupported

DEFAULT_HEARTBEAT_S, MIN_HEARTBEAT_S, MAX_HEARTBEAT_S = 15.0, 0.1, 600.0
T = TypeVar("T")
S = TypeVar("S", StartsStream, WaitsStream)


class CoordinatorHandlers:
    """CoordinatorService."""

    def __init__(self, service: SagaService) -> None:
        self._service = service
        self._intake = Intake(service)
        self._starts: set[StartsStream] = set()
        self._waits: set[WaitsStream] = set()

    async def start_saga(self, request: pb.StartSagaRequest, caller: Caller) -> pb.StartSagaResponse:
        """StartSaga."""
        saga, created = await self._intake.start(request, caller)
        view = request.view or pb.SAGA_VIEW_FULL
        return pb.StartSagaResponse(saga=await self._view(saga, view), created=created)

    @contextmanager
    def start_sagas(self, caller: Caller) -> Iterator[StartsStream]:
        """StartSagas, while the context lasts."""
        with _among(self._starts, StartsStream(self._intake, caller, self._service.partitions)) as stream:
            yield stream

    async def close(self) -> None:
        """Take no more items; what was taken is still answered, and then the streams end. Safe to call twice."""
        await self._intake.close()
        self._service.end_waits()
        streams: list[StartsStream | WaitsStream] = [*self._starts, *self._waits]
        for stream in streams:
            stream.end()

    async def get_saga(self, request: pb.GetSagaRequest, caller: Caller) -> pb.GetSagaResponse:
        """GetSaga."""
        saga = await self._service.get(requests.saga_id(request.saga_id))
        return pb.GetSagaResponse(saga=await self._view(saga, request.view or pb.SAGA_VIEW_FULL))

    async def list_sagas(self, request: pb.ListSagasRequest, caller: Caller) -> pb.ListSagasResponse:
        """ListSagas."""
        page = await self._service.list_sagas(
            requests.saga_filter(request.filter, self._service.now()),
            requests.order(request.order_by),
            requests.page_size(request.page_size),
            request.page_token,
        )
        view = request.view or pb.SAGA_VIEW_BASIC
        return pb.ListSagasResponse(
            sagas=[await self._view(saga, view) for saga in page.sagas], next_page_token=page.next_token
        )

    async def cancel_saga(self, request: pb.CancelSagaRequest, caller: Caller) -> pb.CancelSagaResponse:
        """CancelSaga."""
        saga_id = requests.saga_id(request.saga_id)
        saga = await _to_the_end(self._service.cancel(saga_id, request.reason))
        return pb.CancelSagaResponse(saga=await self._view(saga, pb.SAGA_VIEW_FULL))

    async def wait_saga(self, request: pb.WaitSagaRequest, caller: Caller) -> pb.WaitSagaResponse:
        """WaitSaga."""
        asked = requests.wait_request(request, caller.time_left_s)
        saga, done = await self._service.wait(asked.saga_id, asked.states, asked.timeout_s)
        return pb.WaitSagaResponse(saga=await self._view(saga, request.view or pb.SAGA_VIEW_FULL), done=done)

    @contextmanager
    def wait_sagas(self, caller: Caller) -> Iterator[WaitsStream]:
        """WaitSagas, while the context lasts."""
        with _among(self._waits, WaitsStream(self._service, caller)) as stream:
            yield stream

    async def watch_saga(self, request: pb.WatchSagaRequest, caller: Caller) -> AsyncIterator[pb.WatchSagaResponse]:
        """WatchSaga."""
        idle_s = DEFAULT_HEARTBEAT_S
        if request.HasField("heartbeat_interval"):
            idle_s = span(request.heartbeat_interval) / SECOND
            if not MIN_HEARTBEAT_S <= idle_s <= MAX_HEARTBEAT_S:
                raise InvalidRequest((Violation("heartbeat_interval", f"is {idle_s:g} s; 100 ms to 10 min"),))
        after = request.after_sequence
        saga, events = await self._service.watch(
            requests.saga_id(request.saga_id), after, follow=request.follow, idle_s=idle_s
        )
        try:
            async for event in events:
                if event is None:
                    beat = pb.Heartbeat(last_sequence=after, timestamp=timestamp(self._service.now()))
                    yield pb.WatchSagaResponse(heartbeat=beat)
                else:
                    after = event.sequence
                    yield pb.WatchSagaResponse(event=wire.event(event, saga))
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def get_metrics(self, request: pb.GetMetricsRequest, caller: Caller) -> pb.GetMetricsResponse:
        """GetMetrics."""
        values = asdict(await self._service.metrics())
        values["queued_starts"] += len(self._intake)
        for name in ("average_saga_duration", "average_step_duration"):
            values[name] = duration(values[name])
        for name in ("start_time", "last_update_time"):
            values[name] = timestamp(values[name])
        return pb.GetMetricsResponse(metrics=metrics_pb2.CoordinatorMetrics(**values))

    async def _view(self, saga: Saga, view: "pb.SagaView.ValueType") -> saga_pb2.Saga:
        return await view_of(self._service, saga, view)


class DefinitionHandlers:
    """DefinitionService."""

    def __init__(self, service: SagaService) -> None:
        self._service = service

    async def register_definition(
        self, request: dpb.RegisterDefinitionRequest, caller: Caller
    ) -> dpb.RegisterDefinitionResponse:
        """RegisterDefinition."""
        refuse_unsupported(request.definition)
        stored, created = await _to_the_end(self._service.register(read_definition(request.definition)))
        return dpb.RegisterDefinitionResponse(definition=definition(stored), created=created)

    async def get_definition(self, request: dpb.GetDefinitionRequest, caller: Caller) -> dpb.GetDefinitionResponse:
        """GetDefinition."""
        stored = await self._service.get_definition(request.definition_id, request.version)
        return dpb.GetDefinitionResponse(definition=definition(stored))

    async def list_definitions(
        self, request: dpb.ListDefinitionsRequest, caller: Caller
    ) -> dpb.ListDefinitionsResponse:
        """ListDefinitions."""
        size = requests.page_size(request.page_size)
        page, token = await self._service.list_definitions(
            request.definition_id, request.include_disabled, size, request.page_token
        )
        return dpb.ListDefinitionsResponse(definitions=[definition(d) for d in page], next_page_token=token)

    async def validate_definition(
        self, request: dpb.ValidateDefinitionRequest, caller: Caller
    ) -> dpb.ValidateDefinitionResponse:
        """ValidateDefinition: what is wrong is the answer, not an error."""
        try:
            refuse_unsupported(request.definition)
            self._service.validate(read_definition(request.definition))
        except InvalidRequest as invalid:
            violations = [dpb.DefinitionViolation(field=v.field, description=v.description) for v in invalid.violations]
            return dpb.ValidateDefinitionResponse(valid=False, violations=violations)
        return dpb.ValidateDefinitionResponse(valid=True)

    async def disable_definition(
        self, request: dpb.DisableDefinitionRequest, caller: Caller
    ) -> dpb.DisableDefinitionResponse:
        """DisableDefinition."""
        if not request.version:
            raise InvalidRequest((Violation("version", "must be at least 1"),))
        stored = await _to_the_end(
            self._service.disable_definition(request.definition_id, request.version, not request.enable)
        )
        return dpb.DisableDefinitionResponse(definition=definition(stored))


@contextmanager
def _among(streams: set[S], stream: S) -> Iterator[S]:
    streams.add(stream)
    try:
        yield stream
    finally:
        streams.discard(stream)
        stream.leave()


async def _to_the_end(work: Awaitable[T]) -> T:
    """Let a write finish even if its caller's deadline passes meanwhile: nothing is left half made."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Nobody is left to hear of it; without this a failure would be logged as never retrieved.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
