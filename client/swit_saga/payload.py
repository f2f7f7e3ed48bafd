"""Values as payloads and back. A chain of codecs, the first that takes the value or the content type wins; hooks around
them may encrypt, compress or off-load.

The coordinator never looks inside a payload, so the same codecs must be in use wherever a saga's values are written
and read.
"""

import json
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, overload

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from swit_saga.errors import CodecError, PayloadLeftOut
from swit_saga.typed import from_plain, required, to_plain, type_name
from swit_saga.v1.payload_pb2 import Payload as Payload

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
PROTOBUF = "application/x-protobuf"
T = TypeVar("T")


class Codec(Protocol):
    """Writes and reads values of some kind."""

    def encode(self, value: Any) -> Payload | None:
        """The value as a payload; None if this codec does not take it."""
        ...

    def takes(self, content_type: str) -> bool:
        """Whether ``decode`` reads this content type."""
        ...

    def decode(self, payload: Payload, kind: Any) -> Any:
        """The value, as ``kind`` if that is not None.

        Raises:
            CodecError: It cannot be read, or not as ``kind``.
        """
        ...


class PayloadHook(Protocol):
    """Changes every payload on its way out and back: encryption, compression, off-loading of large values."""

    def wrap(self, payload: Payload) -> Payload:
        """After encoding. The content type must tell ``unwrap`` what was done."""
        ...

    def unwrap(self, payload: Payload) -> Payload:
        """Before decoding; a payload this hook did not wrap is returned as it is."""
        ...


class ProtobufCodec:
    """Protobuf messages; the content type names the message: ``application/x-protobuf; type=shop.v1.Order``."""

    def encode(self, value: Any) -> Payload | None:
        """See ``Codec``."""
        if not isinstance(value, Message):
            return None
        # Deterministic, so that the same request is the same bytes, and a repeated start is recognised.
        data = value.SerializeToString(deterministic=True)
        return Payload(content_type=f"{PROTOBUF}; type={value.DESCRIPTOR.full_name}", binary=data)

    def takes(self, content_type: str) -> bool:
        """See ``Codec``."""
        return content_type.split(";")[0].strip() == PROTOBUF

    def decode(self, payload: Payload, kind: Any) -> Any:
        """See ``Codec``. Without ``kind`` the message must be known to the default descriptor pool."""
        name = payload.content_type.partition("type=")[2].strip()
        if kind is None or not (isinstance(kind, type) and issubclass(kind, Message)):
            if kind is not None and kind is not Any:
                raise CodecError(f"a protobuf message {name!r} cannot be read as {type_name(kind)}")
            try:
                kind = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
            except KeyError as unknown:
                raise CodecError(f"protobuf message {name!r} is not known here; import its module") from unknown
        if name and name != kind.DESCRIPTOR.full_name:
            raise CodecError(f"expected protobuf message {kind.DESCRIPTOR.full_name!r}, got {name!r}")
        try:
            return kind.FromString(payload.binary)
        except DecodeError as unreadable:
            raise CodecError(f"protobuf message {name!r}: {unreadable}") from unreadable


class JsonCodec:
    """Everything else: plain JSON values, dataclasses, pydantic models, strings and bytes; see ``swit_saga.typed``."""

    def encode(self, value: Any) -> Payload | None:
        """See ``Codec``. Keys are sorted, so that equal values are equal bytes."""
        if isinstance(value, str):
            return Payload(content_type=TEXT, text=value)
        if isinstance(value, bytes | bytearray | memoryview):
            return Payload(content_type=BYTES, binary=bytes(value))
        try:
            text = json.dumps(value, default=to_plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        except (TypeError, ValueError) as unwritable:
            raise CodecError(f"{type(value).__name__} cannot be written as JSON: {unwritable}") from unwritable
        return Payload(content_type=JSON, text=text)

    def takes(self, content_type: str) -> bool:
        """See ``Codec``."""
        kind = content_type.split(";")[0].strip()
        return kind in (JSON, "text/plain", BYTES) or kind.endswith("+json")

    def decode(self, payload: Payload, kind: Any) -> Any:
        """See ``Codec``. JSON becomes a dataclass or pydantic model if ``kind`` is one."""
        content = payload.content_type.split(";")[0].strip()
        data = payload.text if payload.WhichOneof("data") == "text" else payload.binary
        if kind is bytes:
            return data.encode() if isinstance(data, str) else data
        if content == BYTES:
            value: Any = data
        elif content == "text/plain":
            try:
                value = data.decode() if isinstance(data, bytes) else data
            except UnicodeDecodeError as unreadable:
                raise CodecError(f"not UTF-8 text: {unreadable}") from unreadable
        else:
            try:
                value = json.loads(data)
            except ValueError as unreadable:
                raise CodecError(f"not JSON: {unreadable}") from unreadable
        return from_plain(value, kind)


class Codecs:
    """A chain of codecs with hooks around it.

    Hooks are applied in the order given when writing and in reverse when reading.
    """

    def __init__(self, *codecs: Codec, hooks: Sequence[PayloadHook] = ()) -> None:
        """Put ``codecs`` before the built-in ones (protobuf, then JSON)."""
        self._codecs: tuple[Codec, ...] = (*codecs, ProtobufCodec(), JsonCodec())
        self._hooks = tuple(hooks)
        self.has_own = bool(codecs)
        """Whether there are others than the built-in ones, which may read what those cannot."""

    def encode(self, value: Any) -> Payload | None:
        """The value as a payload; None for None. A ``Payload`` is taken as it is.

        Raises:
            CodecError: No codec can write it.
        """
        if value is None:
            return None
        if isinstance(value, Payload):
            return value
        for codec in self._codecs:
            payload = codec.encode(value)
            if payload is not None:
                for hook in self._hooks:
                    payload = hook.wrap(payload)
                return payload
        raise CodecError(f"no codec takes a {type(value).__name__}")

    @overload
    def decode(self, payload: Payload | None, kind: type[T]) -> T | None: ...

    @overload
    def decode(self, payload: Payload | None, kind: Any = None) -> Any: ...

    def decode(self, payload: Payload | None, kind: Any = None) -> Any:
        """The value; None for no payload. ``kind`` None gives what the content type suggests.

        Raises:
            PayloadLeftOut: It was left out of the answer that it came with.
            CodecError: It cannot be read, or not as ``kind``.
        """
        if payload is not None and payload.omitted_bytes:
            text = f"{payload.omitted_bytes} bytes were left out: all of the saga does not fit into one message"
            raise PayloadLeftOut(f"{text}; ask for single steps", size=payload.omitted_bytes)
        if payload is None or not payload.content_type:
            return None
        wanted = required(kind)
        optional, kind = wanted is not kind, wanted
        if kind is Payload:
            return payload
        for hook in reversed(self._hooks):
            payload = hook.unwrap(payload)
        if optional and payload.content_type.split(";")[0].strip() == JSON and payload.text.strip() == "null":
            return None
        for codec in self._codecs:
            if codec.takes(payload.content_type):
                return codec.decode(payload, kind)
        raise CodecError(f"no codec reads {payload.content_type!r}")
