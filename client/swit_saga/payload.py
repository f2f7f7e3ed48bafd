"""Values as payloads and back. A chain of codecs, the first that takes the value or the content type wins; hooks around
them may encrypt, compress or off-load.

What was written is read back equal, as its own type, or there is a ``CodecError``. The coordinator never looks inside a
payload, so the same codecs must be in use wherever a saga's values are written and read.
"""

import functools
import inspect
import pickle
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, TypeVar, overload

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, EncodeError, Message

from swit_saga.errors import CodecError, PayloadLeftOut
from swit_saga.typed.kinds import NOTHING, admits_nothing, arms, is_free, needs_exact_numbers, type_name, values_of
from swit_saga.typed.numbers import from_json
from swit_saga.typed.readers import reader
from swit_saga.typed.writers import to_json
from swit_saga.v1.payload_pb2 import Payload as Payload

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
PROTOBUF = "application/x-protobuf"
UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
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


@functools.lru_cache(maxsize=256)
def media_type(content_type: str) -> tuple[str, dict[str, str]]:
    """``("text/plain", {"charset": "utf-8"})``: the type and the parameters' names in lower case."""
    kind, *parameters = content_type.split(";")
    split = (parameter.partition("=") for parameter in parameters)
    return kind.strip().lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in split}


class ProtobufCodec:
    """Protobuf messages; the content type names the message: ``application/x-protobuf; type=shop.v1.Order``."""

    def encode(self, value: Any) -> Payload | None:
        """See ``Codec``."""
        if not isinstance(value, Message):
            return None
        try:
            # Deterministic, so that the same request is the same bytes, and a repeated start is recognised.
            data = value.SerializeToString(deterministic=True)
        except (EncodeError, ValueError) as unwritable:
            raise CodecError(f"{value.DESCRIPTOR.full_name} cannot be written: {unwritable}") from unwritable
        return Payload(content_type=f"{PROTOBUF}; type={value.DESCRIPTOR.full_name}", binary=data)

    def takes(self, content_type: str) -> bool:
        """See ``Codec``."""
        return media_type(content_type)[0] == PROTOBUF

    def decode(self, payload: Payload, kind: Any) -> Any:
        """See ``Codec``. Without ``kind`` the message must be known to the default descriptor pool."""
        name = media_type(payload.content_type)[1].get("type", "")
        message = _message_kind(name, kind)
        if payload.WhichOneof("data") != "binary":
            raise CodecError(f"protobuf message {name!r}: its content is not binary")
        try:
            return message.FromString(payload.binary)
        except DecodeError as unreadable:
            raise CodecError(f"protobuf message {name!r}: {unreadable}") from unreadable


def _message_kind(name: str, kind: Any) -> Any:
    wanted = () if kind is None else arms(kind)
    if all(is_free(arm) or arm is Message for arm in wanted):
        try:
            return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
        except KeyError as unknown:
            raise CodecError(f"protobuf message {name!r} is not known here; import its module") from unknown
    messages = [arm for arm in wanted if isinstance(arm, type) and issubclass(arm, Message) and arm is not Message]
    if not messages:
        raise CodecError(f"a protobuf message {name!r} cannot be read as {type_name(kind)}")
    if not name and len(messages) == 1:
        return messages[0]
    for message in messages:
        if message.DESCRIPTOR.full_name == name:
            return message
    expected = " or ".join(repr(message.DESCRIPTOR.full_name) for message in messages)
    raise CodecError(f"expected protobuf message {expected}, got {name!r}")


class JsonCodec:
    """Everything else: plain JSON values, dataclasses, pydantic models, strings and bytes; see ``swit_saga.typed``."""

    def encode(self, value: Any) -> Payload | None:
        """See ``Codec``. Keys are sorted, so that equal values are equal bytes."""
        try:
            if isinstance(value, str):
                return Payload(content_type=TEXT, text=str.__str__(value))
            if isinstance(value, bytes | bytearray | memoryview):
                return Payload(content_type=BYTES, binary=_flat(value))
            return Payload(content_type=JSON, text=to_json(value))
        except Exception as unwritable:  # A value's own methods may raise anything.
            form = "text" if isinstance(value, str) else "bytes" if isinstance(value, memoryview) else "JSON"
            raise CodecError(f"{type(value).__name__} cannot be written as {form}: {unwritable}") from unwritable

    def takes(self, content_type: str) -> bool:
        """See ``Codec``."""
        kind = media_type(content_type)[0]
        return kind in (JSON, "text/plain", BYTES) or kind.endswith("+json")

    def decode(self, payload: Payload, kind: Any) -> Any:
        """See ``Codec``. JSON becomes a dataclass or pydantic model if ``kind`` is one."""
        content, parameters = media_type(payload.content_type)
        data = payload.text if payload.WhichOneof("data") == "text" else payload.binary
        wanted = (Any,) if kind is None else arms(kind)
        some = [arm for arm in wanted if arm is not NOTHING]
        if content != BYTES and len(some) < len(wanted) and isinstance(data, str) and data.strip() == "null":
            some = []  # None, where that may be.
        if content == BYTES or (some and all(_is_binary(arm) for arm in some)):
            return _as_bytes(data.encode() if isinstance(data, str) else data, wanted, kind)
        if (charset := parameters.get("charset", "utf-8").lower()) not in UTF_8:
            raise CodecError(f"{content} in {charset!r}: only UTF-8 is read")
        try:
            text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        except UnicodeDecodeError as unreadable:
            says = "not UTF-8 text" if content == "text/plain" else "not JSON: not UTF-8 text"
            raise CodecError(f"{says}: {unreadable}") from unreadable
        if content == "text/plain":
            return text if any(arm is str or is_free(arm) for arm in wanted) else reader(kind)(text)
        try:
            value = from_json(text, exact=kind is not None and needs_exact_numbers(kind))
        except (ValueError, RecursionError) as unreadable:
            raise CodecError(f"not JSON: {unreadable}") from unreadable
        try:
            return value if kind is None else reader(kind)(value)
        except RecursionError as too_deep:
            raise CodecError(f"too deep for {type_name(kind)}") from too_deep


def _is_binary(arm: Any) -> bool:
    return arm is bytes or arm is bytearray or arm is memoryview


def _flat(value: "bytes | bytearray | memoryview") -> bytes:
    if isinstance(value, memoryview) and (value.format != "B" or value.ndim != 1):
        raise ValueError(f"a view of {value.format!r} in {value.ndim} dimensions is more than its bytes")
    return value if type(value) is bytes else memoryview(value).tobytes()


def _as_bytes(data: bytes, wanted: Sequence[Any], kind: Any) -> Any:
    for arm in wanted:
        if arm is bytes or is_free(arm):
            return data
        if _is_binary(arm):
            return arm(data)
    raise CodecError(f"expected {type_name(kind)}, got bytes")


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
            CodecError: No codec can write it; or it is a payload that the coordinator would not take.
        """
        if value is None:
            return None
        if isinstance(value, Payload):
            return _complete(value)
        for codec in self._codecs:
            payload = codec.encode(value)
            if payload is not None:
                _refuse_other(payload, codec.encode)
                for hook in self._hooks:
                    payload = hook.wrap(payload)
                    _refuse_other(payload, hook.wrap)
                return _complete(payload)
        raise CodecError(f"no codec takes a {type(value).__name__}")

    @overload
    def decode(self, payload: Payload | None, kind: type[T]) -> T: ...

    @overload
    def decode(self, payload: Payload | None, kind: Any = None) -> Any: ...

    def decode(self, payload: Payload | None, kind: Any = None) -> Any:
        """The value. ``kind`` None gives what the content type suggests; no payload is None, where that may be.

        Raises:
            PayloadLeftOut: It was left out of the answer that it came with.
            CodecError: It cannot be read, or not as ``kind``.
        """
        if payload is None or payload == _EMPTY:
            if admits_nothing(kind):
                return None
            raise CodecError(f"expected {type_name(kind)}, got no value")
        _complete(payload)
        if kind is None:
            wanted = kind
        else:
            some = values_of(kind)
            wanted = some[0] if len(some) == 1 else kind
        if wanted is Payload:
            return payload
        for hook in reversed(self._hooks):
            payload = hook.unwrap(payload)
            _refuse_other(payload, hook.unwrap)
        for codec in self._codecs:
            if codec.takes(payload.content_type):
                # To a codec of the user's, ``Order | None`` is an Order.
                value = codec.decode(payload, kind if isinstance(codec, JsonCodec) else wanted)
                if inspect.isawaitable(value):
                    _refuse_awaitable(value, codec.decode)
                return value
        raise CodecError(f"no codec reads {payload.content_type!r}")

    def __deepcopy__(self, memo: Any) -> "Codecs":
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without what cannot be pickled, such as keys in use: what was read by that is refused on the other side."""
        try:
            pickle.dumps((self._codecs, self._hooks))
        except Exception:
            return {**self.__dict__, "_codecs": (_LeftBehind(),), "_hooks": ()}
        return self.__dict__


_EMPTY = Payload()


def _described(payload: Payload) -> str:
    """Without the data: a repr ends up in logs and tracebacks."""
    size = payload.omitted_bytes or len(payload.text.encode() or payload.binary)
    return f"<Payload {payload.content_type or 'without a content type'}, {size} bytes>"


Payload.__repr__ = _described  # type: ignore[method-assign, assignment] # Of the generated class, which has no place for it.


def _complete(payload: Payload) -> Payload:
    if size := payload.omitted_bytes:
        text = f"{size} bytes were left out: all of the saga does not fit into one message"
        raise PayloadLeftOut(f"{text}; ask for single steps", size=size)
    if not payload.content_type:
        raise CodecError("a payload without a content type: it does not say what its data is")
    return payload


def _refuse_other(made: Any, maker: Any) -> None:
    """What a codec or a hook of the user's gave instead of a payload."""
    if not isinstance(made, Payload):
        if inspect.isawaitable(made):
            _refuse_awaitable(made, maker)
        raise CodecError(f"{_name_of(maker)} returned a {type(made).__name__}, and not a Payload")


def _refuse_awaitable(made: Any, maker: Any) -> NoReturn:
    if inspect.iscoroutine(made):
        made.close()
    raise CodecError(f"{_name_of(maker)} is async: nobody waits for it; codecs and hooks are plain code")


def _name_of(maker: Any) -> str:
    return str(getattr(maker, "__qualname__", None) or repr(maker))


class _LeftBehind:
    """Stands for codecs that could not be pickled."""

    def encode(self, value: Any) -> Payload | None:
        raise CodecError("the codecs could not be pickled; make them anew in this process")

    def takes(self, content_type: str) -> bool:
        return True

    def decode(self, payload: Payload, kind: Any) -> Any:
        raise CodecError("the codecs could not be pickled, so this cannot be read in this process")
