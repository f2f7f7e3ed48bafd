"""The gRPC server: services, health, reflection, limits, and a drain that loses nothing.

Draining: health says NOT_SERVING, new sagas are refused, those under way go on for a bounded time, then all is closed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from swit_saga.standing import StandingServer
from swit_saga_server.config import SagaConfig
from swit_saga_server.core.errors import CoordinatorUnavailable
from swit_saga_server.core.limits import MAX_MESSAGE_BYTES
from swit_saga_server.core.units import SECOND
from swit_saga_server.logs import get_logger
from swit_saga_server.rpc.coordinator_service import CoordinatorHandlers
from swit_saga_server.rpc.definition_service import DefinitionHandlers
from swit_saga_server.rpc.foreign import Guarded
from swit_saga_server.rpc.listening import CannotListen, check_listening
from swit_saga_server.rpc.serving import SERVICES, serve
from swit_saga_server.rpc.spans import Spans
from swit_saga_server.runtime import Runtime

log = get_logger(__name__)

HEALTH_CHECK_S = 1.0
MESSAGE_OVERHEAD = 64 << 10
"""gRPC's limits lie this much above ours, so that "too large" is our error, with a reason and the limit."""


class Server:
    """A running server.

    Attributes:
        port: The port bound.
        coordinator: What CoordinatorService does.
        standing: What listens.
    """

    def __init__(self, config: SagaConfig, runtime: Runtime) -> None:
        """Build it; nothing listens yet.

        Raises:
            CannotListen: The address is in use, or is not ours.
        """
        self._config = config
        self._runtime = runtime
        self._health = health.aio.HealthServicer()
        self._names = [s.full_name for s in SERVICES]
        self.coordinator = CoordinatorHandlers(runtime.service)
        self._handlers = {
            "CoordinatorService": self.coordinator,
            "DefinitionService": DefinitionHandlers(runtime.service),
        }
        self.standing = self._listen(config.server.listen)
        self.port = self.standing.port
        self._checking: asyncio.Task[None] | None = None

    def _made(self) -> grpc.aio.Server:
        config = self._config
        made = grpc.aio.server(interceptors=[Spans()], options=_options(config))
        slow_s = config.server.slow_watcher_timeout / SECOND
        for service in SERVICES:
            serve(made, service, self._handlers.get(service.name), slow_s)
        guarded: Any = Guarded(made)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, guarded)
        if config.server.reflection:
            names = (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflected = reflection.aio.ReflectionServicer(names)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, guarded)
        return made

    def _listen(self, address: str) -> StandingServer:
        try:
            return StandingServer(self._made, address, _on_fall)
        except RuntimeError as failed:
            check_listening(address)  # It says why.
            raise CannotListen(f"cannot listen at {address}") from failed

    async def start(self) -> None:
        """Listen."""
        await self._say(serving=True)
        await self.standing.start()
        self._checking = asyncio.create_task(self._check_health())

    async def drain(self) -> None:
        """Refuse what is new, finish what is under way, close. Safe to call twice."""
        if self._checking is not None:
            self._checking.cancel()
            with suppress(asyncio.CancelledError):
                await self._checking
            self._checking = None
        await self._health.enter_graceful_shutdown()
        self._runtime.service.begin_stop()
        grace_s = self._config.server.drain_timeout / SECOND
        log.info("draining", grace_s=grace_s)
        try:
            # The engine first, so that callers who wait for their sagas still hear of them.
            await self._runtime.stop(grace_s)
            await self.coordinator.close()
        finally:
            # Whatever failed: a server that is not stopped takes the interpreter down with it when that ends.
            await self.standing.stop(1.0)

    async def _check_health(self) -> None:
        serving = True
        while True:
            await asyncio.sleep(HEALTH_CHECK_S)
            try:
                await self._runtime.service.health()
                healthy = True
            except CoordinatorUnavailable as unavailable:
                healthy = False
                if serving:
                    log.error("not_serving", error=str(unavailable))
            if healthy != serving:
                serving = healthy
                if healthy:
                    log.info("serving_again")
                await self._say(serving=serving)

    async def _say(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        for name in ("", *self._names):
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)


def _on_fall() -> None:
    text = (
        "a call that gRPC cannot take (see its own line) ended the server: calls under way were cut, it listens again"
    )
    log.error("server_fell", fold_by="all", error=text)


def _options(config: SagaConfig) -> list[tuple[str, int]]:
    server, limit = config.server, config.coordinator
    largest = max(limit.max_payload_bytes, limit.max_definition_bytes) + MESSAGE_OVERHEAD
    return [
        # Twice the limit, so that what is somewhat too large is refused by us and in words.
        ("grpc.max_receive_message_length", 2 * largest),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", server.max_concurrent_streams),
        # Calls that came and were not taken up yet. By default gRPC cancels a part of them past 1,000, without a word;
        # these are two connections as full as they may be.
        ("grpc.server.max_pending_requests", 2 * server.max_concurrent_streams),
        ("grpc.server.max_pending_requests_hard_limit", 2 * server.max_concurrent_streams),
        ("grpc.keepalive_time_ms", server.keepalive.time // 1000),
        ("grpc.keepalive_timeout_ms", server.keepalive.timeout // 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", server.keepalive.min_client_interval // 1000),
        # Two coordinators on one port would share its calls by chance.
        ("grpc.so_reuseport", 0),
    ]


@asynccontextmanager
async def serving(config: SagaConfig, runtime: Runtime) -> AsyncIterator[Server]:
    """Serve a runtime while the context lasts, then drain."""
    server = Server(config, runtime)
    await server.start()
    try:
        yield server
    finally:
        await server.drain()
