"""A participant whose answers are bytes, whatever they are: by calls, or by the stream."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio

from swit_saga.v1.participant_service_pb2 import CompensateRequest, ExecuteRequest
from swit_saga.v1.participant_stream_service_pb2 import StreamRequest, StreamResponse
from tests.support.wire.hostile import tagged

Asked: TypeAlias = ExecuteRequest | CompensateRequest
Says: TypeAlias = Callable[[Asked], bytes]
"""An encoded ExecuteResponse or CompensateResponse."""


def _calls(says: Says) -> grpc.GenericRpcHandler:
    async def call(request: Asked, context: Any) -> bytes:
        return says(request)

    return grpc.method_handlers_generic_handler(
        "swit_saga.v1.ParticipantService",
        {
            kind.DESCRIPTOR.name.removesuffix("Request"): grpc.unary_unary_rpc_method_handler(call, kind.FromString)
            for kind in (ExecuteRequest, CompensateRequest)
        },
    )


def _stream(says: Says) -> grpc.GenericRpcHandler:
    async def stream(requests: AsyncIterator[StreamRequest], context: Any) -> AsyncIterator[bytes]:
        yield StreamResponse(credits=2**32 - 1).SerializeToString()
        async for request in requests:
            for command in request.commands:
                undo = command.HasField("compensate")
                said = says(command.compensate if undo else command.execute)
                number = StreamResponse(credits=7).SerializeToString()  # Somewhere between the answers.
                own = _varint(command.command_id)
                yield tagged(1, b"\x08" + own + tagged(3 if undo else 2, said)) + number

    handler: Any = grpc.stream_stream_rpc_method_handler(stream, StreamRequest.FromString)
    return grpc.method_handlers_generic_handler("swit_saga.v1.ParticipantStreamService", {"Stream": handler})


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


@asynccontextmanager
async def raw_participant(says: Says, *, streams: bool) -> AsyncIterator[int]:
    """Serve it; the port."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers([_calls(says), *([_stream(says)] if streams else [])])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
