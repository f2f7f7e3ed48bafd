"""``AsyncSagaClient``: start, read, stop, watch and wait for sagas."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from swit_saga.calls import FIRST_WAIT_S, MAX_WAIT_S, call, is_passing
from swit_saga.definition import Saga
from swit_saga.durations import DurationLike, parse_duration
from swit_saga.errors import (
    OUTCOMES,
    CallError,
    ClientClosed,
    TimedOutError,
    UnavailableError,
    WaitTimeout,
    from_rpc_error,
)
from swit_saga.handle import SagaHandle
from swit_saga.ids import SagaIds
from swit_saga.payload import Codecs
from swit_saga.starts import STARTS
from swit_saga.streams import CanStream, Kind, Metadata, Shared, StreamCall
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import (
    coordinator_service_pb2_grpc,
    definition_pb2,
    definition_service_pb2,
    definition_service_pb2_grpc,
    metrics_pb2,
)
from swit_saga.views import EventView, SagaView, state_value
from swit_saga.waits import WAITS

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 32 << 20),
    # A coordinator that comes back is found again within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    # In truth how long an attempt to connect may take; with less, a coordinator far away or busy is never reached.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
WAIT_SLICE_S = 60.0
HEARTBEAT_S = 15.0
ANSWER_S = 5.0
"""What a wait may take longer than it was told to, to reach the coordinator and back."""


class Stubs(Protocol):
    """The coordinator's services as the client calls them: over a channel, or in process."""

    coordinator: Any
    definitions: Any

    async def close(self) -> None:
        """Let go of connections that are the client's own."""
        ...


class ChannelStubs:
    """The services over a gRPC channel."""

    def __init__(self, channel: grpc.aio.Channel, *, owned: bool) -> None:
        self.coordinator: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(channel)
        self.definitions: Any = definition_service_pb2_grpc.DefinitionServiceStub(channel)
        self._channel = channel
        self._owned = owned

    def open_stream(self, rpc: str, metadata: Metadata) -> StreamCall:
        """See ``swit_saga.streams.CanStream``."""
        return _StreamCall(getattr(self.coordinator, rpc)(metadata=metadata or None))

    async def close(self) -> None:
        """Close the channel if the client made it."""
        if self._owned:
            await self._channel.close()


class _StreamCall:
    """A call over grpc.aio, see ``swit_saga.streams.StreamCall``."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.write, self.done_writing, self.cancel = call.write, call.done_writing, call.cancel

    async def read(self) -> Any | None:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as failed:
            raise from_rpc_error(failed) from failed
        return None if message is grpc.aio.EOF else message


class AsyncSagaClient:
    """A connection to a coordinator. Use it as an async context manager, or ``close`` it.

    Calls are repeated while the coordinator is unavailable, within their timeout; every one of them is safe to repeat.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        channel: grpc.aio.Channel | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        stubs: Stubs | None = None,
        codecs: Codecs | None = None,
        metadata: Mapping[str, str] | None = None,
        service: str = "",
        timeout: DurationLike = "30s",
        batch_starts: bool = True,
        batch_waits: bool = True,
    ) -> None:
        """Say where the coordinator is; the connection is made by the first call.

        Args:
            target: ``host:port``. Give this, a ``channel`` of your own (which stays yours to close), or ``stubs``.
            channel: Instead of ``target``.
            credentials: For ``target``; without them the connection is not encrypted.
            stubs: For a coordinator in this process.
            codecs: How values become payloads; JSON, dataclasses, pydantic and protobuf by default.
            metadata: Sent with every call.
            service: Name of the calling service, for the sagas' record.
            timeout: Of every call but ``wait``, ``result`` and ``watch``, retries included.
            batch_starts: Starts under way at the same time share a stream; off, each is a call of its own. The same
                but for the cost; a server that has no such stream gets calls of their own by itself.
            batch_waits: The same for ``wait`` and ``result``.

        Raises:
            ValueError: Not exactly one of ``target``, ``channel`` and ``stubs`` is given.
        """
        if sum(x is not None for x in (target, channel, stubs)) != 1:
            raise ValueError("give exactly one of target, channel and stubs")
        self.codecs = codecs or Codecs()
        self._target, self._credentials = target, credentials
        self._stubs = stubs or (ChannelStubs(channel, owned=False) if channel is not None else None)
        self._metadata = tuple((metadata or {}).items())
        self._service = service
        self._batched = {STARTS: batch_starts, WAITS: batch_waits}
        self._shared: dict[Kind, Shared] = {}
        self._ids = SagaIds()
        self._closed = False
        self._timeout_s = parse_duration(timeout).total_seconds()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. Safe to call twice; a ``channel`` given is left open.

        Whatever is called or watched afterwards raises ``ClientClosed``.
        """
        self._closed = True
        for shared in self._shared.values():
            await shared.close()
        if self._stubs is not None:
            await self._stubs.close()

    # ---- definitions -----------------------------------------------------------------------------------------------

    async def register(self, saga: Saga | definition_pb2.SagaDefinition) -> int:
        """Register a definition; the same content again keeps its version.

        Returns:
            Its version, from 1.

        Raises:
            InvalidRequestError: With a violation for everything wrong. UnsupportedError, UnavailableError.
        """
        request = definition_service_pb2.RegisterDefinitionRequest(definition=_definition(saga))
        response = await self._call(self._services.definitions.RegisterDefinition, request)
        version: int = response.definition.version
        return version

    async def definition(self, definition_id: str, version: int = 0) -> definition_pb2.SagaDefinition:
        """One version of a definition; 0 is the latest not disabled.

        Raises:
            NotFoundError, UnavailableError.
        """
        request = definition_service_pb2.GetDefinitionRequest(definition_id=definition_id, version=version)
        response = await self._call(self._services.definitions.GetDefinition, request)
        found: definition_pb2.SagaDefinition = response.definition
        return found

    # ---- sagas -----------------------------------------------------------------------------------------------------

    async def start(
        self,
        definition: str | Saga | definition_pb2.SagaDefinition,
        data: Any = None,
        *,
        saga_id: str | None = None,
        version: int = 0,
        timeout: DurationLike | None = None,
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str = "",
    ) -> SagaHandle:
        """Start a saga; it is durable when this returns.

        Args:
            definition: The id of a registered one, or an inline one.
            data: What the first step is given.
            saga_id: Makes the start idempotent over crashes of the caller; one is made up otherwise, which makes it
                idempotent over lost connections.
            version: Of a registered definition; 0 is the latest not disabled.
            timeout: Of the saga as a whole; None takes the definition's.
            labels: At most 8, for listing.
            metadata: JSON-like, kept with the saga.
            correlation_id: Ties the saga to something of the caller's.

        Returns:
            A handle; ``handle.created`` is False if the same request had started it before.

        Raises:
            AlreadyExistsError: A different request started a saga with this id.
            NotFoundError, DefinitionDisabledError, InvalidRequestError, UnsupportedError, UnavailableError, CodecError.
        """
        request = pb.StartSagaRequest(
            saga_id=saga_id or self._ids.new(),
            definition_version=version,
            initial_data=self.codecs.encode(data),
            timeout=_duration(timeout),
            labels=labels or {},
            correlation_id=correlation_id,
            service=self._service,
            view=pb.SAGA_VIEW_HEAD,
        )
        if isinstance(definition, str):
            request.definition_id = definition
        else:
            request.definition.CopyFrom(_definition(definition))
        if metadata:
            request.metadata.update(dict(metadata))
        response = await self._call(self._sharing(STARTS, "StartSaga"), request)
        return SagaHandle(self, response.saga.id, created=response.created)

    def handle(self, saga_id: str) -> SagaHandle:
        """A handle on a saga started elsewhere. Nothing is asked of the coordinator yet."""
        return SagaHandle(self, saga_id, created=False)

    async def get(self, saga_id: str, *, full: bool = True) -> SagaView:
        """The saga as it is now.

        Args:
            saga_id: The saga.
            full: With payloads and steps.

        Raises:
            NotFoundError, UnavailableError.
        """
        view = pb.SAGA_VIEW_FULL if full else pb.SAGA_VIEW_BASIC
        response = await self._call(self._services.coordinator.GetSaga, pb.GetSagaRequest(saga_id=saga_id, view=view))
        return SagaView(response.saga, self.codecs)

    async def list(
        self,
        *,
        states: Iterable[str] = (),
        definitions: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        updated_from: datetime | None = None,
        updated_to: datetime | None = None,
        overdue_by: DurationLike | None = None,
        stuck: bool = False,
        order_by: str = "created_at desc",
        full: bool = False,
        page_size: int = 100,
    ) -> AsyncIterator[SagaView]:
        """All sagas that match every condition given, page by page as they are consumed.

        Args:
            states: Any of these, such as ``"running"``.
            definitions: Any of these definition ids.
            labels: Every one of these.
            metadata: Every top-level key with this very value.
            created_from, updated_from: Inclusive.
            created_to, updated_to: Exclusive.
            overdue_by: Due for longer than this.
            stuck: Only parked ones.
            order_by: ``created_at`` or ``updated_at``, then ``asc`` or ``desc``.
            full: With payloads and steps.
            page_size: Sagas per call, 1 to 1000.

        Raises:
            InvalidRequestError, UnavailableError.
        """
        wanted = pb.SagaFilter(
            states=[state_value(s) for s in states],
            definition_ids=list(definitions),
            labels=labels or {},
            overdue_by=_duration(overdue_by),
            stuck=stuck,
        )
        if metadata:
            values = Struct()
            values.update(dict(metadata))
            wanted.metadata.CopyFrom(values)
        for field, at in (
            (wanted.created_from, created_from),
            (wanted.created_to, created_to),
            (wanted.updated_from, updated_from),
            (wanted.updated_to, updated_to),
        ):
            if at is not None:
                field.FromDatetime(at)
        view = pb.SAGA_VIEW_FULL if full else pb.SAGA_VIEW_BASIC
        token = ""
        while True:
            request = pb.ListSagasRequest(
                filter=wanted, page_size=page_size, page_token=token, order_by=order_by, view=view
            )
            response = await self._call(self._services.coordinator.ListSagas, request)
            for saga in response.sagas:
                yield SagaView(saga, self.codecs)
            token = response.next_page_token
            if not token:
                return

    async def cancel(self, saga_id: str, reason: str = "") -> SagaView:
        """Stop a saga and undo it; durable when this returns, and idempotent. Its compensations may still run.

        Raises:
            NotFoundError, AlreadyFinishedError, UnavailableError.
        """
        request = pb.CancelSagaRequest(saga_id=saga_id, reason=reason)
        response = await self._call(self._services.coordinator.CancelSaga, request)
        return SagaView(response.saga, self.codecs)

    async def wait(self, saga_id: str, *, timeout: DurationLike | None = None, states: Sequence[str] = ()) -> SagaView:
        """Until the saga has its outcome, or is in one of ``states``. Never raises on an outcome.

        Args:
            saga_id: The saga.
            timeout: At most this long; None is for ever. The saga as it then is is returned: look at its state.
            states: Such as ``("running",)``; any outcome ends the wait, too.

        Raises:
            NotFoundError: There is no such saga.
            UnavailableError, TimedOutError: The coordinator could not be asked, at the latest 5 s after ``timeout``.
        """
        return await self._wait(saga_id, timeout, states, pb.SAGA_VIEW_FULL)

    async def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """The last step's output, once the saga is completed.

        Args:
            saga_id: The saga.
            kind: Decoded as this; None takes what the payload suggests.
            timeout: At most this long; None is for ever.

        Raises:
            SagaCompensated, SagaFailed, SagaCancelled, SagaTimedOut: It has another outcome than completed.
            WaitTimeout: It has none within ``timeout``.
            NotFoundError, UnavailableError, TimedOutError: As ``wait``.
        """
        saga = await self._wait(saga_id, timeout, (), pb.SAGA_VIEW_RESULT)
        if not saga.is_terminal:
            raise WaitTimeout(f"saga {saga_id!r} is still {saga.state}")
        if saga.state in OUTCOMES:
            raise OUTCOMES[saga.state](saga)
        return saga.result_data(kind)

    async def _wait(
        self, saga_id: str, timeout: DurationLike | None, states: Sequence[str], view: "pb.SagaView.ValueType"
    ) -> SagaView:
        loop = asyncio.get_running_loop()
        until = loop.time() + parse_duration(timeout).total_seconds() if timeout is not None else None
        while True:
            left_s = WAIT_SLICE_S if until is None else min(max(until - loop.time(), 0.0), WAIT_SLICE_S)
            request = pb.WaitSagaRequest(
                saga_id=saga_id,
                states=[state_value(s) for s in states],
                timeout=_duration(timedelta(seconds=max(left_s, 0.001))),
                view=view,
            )
            try:
                response = await self._call(
                    self._sharing(WAITS, "WaitSaga"), request, timeout_s=left_s + min(self._timeout_s, ANSWER_S)
                )
            except (UnavailableError, TimedOutError):
                if until is not None and loop.time() >= until:
                    raise
                continue
            saga = SagaView(response.saga, self.codecs)
            if response.done or saga.is_terminal or (until is not None and loop.time() >= until):
                return saga

    async def watch(self, saga_id: str, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
        """A saga's events: history first, then live, without gaps or duplicates; ends after the outcome.

        A lost connection is taken up again where it broke, for as long as it takes.

        Args:
            saga_id: The saga.
            after: Only events with a greater sequence.
            follow: Go on after the outcome, for sagas an operator may reopen.

        Raises:
            NotFoundError: There is no such saga.
            InvalidRequestError: ``after`` lies beyond its latest event.
        """
        wait_s = FIRST_WAIT_S
        while True:
            request = pb.WatchSagaRequest(
                saga_id=saga_id,
                after_sequence=after,
                follow=follow,
                heartbeat_interval=_duration(timedelta(seconds=HEARTBEAT_S)),
            )
            try:
                async for message in self._messages(request):
                    wait_s = FIRST_WAIT_S
                    if message.WhichOneof("message") == "event" and message.event.sequence > after:
                        after = message.event.sequence
                        yield EventView(message.event, self.codecs)
                return
            except CallError as error:
                if not is_passing(error):
                    raise
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_WAIT_S)

    async def metrics(self) -> metrics_pb2.CoordinatorMetrics:
        """What the coordinator counted.

        Raises:
            UnavailableError.
        """
        response = await self._call(self._services.coordinator.GetMetrics, pb.GetMetricsRequest())
        found: metrics_pb2.CoordinatorMetrics = response.metrics
        return found

    # ---- within ----------------------------------------------------------------------------------------------------

    @property
    def _services(self) -> Stubs:
        if self._closed:
            raise ClientClosed
        if self._stubs is None:
            assert self._target is not None
            channel = (
                grpc.aio.secure_channel(self._target, self._credentials, options=CHANNEL_OPTIONS)
                if self._credentials is not None
                else grpc.aio.insecure_channel(self._target, options=CHANNEL_OPTIONS)
            )
            self._stubs = ChannelStubs(channel, owned=True)
        return self._stubs

    def _sharing(self, kind: Kind, rpc: str) -> Any:
        """A unary RPC, or what shares a stream and looks like it."""
        services = self._services
        if (shared := self._shared.get(kind)) is not None:
            return shared
        alone = getattr(services.coordinator, rpc)
        if not (self._batched[kind] and isinstance(services, CanStream)):
            return alone
        shared = self._shared[kind] = Shared(kind, services, alone, self._heard)
        return shared

    def _heard(self, message: Any) -> None:
        """Every message of the shared streams."""
        if isinstance(message, pb.StartSagasResponse) and message.HasField("partitions"):
            self._ids.learn(message.partitions.total, message.partitions.held)

    async def _call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        async def attempt(request: Any, **how: Any) -> Any:
            with self._open():
                return await method(request, **how)

        return await call(attempt, request, timeout_s=timeout_s or self._timeout_s, metadata=self._sent_metadata())

    @contextmanager
    def _open(self) -> Iterator[None]:
        """What is under way when the client is closed ends with ``ClientClosed``, however the transport says it."""
        if self._closed:
            raise ClientClosed
        try:
            yield
        except (asyncio.CancelledError, CallError) as ended:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise ClientClosed from ended
            raise

    async def _messages(self, request: pb.WatchSagaRequest) -> AsyncIterator[pb.WatchSagaResponse]:
        """One stream's messages. Silence longer than two heartbeats is a broken connection."""
        stream = self._services.coordinator.WatchSaga(request, metadata=self._sent_metadata() or None)
        messages = aiter(stream)
        try:
            while True:
                try:
                    with self._open():
                        async with asyncio.timeout(2 * HEARTBEAT_S + 5):
                            message = await anext(messages)
                except StopAsyncIteration:
                    return
                except TimeoutError as silent:
                    raise UnavailableError("the watch fell silent") from silent
                except grpc.aio.AioRpcError as failed:
                    raise from_rpc_error(failed) from failed
                yield message
        finally:
            if isinstance(stream, grpc.aio.Call):
                stream.cancel()
            else:
                await stream.aclose()  # In process.

    def _sent_metadata(self) -> tuple[tuple[str, str], ...]:
        """The caller's metadata and, if OpenTelemetry is in use, the current trace context."""
        try:
            from opentelemetry import propagate
        except ImportError:
            return self._metadata
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        given = {key for key, _ in self._metadata}
        return (*self._metadata, *((k, v) for k, v in carrier.items() if k not in given))


def _definition(saga: Saga | definition_pb2.SagaDefinition) -> definition_pb2.SagaDefinition:
    return saga.to_proto() if isinstance(saga, Saga) else saga


def _duration(value: DurationLike | None) -> Duration | None:
    if value is None:
        return None
    made = Duration()
    made.FromTimedelta(parse_duration(value))
    return made
