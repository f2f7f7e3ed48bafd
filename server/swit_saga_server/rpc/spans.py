"""Spans around the calls that are served, by OpenTelemetry's own interceptor."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from swit_saga_server.telemetry import is_recorded


class Spans(grpc.aio.ServerInterceptor):
    """Out of the way as long as nobody records spans: then all it would do is at some length to read the caller's
    context, which ``serving.caller_of`` reads, too.
    """

    def __init__(self) -> None:
        # Not for streams: it takes only generators, and a generator cannot tell that its reader does not read. The
        # health service's Watch is none either; and probes are not worth a span. Starts bring a trace each.
        untraced = filters.any_of(
            filters.method_name("WatchSaga"),
            filters.method_name("StartSagas"),
            filters.method_name("WaitSagas"),
            filters.health_check(),
        )
        self._spans: Any = aio_server_interceptor(filter_=filters.negate(untraced))  # type: ignore[no-untyped-call]

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """See ``grpc.aio.ServerInterceptor``."""
        if is_recorded():
            return await self._spans.intercept_service(continuation, handler_call_details)
        return await continuation(handler_call_details)
