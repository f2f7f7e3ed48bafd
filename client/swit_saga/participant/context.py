"""What a handler knows, and how it says no."""

import builtins
import logging
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar, overload

from google.protobuf.json_format import MessageToDict

from swit_saga.errors import Portable, rebuilt
from swit_saga.limits import MAX_DETAILS_BYTES, MAX_DETAILS_DEPTH, MAX_ERROR_CODE_LENGTH, MAX_TEXT_BYTES
from swit_saga.names import name_of
from swit_saga.participant.writable import Writable, attribute
from swit_saga.payload import Codecs
from swit_saga.times import datetime_of
from swit_saga.v1 import command_pb2, error_pb2, participant_service_pb2

T = TypeVar("T")


ErrorType: TypeAlias = Literal[
    "validation", "timeout", "network", "service", "data", "system", "business", "compensation"
]
"""The class of an error."""
_TYPES = {name.removeprefix("ERROR_TYPE_").lower(): number for name, number in error_pb2.ErrorType.items() if number}
_LOG = logging.getLogger("swit_saga.participant")


class Reject(Portable):
    """The certain answer "this did not happen, do not retry". Anything else a handler raises means *unknown*.

    It always arrives as that, whatever it is given: what is not text becomes text, what is too large is cut.

    Attributes:
        code, message, details: As given.
        type: A number of ``error_pb2.ErrorType``.
    """

    code: str = "REJECTED"
    message: str = ""
    details: Mapping[str, Any] = MappingProxyType({})
    type: int = error_pb2.ERROR_TYPE_BUSINESS
    # The class's own, for one derived from it that sets no more than it wants to say.

    def __init__(
        self,
        code: str = "REJECTED",
        message: str = "",
        *,
        details: Mapping[str, Any] | None = None,
        type: ErrorType = "business",
    ) -> None:
        """Say no.

        Args:
            code: Stable UPPER_SNAKE code, such as ``OUT_OF_STOCK``; at most 100 characters of it are kept.
            message: For a person; at most 4 KiB of it are kept.
            details: Values for the saga's record, at most 16 KiB as JSON; what is not JSON-like is written as text.
            type: The class of error: ``business``, ``validation``, ``data`` or another of the eight.
        """
        self.code = code
        self.message = message
        self.details = dict(details) if builtins.type(details) is dict else details if details is not None else {}
        self.type = _type_number(type)
        said = Writable()
        about = said.text(message, MAX_TEXT_BYTES)
        super().__init__(said.text(code, MAX_ERROR_CODE_LENGTH) + (f": {about}" if about else ""))

    def to_proto(self) -> error_pb2.SagaError:
        """As it is sent. It can be, whatever it was given."""
        said = Writable()
        made = error_pb2.SagaError(
            code=said.text(attribute(self, "code"), MAX_ERROR_CODE_LENGTH) or Reject.code,
            message=said.text(attribute(self, "message"), MAX_TEXT_BYTES),
            type=_type_number(attribute(self, "type")),
        )
        details = attribute(self, "details")
        if details is not None:
            made.details.update(said.mapping(details, MAX_DETAILS_BYTES, MAX_DETAILS_DEPTH))
        made.omitted_bytes = said.omitted
        return made

    def __reduce__(self) -> Any:
        try:
            pickle.dumps(self.__dict__)
            state = self.__dict__
        except Exception:
            sent = self.to_proto()
            state = {"code": sent.code, "message": sent.message, "details": MessageToDict(sent.details)}
            state["type"] = sent.type
        return rebuilt, (type(self), self.args), state


def _type_number(given: Any) -> "error_pb2.ErrorType.ValueType":
    """A type that there is not must not turn the certain answer into *unknown*."""
    found = given if type(given) is int else _TYPES.get(Writable().text(given, MAX_ERROR_CODE_LENGTH).lower())
    for known in _TYPES.values():
        if found == known:
            return known
    _LOG.warning("a Reject of a type that there is not is sent as business; there are: %s", ", ".join(_TYPES))
    return error_pb2.ERROR_TYPE_BUSINESS


class StepContext:
    """Which saga and step a handler works for, and until when.

    Attributes:
        saga_id, step_id, action: What is asked.
        attempt: From 1; ``resend`` counts how often this attempt had been sent before.
        key: The idempotency key of this call: the same for every attempt and resend of it.
        execute_key: In a compensation: the key the Execute carried; else the same as ``key``.
        certainty: In a compensation: ``completed``, or ``unknown`` if it may never have happened; else empty.
        reason: In a compensation: why the saga stopped.
        not_after: Nothing may be started after this.
        labels, metadata: The saga's labels, the step's metadata.
        traceparent: W3C trace context; empty without a trace.
    """

    def __init__(
        self,
        request: participant_service_pb2.ExecuteRequest | participant_service_pb2.CompensateRequest,
        codecs: Codecs,
    ) -> None:
        command: command_pb2.CommandContext = request.command
        self._codecs = codecs
        self._request = request
        self.saga_id = command.saga_id
        self.step_id = command.step_id
        self.action = command.action
        self.attempt = command.attempt
        self.resend = command.resend
        self.key = command.idempotency_key
        self.correlation_id = command.correlation_id
        self.traceparent = command.traceparent
        self.tracestate = command.tracestate
        self.execute_key = self.key
        self.certainty = ""
        self.reason = ""
        if isinstance(request, participant_service_pb2.CompensateRequest):
            self.execute_key = request.execute_idempotency_key
            self.certainty = name_of(command_pb2.Certainty.DESCRIPTOR, request.certainty)
            self.reason = request.reason

    # What most handlers do not ask for is made when asked for.

    @cached_property
    def not_after(self) -> datetime:
        """Nothing may be started after this; aware, UTC."""
        return datetime_of(self._request.command.not_after)

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The saga's."""
        return dict(self._request.command.labels)

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """The definition's, of the step."""
        return MessageToDict(self._request.command.metadata)

    @property
    def time_left(self) -> timedelta:
        """Until ``not_after``; negative when it is past."""
        return self.not_after - datetime.now(UTC)

    @overload
    def initial_data(self, kind: type[T]) -> T | None: ...

    @overload
    def initial_data(self, kind: Any = None) -> Any: ...

    def initial_data(self, kind: Any = None) -> Any:
        """In a compensation: what the saga was started with."""
        request = self._request
        if not isinstance(request, participant_service_pb2.CompensateRequest) or not request.HasField("initial_data"):
            return None
        return self._codecs.decode(request.initial_data, kind)

    def __repr__(self) -> str:
        return f"<{self.saga_id}/{self.step_id} attempt {self.attempt}>"
