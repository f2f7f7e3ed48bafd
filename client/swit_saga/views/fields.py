"""How a view shows a field of its message: read when asked for, as a Python value, and never written.

A view is declared field by field, ``attempts = number()``; a field has the message's name for it unless another is
given.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Never, NoReturn, Protocol, Self, TypeVar, overload

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToDict

from swit_saga.errors import PayloadLeftOut
from swit_saga.names import name_of
from swit_saga.payload import Codecs
from swit_saga.times import datetime_of, timedelta_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class HasMessage(Protocol):
    """A view."""

    @property
    def proto(self) -> Any:
        """Its message."""
        ...


class HasPayloads(HasMessage, Protocol):
    """A view of a message that holds payloads."""

    @property
    def codecs(self) -> Codecs:
        """How they are read."""
        ...

    def elsewhere(self, field: str) -> str:
        """Which call reads a payload that was left out here."""
        ...


class Field(Generic[T_co]):
    """One field of a view."""

    def __init__(self, read: Callable[[Any, str], T_co], name: str = "") -> None:
        """Show ``read(message, name)``."""
        self._read = read
        self._name = name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    @overload
    def __get__(self, view: None, owner: type) -> Self: ...

    @overload
    def __get__(self, view: HasMessage, owner: type) -> T_co: ...

    def __get__(self, view: HasMessage | None, owner: type) -> Self | T_co:
        return self if view is None else self._read(view.proto, self._name)

    def __set__(self, view: object, value: Never) -> NoReturn:
        raise AttributeError(f"{self._name!r} of a view is not to be set")


def text(name: str = "") -> Field[str]:
    """Text, as it is."""
    return Field(getattr, name)


def number(name: str = "") -> Field[int]:
    """A whole number, as it is."""
    return Field(getattr, name)


def fraction(name: str = "") -> Field[float]:
    """A number, as it is."""
    return Field(getattr, name)


def flag(name: str = "") -> Field[bool]:
    """True or false, as it is."""
    return Field(getattr, name)


def named(kind: EnumDescriptor, name: str = "") -> Field[str]:
    """An enum's value by its name; see ``swit_saga.names``."""
    return Field(lambda message, field: name_of(kind, getattr(message, field)), name)


def moment(name: str = "") -> Field[datetime]:
    """A point in time that is always set; aware, UTC."""
    return Field(lambda message, field: datetime_of(getattr(message, field)), name)


def moment_or_none(name: str = "") -> Field[datetime | None]:
    """A point in time; None if it is not set."""
    return optional(datetime_of, name)


def span_or_none(name: str = "") -> Field[timedelta | None]:
    """A length of time; None if it is not set."""
    return optional(timedelta_of, name)


def struct(name: str = "") -> Field[Mapping[str, Any]]:
    """JSON-like values by key; empty if not set."""
    return Field(lambda message, field: MessageToDict(getattr(message, field)), name)


def texts(name: str = "") -> Field[Mapping[str, str]]:
    """Text by key."""
    return Field(lambda message, field: dict(getattr(message, field)), name)


def optional(made: Callable[[Any], T], name: str = "") -> Field[T | None]:
    """What ``made`` makes of a message; None if it is not set."""
    return Field(lambda message, field: made(getattr(message, field)) if message.HasField(field) else None, name)


class PayloadField:
    """One payload of a view; called, it gives the value."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    @overload
    def __get__(self, view: None, owner: type) -> Self: ...

    @overload
    def __get__(self, view: HasPayloads, owner: type) -> "Decode": ...

    def __get__(self, view: HasPayloads | None, owner: type) -> "Self | Decode":
        return self if view is None else Decode(view, self._name)

    def __set__(self, view: object, value: Never) -> NoReturn:
        raise AttributeError(f"{self._name!r} of a view is not to be set")


class Decode:
    """Reads one payload."""

    def __init__(self, view: HasPayloads, name: str) -> None:
        self._view = view
        self._name = name

    @overload
    def __call__(self, kind: type[T]) -> T | None: ...

    @overload
    def __call__(self, kind: Any = None) -> Any: ...

    def __call__(self, kind: Any = None) -> Any:
        """The value as ``kind``; None for ``kind`` takes what the payload suggests.

        Returns:
            None if there is no value.

        Raises:
            PayloadLeftOut: All of the saga did not fit into one message; it is read step by step.
            CodecError: It cannot be read, or not as ``kind``.
        """
        message = self._view.proto
        if not message.HasField(self._name):
            return None
        payload = getattr(message, self._name)
        if size := payload.omitted_bytes:
            text = f"{self._name} has {size} bytes and was left out: all of the saga does not fit into one message"
            raise PayloadLeftOut(f"{text}; {self._view.elsewhere(self._name)} reads it", size=size)
        return self._view.codecs.decode(payload, kind)

    @property
    def omitted_bytes(self) -> int:
        """Size of a value that was left out of this answer for its size; 0 if it is here, or there is none."""
        found: int = getattr(self._view.proto, self._name).omitted_bytes
        return found
