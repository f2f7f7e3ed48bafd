"""Services that others wrote, health and reflection: of their requests, too, those are refused that cannot be read."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from swit_saga_server.rpc.entrance import readable, reading
from swit_saga_server.rpc.serving import Context, refuse


class Guarded:
    """Looks like a server to the functions that add such a service to one."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """The handlers that are registered by name are the same."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """See ``grpc.aio.Server``."""
        guarded = {name: _guarded(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))


def _guarded(handler: Any) -> Any:
    codec: dict[str, Any] = {
        "request_deserializer": reading(handler.request_deserializer),
        "response_serializer": handler.response_serializer,
    }
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            return grpc.unary_unary_rpc_method_handler(_of_one(handler.unary_unary), **codec)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(_of_one(handler.unary_stream), **codec)
        case True, True:
            return grpc.stream_stream_rpc_method_handler(_of_many(handler.stream_stream), **codec)
    raise NotImplementedError("no such service takes a stream and answers once")


def _of_one(behaviour: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    async def call(request: Any, context: Context) -> Any:
        try:
            readable(request)
        except Exception as error:
            await refuse(context, error)
        return await behaviour(request, context)

    return call


def _of_many(behaviour: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    async def each(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        async for request in requests:
            try:
                readable(request)
            except Exception as error:
                await refuse(context, error)
            yield request

    async def call(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        async for response in behaviour(each(requests, context), context):
            yield response

    return call
