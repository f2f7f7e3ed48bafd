"""The way of a request to its handler, whatever it came by: what cannot be read is refused, and what is not valid.

No decoder raises within gRPC, which would answer UNKNOWN or INTERNAL and log a traceback per message.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from swit_saga_server.core.errors import InvalidRequest
from swit_saga_server.logs import get_logger
from swit_saga_server.wire.door import admit

log = get_logger(__name__)
Handler = Callable[[Any, Any], Any]

OWN_DOOR = frozenset(
    {
        "StartSaga",  # When its turn has come: what is refused for other reasons has cost next to nothing.
        "RegisterDefinition",  # The definition by itself, so that paths begin in it.
        "ValidateDefinition",  # What is wrong is its answer.
    }
)
"""Calls whose handlers let their requests in by themselves. So do the items of streams."""


class Unreadable:
    """In place of a request: bytes that are none."""

    def __init__(self, why: str) -> None:
        self._text = f"the request cannot be read: {why}"

    def refusal(self) -> InvalidRequest:
        """What its caller is told."""
        log.debug("undecodable_request", error=self._text)
        return InvalidRequest(message=self._text)


def reading(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """``read``, a message's ``FromString``, but for what cannot be read: that becomes ``Unreadable``."""

    def decode(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError as error:
            return Unreadable(str(error))

    return decode


def decoder_of(method: MethodDescriptor) -> Callable[[bytes], Any]:
    """The decoder of a call's requests."""
    return reading(GetMessageClass(method.input_type).FromString)


def readable(request: Any) -> Any:
    """A request that a decoder gave.

    Raises:
        InvalidRequest: It could not be read.
    """
    if isinstance(request, Unreadable):
        raise request.refusal()
    return request


def entrance(method: MethodDescriptor, handler: Handler) -> Handler:
    """``handler`` behind the door: it is called with requests only that are valid. Raises what ``admit`` does."""
    if method.name in OWN_DOOR:
        return lambda request, caller: handler(readable(request), caller)

    def call(request: Any, caller: Any) -> Any:
        admit(readable(request))
        return handler(request, caller)

    return call
