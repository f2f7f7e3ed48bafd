"""A coordinator that answers every call with all that data can hold: markup, escape sequences, times out of range."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc.aio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_status import rpc_status

from swit_saga_server.rpc.serving import SERVICES

MARKUP = "[red]no such table [/var/lib/x] here[/red] [link=http://x]:smile:[items]"
CONTROL = "\x1b[31m\x1b]0;title\x07\rover\nswit-saga: forged\u202eesrever\u2066\x9b2J\x00\u2028\ud7a3é"
HOSTILE = MARKUP + CONTROL
LONG_ID = "[red]" + "i" * 190 + ":-1:E"
FAR = 2**62
"""Seconds beyond every calendar."""
assert len(LONG_ID) == 200

Answer: TypeAlias = dict[str, Any] | status_pb2.Status
"""What is set in the answers on top; or a refusal of every call."""


def fill(message: Message, depth: int = 3) -> None:
    """Set every field to what no screen and no calendar is made for."""
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Timestamp" | "google.protobuf.Duration":
            message.seconds = FAR  # type: ignore[attr-defined]
            return
        case "google.protobuf.Struct":
            message.update({HOSTILE: HOSTILE, "n": float("nan"), "l": [float("inf")]})  # type: ignore[attr-defined]
            return
    for field in message.DESCRIPTOR.fields:
        one = field.containing_oneof
        if one is None or one.fields[0].name == field.name:
            _fill_field(message, field, depth)


def _fill_field(message: Any, field: Any, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
            getattr(message, field.name)[HOSTILE] = HOSTILE
    elif field.message_type is not None:
        if depth:
            fill(getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name), depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).append(_worst(field))
    else:
        setattr(message, field.name, _worst(field))


def _worst(field: Any) -> Any:
    if field.enum_type is not None:
        return 4_711
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return b"\xff"
        return (
            ""
            if field.name == "next_page_token"
            else LONG_ID
            if field.name == "id" or field.name.endswith("_id")
            else HOSTILE
        )
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return float("nan")
    return True if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else 2**31 - 1


@asynccontextmanager
async def hostile(answer: Answer) -> AsyncIterator[str]:
    """Serve on a free port while the context lasts; gives the address."""
    server = grpc.aio.server()
    for service in SERVICES:
        handlers = {m.name: _handler(m, answer) for m in service.methods_by_name.values()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def _handler(method: Any, answer: Answer) -> "grpc.RpcMethodHandler[Any, Any]":
    response = GetMessageClass(method.output_type)

    async def made(context: Any) -> Any:
        if isinstance(answer, status_pb2.Status):
            await context.abort_with_status(rpc_status.to_status(answer))
        message = response()
        fill(message)
        for name, value in answer.items() if isinstance(answer, dict) else ():
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)
                if value is not None:
                    setattr(message, name, value)
        return message

    async def unary(request: Any, context: Any) -> Any:
        return await made(context)

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        for sequence in (1, 2, 3):
            message = await made(context)
            message.event.sequence = sequence
            yield message

    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, response_serializer=_written)
    return grpc.unary_unary_rpc_method_handler(unary, response_serializer=_written)


def _written(message: Message) -> bytes:
    return message.SerializeToString()
