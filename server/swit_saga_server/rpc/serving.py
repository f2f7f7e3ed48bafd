"""Services as generic handlers: built from the descriptors, so that every RPC of every service is there.

What is not built yet answers UNIMPLEMENTED with the reason NOT_IMPLEMENTED, not with gRPC's bare refusal.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_status import rpc_status
from opentelemetry import trace

from swit_saga.v1 import (
    coordinator_service_pb2,
    definition_service_pb2,
    event_service_pb2,
    operator_service_pb2,
    worker_service_pb2,
)
from swit_saga_server.core.errors import NotImplementedYet, SlowWatcher, SwitSagaError
from swit_saga_server.logs import get_logger
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.entrance import decoder_of, entrance, readable
from swit_saga_server.rpc.errors import to_status
from swit_saga_server.rpc.item_stream import ItemStream
from swit_saga_server.tasks import end
from swit_saga_server.telemetry import format_traceparent
from swit_saga_server.wire.unsupported import RPCS

log = get_logger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]
AnyItemStream = ItemStream[Any, Any]

SERVICES: tuple[ServiceDescriptor, ...] = (
    coordinator_service_pb2.DESCRIPTOR.services_by_name["CoordinatorService"],
    definition_service_pb2.DESCRIPTOR.services_by_name["DefinitionService"],
    operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"],
    worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"],
    event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
)
"""What a coordinator serves; ParticipantService is what participants serve."""


OWN_QUEUE = frozenset({"StartSaga", "WaitSaga"})
"""Calls that may come by the hundred a second. grpc.aio takes calls one at a time, each over half a dozen turns of the
event loop; but one at a time of each method that is registered by itself.
"""


class CallerLeft(Exception):
    """Nobody reads any more."""


def snake(name: str) -> str:
    """``start_saga`` for ``StartSaga``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def serve(server: grpc.aio.Server, service: ServiceDescriptor, handlers: object | None, slow_watcher_s: float) -> None:
    """Serve a service's RPCs: those of ``handlers``, by name in snake case, and refusals for the rest."""
    methods = {m.name: _method(m, handlers, slow_watcher_s) for m in service.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, methods),))
    own = {name: method for name, method in methods.items() if name in OWN_QUEUE}
    if own:
        server.add_registered_method_handlers(service.full_name, own)


def _method(method: MethodDescriptor, handlers: object | None, slow_watcher_s: float) -> Any:
    codec: dict[str, Any] = {
        "request_deserializer": decoder_of(method),
        "response_serializer": GetMessageClass(method.output_type).SerializeToString,
    }
    if is_refused(method):
        return _refusing(method, codec)
    handler: Callable[..., Any] = getattr(handlers, snake(method.name))
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_items_both_ways(handler), **codec)
    handler = entrance(method, handler)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_streaming(handler, slow_watcher_s), **codec)
    return grpc.unary_unary_rpc_method_handler(_unary(handler), **codec)


def _unary(handler: Callable[[Any, Caller], Any]) -> Callable[[Any, Context], Any]:
    async def call(request: Any, context: Context) -> Any:
        try:
            return await handler(request, caller_of(context))
        except Exception as error:
            await refuse(context, error)

    return call


def _streaming(handler: Callable[[Any, Caller], Any], slow_watcher_s: float) -> Callable[[Any, Context], Any]:
    """Messages as they come; a reader that does not read is cut, with the sequence to resume after."""

    async def call(request: Any, context: Context) -> None:
        try:
            messages: AsyncIterator[Any] = handler(request, caller_of(context))
        except Exception as error:
            await refuse(context, error)
        after = request.after_sequence
        refused: Exception | None = None
        try:
            async for message in messages:
                async with asyncio.timeout(slow_watcher_s):
                    await send(context, message)
                if message.WhichOneof("message") == "event":
                    after = message.event.sequence
        except TimeoutError:
            text = f"nothing was read for {slow_watcher_s:g} s; resume after sequence {after}"
            refused = SlowWatcher(text, saga_id=request.saga_id, resume_after=after)
            log.warning("slow_watcher_cut", fold_by="all", saga_id=request.saga_id, resume_after=after)
        except Exception as error:
            refused = error
        finally:
            await messages.aclose()  # type: ignore[attr-defined]
        if refused is not None:
            # To a reader that does not read even this is not sent before it reads or leaves. All that waits for that
            # is this coroutine and the one message in the way.
            await refuse(context, refused)

    return call


def _items_both_ways(
    handler: Callable[[Caller], AbstractContextManager[AnyItemStream]],
) -> Callable[[AsyncIterator[Any], Context], Any]:
    """Reads and writes at the same time, each at its own pace; a caller that does not read is not read from."""

    async def take_all(stream: AnyItemStream, context: Context) -> None:
        try:
            while (request := await receive(context)) is not grpc.aio.EOF:
                await stream.take(readable(request))
        finally:
            stream.end()

    async def call(requests: AsyncIterator[Any], context: Context) -> None:
        with handler(caller_of(context)) as stream:
            taking = asyncio.create_task(take_all(stream, context))
            try:
                while (response := await stream.answers()) is not None:
                    await send(context, response)
            except CallerLeft as left:
                await refuse(context, left)
            finally:
                await end([taking])
        failed = None if taking.cancelled() else taking.exception()
        if isinstance(failed, Exception):
            await refuse(context, failed)

    return call


def is_refused(method: MethodDescriptor) -> bool:
    """Whether a call is not built yet."""
    return f"{method.containing_service.name}/{method.name}" in RPCS


def not_implemented(method: MethodDescriptor) -> NotImplementedYet:
    """What a call not built yet answers."""
    service = method.containing_service.name
    text = f"{service}.{method.name} belongs to a later version of this server"
    return NotImplementedYet(text, rpc=f"{service}/{method.name}")


def _refusing(method: MethodDescriptor, codec: dict[str, Any]) -> Any:
    """The handler of a call not built yet, of the right shape."""
    error = not_implemented(method)

    async def call(request: Any, context: Context) -> Any:
        await refuse(context, error)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        await refuse(context, error)
        yield  # Makes it a generator, which the span interceptor asks of streams.

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    kind = kinds[method.client_streaming, method.server_streaming]
    return kind(stream if method.server_streaming else call, **codec)


def caller_of(context: Context) -> Caller:
    """Deadline and trace of a call. The span of the server's instrumentation, if any, goes before the raw header."""
    headers = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
    span = trace.get_current_span().get_span_context()
    traceparent = format_traceparent(span) if span.is_valid else headers.get("traceparent", "")
    return Caller(traceparent, headers.get("tracestate", ""), context.time_remaining())


async def refuse(context: Context, error: Exception) -> NoReturn:
    """End a call with the status of ``error``; what was not raised on purpose is logged and says nothing.

    Where the caller has left there is nobody to refuse: that is the ordinary end of a watch.
    """
    if isinstance(error, CallerLeft):
        raise asyncio.CancelledError from error
    if not isinstance(error, SwitSagaError):
        log.error("call_failed", fold_by=type(error), exc_info=error)
    try:
        await context.abort_with_status(rpc_status.to_status(to_status(error)))
    except grpc.aio.AbortError:
        raise
    except Exception as broken:
        log.debug("caller_left", error=repr(broken))
        raise asyncio.CancelledError from broken
    raise AssertionError("abort_with_status returned")


async def receive(context: Context) -> Any:
    """The next message of a stream, or ``grpc.aio.EOF``.

    Raises:
        CallerLeft: As ``send``.
    """
    try:
        return await context.read()
    except Exception as broken:
        log.debug("caller_left", error=repr(broken))
        raise CallerLeft from broken


async def send(context: Context, message: Any) -> None:
    """Write a message of a stream.

    Raises:
        CallerLeft: However gRPC says it: it has half a dozen exceptions for that.
        TypeError, ValueError: The message cannot be written.
    """
    try:
        await context.write(message)
    except (TypeError, ValueError):  # Not the caller's doing: what is wrong is the message.
        raise
    except Exception as broken:
        log.debug("caller_left", error=repr(broken))
        raise CallerLeft from broken
