"""Responses of participants from bytes, and what can be saved of those that do not decode.

A response that nests too deep, or has a text that is no UTF-8, is refused by protobuf as a whole. But whether it says
*completed* or *rejected* stands further outside than what is wrong with it: so it is read again, a layer at a time, by
messages that take what lies within for bytes. The certainty stays; what cannot be read is left out, and said to be.

So is one that is large: decoded as a whole, 64 MiB of tiny values would be a gigabyte, and stop all for a minute.
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from swit_saga.v1 import command_pb2, error_pb2
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamResponse
from swit_saga_server.core.limits import MAX_CAUSES

LARGE = 1 << 20
"""Bytes of a response that are decoded at once, and of errors' details in a larger one; less goes on record."""
MAX_ANSWERS = 65_536
"""In one message of a stream."""

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
        DecodeError: Not even where one answer ends can be read; or there are more than ``MAX_ANSWERS``.
    """
    if len(data) > MAX_ANSWERS and _has_more_answers(data):
        raise DecodeError(f"it has more than {MAX_ANSWERS} answers")
    if len(data) <= LARGE:
        try:
            return StreamResponse.FromString(data)
        except DecodeError:
            pass
    layer = _layer("StreamResponse").FromString(data)
    made = StreamResponse(credits=layer.credits & 0xFFFF_FFFF)
    room = _Room(LARGE)
    for said in layer.answers:
        _fill_answer(made.answers.add(), said, room)
    return made


def execute_response(data: bytes) -> ExecuteResponse:
    """The response to an Execute.

    Raises:
        DecodeError: Not even what it says can be read.
    """
    made = ExecuteResponse()
    _fill_response(made, data, _Room(LARGE))
    return made


def compensate_response(data: bytes) -> CompensateResponse:
    """The same for a Compensate."""
    made = CompensateResponse()
    _fill_response(made, data, _Room(LARGE))
    return made


def _has_more_answers(data: bytes) -> bool:
    """Whether it has more of them than one message may have; not for what breaks off before that."""
    at, end, answers = 0, len(data), 0
    while at < end and answers <= MAX_ANSWERS:
        tag, at = _number(data, at)
        match tag & 7:
            case 0:
                _, at = _number(data, at)
            case 1:
                at += 8
            case 2:
                size, at = _number(data, at)
                at += size
            case 5:
                at += 4
            case _:
                return True  # A group, which the protocol has none of: nothing in here is read.
        answers += 1  # Or a field that is none, as many of which are no better.
    return answers > MAX_ANSWERS


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at


class _Room:
    """For bytes that become many values each."""

    def __init__(self, left: int) -> None:
        self._left = left

    def takes(self, size: int) -> bool:
        fits = size <= self._left
        if fits:
            self._left -= size
        return fits


# Everything is filled in where it stands: what is copied is decoded once more, and may nest too deep for that.


def _fill_answer(into: StreamAnswer, data: bytes, room: _Room) -> None:
    if room.takes(len(data)) and _parse(into, data):
        return
    layer = _read("StreamAnswer", data)
    if layer is None:
        return  # Whose answer it is is not known: its command waits until its time is over, and no other is hurt.
    into.command_id = layer.command_id
    try:
        match layer.WhichOneof("choice"):
            case "execute":
                _fill_response(into.execute, layer.execute, room)
            case "compensate":
                _fill_response(into.compensate, layer.compensate, room)
            case "unknown":
                into.unknown.SetInParent()
                _fill_error(into.unknown, layer.unknown, room)
    except DecodeError:
        into.unknown.code, into.unknown.message = UNREADABLE_ANSWER, "the answer cannot be decoded"


def _fill_response(into: ExecuteResponse | CompensateResponse, data: bytes, room: _Room) -> None:
    if room.takes(len(data)) and _parse(into, data):
        return
    layer = _layer("Response").FromString(data)
    match layer.WhichOneof("choice"):
        case "completed":
            into.completed.SetInParent()
            _fill_completed(into.completed, layer.completed, room)
        case "rejected":
            into.rejected.SetInParent()
            rejected, error = _read("Rejected", layer.rejected), into.rejected.error
            if rejected is None:
                _fill_unreadable(error, "REJECTED", "rejected; why cannot be decoded", layer.rejected)
            else:
                _fill_error(error, rejected.error, room)
        case "pending":
            into.pending.SetInParent()


def _fill_completed(into: command_pb2.Completed, data: bytes, room: _Room) -> None:
    layer = _read("Completed", data)
    if layer is None:
        _fill_unreadable(into.output_error, OUTPUT_INVALID, "what the step returned cannot be decoded", data)
    elif layer.HasField("output_error"):
        into.output_error.SetInParent()
        _fill_error(into.output_error, layer.output_error, room)
    elif layer.HasField("output") and not _parse(into.output, layer.output):
        _fill_unreadable(into.output_error, OUTPUT_INVALID, "the output cannot be decoded", layer.output)


def _fill_error(into: error_pb2.SagaError, data: bytes, room: _Room) -> None:
    """An error and the causes that can be kept, from the outside inwards: it may nest deeper than anything reads."""
    inner, rest, causes = into, data, 0
    while (layer := _read("SagaError", rest)) is not None:
        for name in ("code", "message", "stack_trace"):
            setattr(inner, name, getattr(layer, name).decode(errors="replace"))
        inner.type = layer.type & 0x7FFF_FFFF
        inner.retryable = bool(layer.retryable)
        omitted = layer.omitted_bytes
        for name in ("timestamp", "details"):
            part = getattr(layer, name)
            fits = name == "timestamp" or room.takes(len(part))
            if layer.HasField(name) and not (fits and _parse(getattr(inner, name), part)):
                omitted += len(part)
        rest = layer.cause
        is_last = not layer.HasField("cause") or causes == MAX_CAUSES
        inner.omitted_bytes = min(omitted + (len(rest) if is_last else 0), (1 << 64) - 1)
        if is_last:
            return
        inner, causes = inner.cause, causes + 1
        inner.SetInParent()
    inner.omitted_bytes = len(rest)


def _fill_unreadable(into: error_pb2.SagaError, code: str, message: str, data: bytes) -> None:
    into.code, into.message, into.type, into.omitted_bytes = code, message, error_pb2.ERROR_TYPE_DATA, len(data)


def _parse(into: Message, data: bytes) -> bool:
    """Whether it could be decoded; if not, it is left empty."""
    try:
        into.ParseFromString(data)
    except DecodeError:
        into.Clear()
        return False
    return True


def _read(name: str, data: bytes) -> Any:
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
