"""``AsyncSagaClient``: start, read, stop, watch and wait for sagas."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, overload

import grpc
import grpc.aio

from swit_saga.channel import ChannelStubs, Stubs, checked_target
from swit_saga.connection import Connection
from swit_saga.definition import DefinitionLike, definition_message
from swit_saga.definitions import Definitions
from swit_saga.durations import DurationLike, duration_message, parse_duration
from swit_saga.filters import saga_filter
from swit_saga.handle import SagaHandle
from swit_saga.health import health_request, refuse_unless_serving
from swit_saga.ids import MAX_VERSION, SagaIds, given_id, given_number, given_text
from swit_saga.operator import Operator
from swit_saga.outcomes import result_of
from swit_saga.paging import every
from swit_saga.payload import Codecs
from swit_saga.starts import STARTS
from swit_saga.trees import texts, tree
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga.v1.metrics_pb2 import CoordinatorMetrics
from swit_saga.views import EventView, SagaView
from swit_saga.waiting import Waiting
from swit_saga.watching import watch

T = TypeVar("T")


class AsyncSagaClient:
    """A connection to a coordinator. Use it as an async context manager, or ``close`` it.

    Calls are repeated while the coordinator is unavailable, within their timeout; every one of them is safe to repeat.

    Attributes:
        codecs: How values become payloads.
        definitions: Everything about definitions; ``register`` and ``definition`` are short for two of its calls.
        operator: What a person on call does.
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
            target: ``host:port``, see ``swit_saga.addresses.check_target``. Give this, a ``channel`` of your own (which
                stays yours to close), or ``stubs``.
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
            ValueError: Not exactly one of ``target``, ``channel`` and ``stubs`` is given, or one is not valid.
        """
        if sum(x is not None for x in (target, channel, stubs)) != 1:
            raise ValueError("give exactly one of target, channel and stubs")
        if target is not None:
            checked_target(target)

        def connect() -> Stubs:
            if stubs is not None:
                return stubs
            if channel is not None:
                return ChannelStubs(channel, owned=False)
            assert target is not None
            return ChannelStubs.to(target, credentials)

        timeout_s = parse_duration(timeout).total_seconds()
        if not timeout_s:
            raise ValueError("timeout must be greater than 0")
        self.codecs = codecs or Codecs()
        # A channel that is given was made in this process; any other is made by the process that makes the first call.
        self._connection = Connection(connect, metadata=metadata or {}, timeout_s=timeout_s, begun=channel is not None)
        self._waiting = Waiting(self._connection, self.codecs, batched=batch_waits)
        self.definitions = Definitions(self._connection)
        self.operator = Operator(self._connection, self.codecs)
        self._service = service
        self._batch_starts = batch_starts
        self._ids = SagaIds()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client cannot be sent to another process; make one there")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. Safe to call twice; a ``channel`` given is left open.

        Whatever is called or watched afterwards raises ``ClientClosed``. In a process that was forked off after the
        first call nothing is let go of: it is its parent's.
        """
        await self._connection.close()

    async def register(self, definition: DefinitionLike) -> int:
        """See ``Definitions.register``."""
        return await self.definitions.register(definition)

    async def definition(self, definition_id: str, version: int = 0) -> SagaDefinition:
        """See ``Definitions.get``."""
        return await self.definitions.get(definition_id, version)

    async def start(
        self,
        definition: str | DefinitionLike,
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
            ValueError: An id is given and empty; ``timeout``, ``labels`` or ``metadata`` cannot be sent as they are.
            TypeError: Something is of a type that cannot be sent.
        """
        request = pb.StartSagaRequest(
            saga_id=self._ids.new() if saga_id is None else given_id(saga_id),
            definition_version=given_number(version, "version", highest=MAX_VERSION),
            initial_data=self.codecs.encode(data),
            timeout=duration_message(timeout),
            labels=texts(labels or {}, "labels"),
            correlation_id=given_text(correlation_id, "correlation_id"),
            service=self._service,
            view=pb.SAGA_VIEW_HEAD,
        )
        if isinstance(definition, str):
            request.definition_id = given_id(definition, "definition")
        else:
            request.definition.CopyFrom(definition_message(definition))
        if metadata:
            request.metadata.CopyFrom(tree(metadata))
        shared = self._batch_starts
        rpc = self._connection.shared(STARTS, self._learn) if shared else self._connection.stubs.coordinator.StartSaga
        response = await self._connection.call(rpc, request)
        return SagaHandle(self, response.saga.id, created=response.created)

    def handle(self, saga_id: str) -> SagaHandle:
        """A handle on a saga that somebody started. Nothing is asked of the coordinator yet.

        Raises:
            ValueError: The id is empty.
        """
        return SagaHandle(self, given_id(saga_id), created=False)

    async def get(self, saga_id: str, *, full: bool = True, steps: Sequence[str] = ()) -> SagaView:
        """The saga as it is now.

        Of a saga that is too large for one message, payloads are left out: ``saga.steps[0].output.omitted_bytes`` is
        their size then, and reading them raises ``PayloadLeftOut``.

        Args:
            saga_id: The saga.
            full: With payloads and steps.
            steps: Ids of the only steps to show, with their payloads and no others; a single one always fits.

        Raises:
            NotFoundError, UnavailableError.
            InvalidRequestError: The saga has no such step.
            ValueError: ``steps`` without ``full``, or a bare string.
        """
        if isinstance(steps, str):
            raise ValueError(f"steps is a list of ids: steps=[{steps!r}]")
        if steps and not full:
            raise ValueError("steps are only in the full view; leave out full=False")
        step_ids = [given_id(step_id, "steps") for step_id in steps]
        request = pb.GetSagaRequest(saga_id=given_id(saga_id), view=_view(full), step_ids=step_ids)
        response = await self._connection.call(self._connection.stubs.coordinator.GetSaga, request)
        return SagaView(response.saga, self.codecs)

    def list(
        self,
        *,
        states: Iterable[str] = (),
        active: bool = False,
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
            active: Only those under way: running, between steps or compensating. Not together with ``states``.
            definitions: Any of these definition ids.
            labels: Every one of these.
            metadata: Every top-level key with this very value.
            created_from, updated_from: Inclusive; like all times with a timezone.
            created_to, updated_to: Exclusive.
            overdue_by: Due for longer than this.
            stuck: Only those that the coordinator itself failed on, see ``SagaView.stuck``.
            order_by: ``created_at`` or ``updated_at``, then ``asc`` or ``desc``.
            full: With payloads and steps.
            page_size: Sagas per call, 1 to 1000.

        Raises:
            ValueError: There is no such state; ``states`` and ``active`` are both given; a time has no timezone.
            InvalidRequestError, UnavailableError.
        """
        wanted = saga_filter(
            states=states,
            active=active,
            definitions=definitions,
            labels=labels,
            metadata=metadata,
            created_from=created_from,
            created_to=created_to,
            updated_from=updated_from,
            updated_to=updated_to,
            overdue_by=overdue_by,
            stuck=stuck,
        )

        size, order = given_number(page_size, "page_size", lowest=1), given_text(order_by, "order_by")

        async def page(token: str) -> tuple[Iterable[SagaView], str]:
            request = pb.ListSagasRequest(
                filter=wanted, page_size=size, page_token=token, order_by=order, view=_view(full)
            )
            response = await self._connection.call(self._connection.stubs.coordinator.ListSagas, request)
            return [SagaView(saga, self.codecs) for saga in response.sagas], response.next_page_token

        return every(page)

    async def cancel(self, saga_id: str, reason: str = "") -> SagaView:
        """Stop a saga and undo it; durable when this returns, and idempotent. Its compensations may still run.

        Raises:
            NotFoundError, AlreadyFinishedError, UnavailableError.
        """
        request = pb.CancelSagaRequest(saga_id=given_id(saga_id), reason=given_text(reason, "reason"))
        response = await self._connection.call(self._connection.stubs.coordinator.CancelSaga, request)
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
        saga, _ = await self._waiting.wait(given_id(saga_id), timeout, states, pb.SAGA_VIEW_FULL)
        return saga

    @overload
    async def result(self, saga_id: str, kind: type[T], *, timeout: DurationLike | None = None) -> T: ...

    @overload
    async def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any: ...

    async def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """The last step's output, once the saga is completed; None if that step returned nothing, where that may be.

        Args:
            saga_id: The saga.
            kind: Decoded as this; None takes what the payload suggests.
            timeout: At most this long; None is for ever.

        Raises:
            SagaCompensated, SagaFailed, SagaCancelled, SagaTimedOut: It has another outcome than completed.
            CodecError: The output cannot be read as ``kind``; there is none, and ``kind`` does not admit None.
            OutcomeError: It has an outcome that only newer clients know.
            WaitTimeout: It has none within ``timeout``.
            NotFoundError, UnavailableError, TimedOutError: As ``wait``.
        """
        saga, done = await self._waiting.wait(given_id(saga_id), timeout, (), pb.SAGA_VIEW_RESULT)
        return result_of(saga, kind, done=done)

    def watch(self, saga_id: str, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
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
        return watch(self._connection, self.codecs, given_id(saga_id), after=after, follow=follow)

    async def metrics(self) -> CoordinatorMetrics:
        """What the coordinator counted.

        Raises:
            UnavailableError.
        """
        response = await self._connection.call(self._connection.stubs.coordinator.GetMetrics, pb.GetMetricsRequest())
        found: CoordinatorMetrics = response.metrics
        return found

    async def health(self) -> None:
        """Return if sagas can be taken and driven. The client asks once, and not again what is unavailable.

        Raises:
            UnavailableError: They cannot, or the coordinator cannot be reached.
            TimedOutError: It did not answer within the client's ``timeout``.
        """
        answer = await self._connection.call_once(self._connection.stubs.health.Check, health_request())
        refuse_unless_serving(answer)

    def _learn(self, message: pb.StartSagasResponse) -> None:
        """Every message of the stream of starts may say which sagas the coordinator drives itself."""
        if message.HasField("partitions"):
            self._ids.learn(message.partitions.total, message.partitions.held)


def _view(full: bool) -> "pb.SagaView.ValueType":
    return pb.SAGA_VIEW_FULL if full else pb.SAGA_VIEW_BASIC
