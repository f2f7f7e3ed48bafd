"""Responses of participants from bytes, and what can be saved of those that do not decode.

A response that nests too deep, or has a text that is no UTF-8, is refused by protobuf as a whole. But whether it says
*completed* or *rejected* stands further outside than what is wrong with it: so it is read again, a layer at a time, by
messages that take what lies within for bytes. The certainty stays; what cannot be read is left out, and said to be.
"""

from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.v1 import command_pb2, error_pb2, payload_pb2
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamResponse
from swit_saga_server.core.limits import MAX_CAUSES

M = TypeVar("M", bound=Message)

UNREADABLE_ANSWER, OUTPUT_INVALID = "UNREADABLE_ANSWER", "OUTPUT_INVALID"

_LAYERS: dict[str, dict[str, int]] = {
    "StreamResponse": {"answers": 1, "credits": 2},
    "StreamAnswer": {"command_id": 1, "execute": 2, "compensate": 3, "unknown": 4},
    "Response": {"completed": 1, "rejected": 2, "pending": 3},
    "Completed": {"output": 1, "output_error": 2},
    "Rejected": {"error": 1},
    "SagaError": {
        "code": 1, "message": 2, "type": 3, "retryable": 4, "timestamp": 5, "stack_trace": 6, "details": 7, "cause": 8,
        "omitted_bytes": 9,
    },
}  # fmt: skip
_NUMBERS = {"credits", "command_id", "type", "retryable", "omitted_bytes"}
_CHOICES = {"StreamAnswer": ("execute", "compensate", "unknown"), "Response": ("completed", "rejected", "pending")}


def stream_response(data: bytes) -> StreamResponse:
    """A message of the stream; an answer in it that cannot be read at all is *unknown*, by itself.

    Raises:
        DecodeError: Not even who answers can be read.
    """
    try:
        return StreamResponse.FromString(data)
    except DecodeError:
        layer = _layer("StreamResponse").FromString(data)
        made = StreamResponse(credits=layer.credits & 0xFFFF_FFFF)
        made.answers.extend(_answer(said) for said in layer.answers)
        return made


def execute_response(data: bytes) -> ExecuteResponse:
    """The response to an Execute.

    Raises:
        DecodeError: Not even what it says can be read.
    """
    return _response(ExecuteResponse, data)


def compensate_response(data: bytes) -> CompensateResponse:
    """The same for a Compensate."""
    return _response(CompensateResponse, data)


def _answer(data: bytes) -> StreamAnswer:
    try:
        return StreamAnswer.FromString(data)
    except DecodeError:
        pass
    layer = _layer("StreamAnswer").FromString(data)
    made = StreamAnswer(command_id=layer.command_id)
    try:
        match layer.WhichOneof("choice"):
            case "execute":
                made.execute.CopyFrom(execute_response(layer.execute))
            case "compensate":
                made.compensate.CopyFrom(compensate_response(layer.compensate))
            case "unknown":
                made.unknown.CopyFrom(_error(layer.unknown))
    except DecodeError:
        made.unknown.code, made.unknown.message = UNREADABLE_ANSWER, "the answer cannot be decoded"
    return made


def _response(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        pass
    made: Any = kind()
    layer = _layer("Response").FromString(data)
    match layer.WhichOneof("choice"):
        case "completed":
            made.completed.CopyFrom(_completed(layer.completed))
        case "rejected":
            made.rejected.SetInParent()
            rejected = _try("Rejected", layer.rejected)
            if rejected is None:
                made.rejected.error.CopyFrom(_unreadable("REJECTED", "rejected; why cannot be decoded", layer.rejected))
            elif rejected.HasField("error"):
                made.rejected.error.CopyFrom(_error(rejected.error))
        case "pending":
            made.pending.SetInParent()
    answered: M = made
    return answered


def _completed(data: bytes) -> command_pb2.Completed:
    layer, made = _try("Completed", data), command_pb2.Completed()
    if layer is None:
        made.output_error.CopyFrom(_unreadable(OUTPUT_INVALID, "what the step returned cannot be decoded", data))
        return made
    if layer.HasField("output_error"):
        made.output_error.CopyFrom(_error(layer.output_error))
    elif layer.HasField("output"):
        try:
            made.output.CopyFrom(payload_pb2.Payload.FromString(layer.output))
        except DecodeError as error:
            text = f"the output cannot be decoded: {error}"
            made.output_error.CopyFrom(_unreadable(OUTPUT_INVALID, text, layer.output))
    return made


def _error(data: bytes) -> error_pb2.SagaError:
    """An error and the causes that can be kept, from the outside inwards: it may nest deeper than anything reads."""
    made = inner = error_pb2.SagaError()
    rest, causes = data, 0
    while (layer := _try("SagaError", rest)) is not None:
        for name in ("code", "message", "stack_trace"):
            setattr(inner, name, getattr(layer, name).decode(errors="replace"))
        inner.type = layer.type & 0x7FFF_FFFF
        inner.retryable = bool(layer.retryable)
        inner.omitted_bytes = layer.omitted_bytes
        for name, kind in (("timestamp", Timestamp), ("details", Struct)):
            if layer.HasField(name):
                try:
                    getattr(inner, name).CopyFrom(kind.FromString(getattr(layer, name)))
                except DecodeError:
                    inner.omitted_bytes += len(getattr(layer, name))
        if not layer.HasField("cause"):
            return made
        rest = layer.cause
        if causes == MAX_CAUSES:
            break
        inner, causes = inner.cause, causes + 1
        inner.SetInParent()
    inner.omitted_bytes += len(rest)
    return made


def _unreadable(code: str, message: str, data: bytes) -> error_pb2.SagaError:
    return error_pb2.SagaError(code=code, message=message, type=error_pb2.ERROR_TYPE_DATA, omitted_bytes=len(data))


def _try(name: str, data: bytes) -> Any:
    try:
        return _layer(name).FromString(data)
    except DecodeError:
        return None


@cache
def _layer(name: str) -> Any:
    """A message with the fields of ``name``, in which texts and messages are bytes."""
    file = FileDescriptorProto(name="layers", package="layers", syntax="proto2")
    for message, fields in _LAYERS.items():
        made = file.message_type.add(name=message)
        choices = _CHOICES.get(message, ())
        if choices:
            made.oneof_decl.add(name="choice")
        for field, number in fields.items():
            kind = FieldDescriptorProto.TYPE_UINT64 if field in _NUMBERS else FieldDescriptorProto.TYPE_BYTES
            label = FieldDescriptorProto.LABEL_REPEATED if field == "answers" else FieldDescriptorProto.LABEL_OPTIONAL
            added = made.field.add(name=field, number=number, type=kind, label=label)
            if field in choices:
                added.oneof_index = 0
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"layers.{name}"))
