"""A coordinator within a program: the client's methods and exceptions, no network.

    async with Coordinator.open(config, participants=[inventory, payment]) as c:
        handle = await c.start(order, data)
        outcome = await handle.wait()

The calls go through the very handlers that serve gRPC, so that embedding and serving cannot differ. The
specification's SagaCoordinator is here under the client's names: StartSaga is ``start``, GetSagaInstance ``get``,
CancelSaga ``cancel``, GetActiveSagas ``list(active=True)``, GetMetrics ``metrics``, HealthCheck ``health``, Close
``close``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from opentelemetry import trace

from swit_saga.client import AsyncSagaClient
from swit_saga.errors import ForkedError, from_status
from swit_saga.given import given, given_list
from swit_saga.health import SERVING, Response, health_request
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2, definition_service_pb2, operator_service_pb2
from swit_saga_server.config import SagaConfig
from swit_saga_server.core.errors import SwitSagaError
from swit_saga_server.logs import set_level
from swit_saga_server.participants.local import LocalParticipant
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.coordinator_service import CoordinatorHandlers
from swit_saga_server.rpc.definition_service import DefinitionHandlers
from swit_saga_server.rpc.entrance import entrance
from swit_saga_server.rpc.errors import to_status
from swit_saga_server.rpc.serving import is_refused, not_implemented, snake
from swit_saga_server.runtime import Runtime, open_runtime
from swit_saga_server.service import SagaService
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.telemetry import format_traceparent


class Coordinator(AsyncSagaClient):
    """An embedded coordinator: everything ``AsyncSagaClient`` offers, and the coordinator's own health.

    ``open`` is the way to get one.
    """

    def __init__(self, runtime: Runtime, codecs: Codecs | None = None) -> None:
        self._in_process = _InProcess(runtime)
        super().__init__(stubs=self._in_process, codecs=codecs)
        self.runtime = runtime

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        config: SagaConfig | None = None,
        participants: Sequence[LocalParticipant] = (),
        *,
        store: StateStorage | None = None,
        codecs: Codecs | None = None,
    ) -> AsyncIterator["Coordinator"]:
        """A running coordinator while the context lasts; then it is drained and closed.

        Args:
            config: Defaults to what the environment says, and without it to SQLite in ``swit-saga.db``.
            participants: Those of this program; others by address in the configuration.
            store: Instead of the configured one.
            codecs: How values become payloads.

        Raises:
            StoreRefused: Another process holds the SQLite file. StoreUnavailable.
            ConfigError: What the environment says is not valid.
            TypeError, ValueError: ``config`` or ``participants`` is no such thing; two participants have one name.
        """
        if config is not None:
            given(config, "config", SagaConfig, "make it by SagaConfig.load(overrides={...})")
        given_list(participants, "participants", "participants")
        config = config or SagaConfig.load()
        if "level" in config.logging.model_fields_set:  # Else it is the program's say, as for any library.
            set_level(config.logging.level)
        async with AsyncExitStack() as stack:
            runtime = await stack.enter_async_context(open_runtime(config, participants, store=store))
            coordinator = cls(runtime, codecs)
            stack.push_async_callback(coordinator.close)
            yield coordinator

    async def health(self) -> None:
        """Return if sagas can be taken and driven.

        Raises:
            UnavailableError: They cannot, and why.
        """
        # Also when closed: the answer then is that they cannot.
        await self._in_process.health.Check(health_request())

    async def close(self) -> None:
        """Drain and close before the context ends. Safe to call twice; in a process forked off it does nothing."""
        await self.runtime.stop(5.0)
        await super().close()  # Afterwards, so that who watches or waits hears of what the drain brought.


COORDINATOR = coordinator_service_pb2.DESCRIPTOR.services_by_name["CoordinatorService"]
DEFINITIONS = definition_service_pb2.DESCRIPTOR.services_by_name["DefinitionService"]
OPERATOR = operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"]
Run: TypeAlias = Callable[[Awaitable[Any]], Awaitable[Any]]


class _InProcess:
    """The services, called directly."""

    def __init__(self, runtime: Runtime) -> None:
        self._calls: set[asyncio.Future[Any]] = set()
        self._home = runtime.home
        service = runtime.service
        self.coordinator: Any = _Stub(COORDINATOR, CoordinatorHandlers(service), self._run)
        self.definitions: Any = _Stub(DEFINITIONS, DefinitionHandlers(service), self._run)
        self.operator: Any = _Stub(OPERATOR, None, self._run)
        self.health: Any = _Health(service, self._run)

    async def close(self) -> None:
        """End the calls under way, as a closed channel does. The runtime is the context's to close."""
        for call in self._calls:
            call.cancel()

    async def _run(self, work: Awaitable[Any]) -> Any:
        try:
            self._home.enter("this coordinator")
        except ForkedError:
            if isinstance(work, Coroutine):
                work.close()
            raise
        call = asyncio.ensure_future(_translated(work))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            return await call
        finally:
            if isinstance(work, Coroutine):
                work.close()  # One that was cancelled before it began would be told of by Python.


class _Stub:
    """Looks like a generated stub; calls a handler and raises what the client would make of its refusal."""

    def __init__(self, service: ServiceDescriptor, handlers: object | None, run: Run) -> None:
        self._service = service
        self._handlers = handlers
        self._run = run

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        method = self._service.methods_by_name[rpc]
        handler = _refusing(method) if is_refused(method) else entrance(method, getattr(self._handlers, snake(rpc)))

        def call(request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
            headers = dict(metadata or ())
            span = trace.get_current_span().get_span_context()
            traceparent = headers.get("traceparent") or (format_traceparent(span) if span.is_valid else "")
            try:
                made = handler(request, Caller(traceparent, headers.get("tracestate", ""), timeout))
            except SwitSagaError as refused:
                raise from_status(to_status(refused)) from refused
            return _Stream(made, self._run) if hasattr(made, "__aiter__") else self._run(made)

        return call


def _refusing(method: MethodDescriptor) -> Callable[..., Any]:
    async def handler(request: Any, caller: Caller) -> Any:
        raise not_implemented(method)

    return handler


class _Health:
    """Looks like the health service's stub."""

    def __init__(self, service: SagaService, run: Run) -> None:
        self._service = service
        self._run = run

    async def Check(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
        await self._run(self._service.health())
        return Response(status=SERVING)


class _Stream:
    """Looks like a streaming call."""

    def __init__(self, messages: AsyncIterator[Any], run: Run) -> None:
        self._messages = messages
        self._run = run

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Any:
        return await self._run(anext(self._messages))

    async def aclose(self) -> None:
        await self._messages.aclose()  # type: ignore[attr-defined]


async def _translated(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except StopAsyncIteration:
        raise
    except Exception as error:
        raise from_status(to_status(error)) from error
