"""What a handler knows, and how it says no."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar, overload

from google.protobuf.json_format import MessageToDict

from swit_saga.names import name_of
from swit_saga.payload import Codecs
from swit_saga.times import datetime_of
from swit_saga.v1 import command_pb2, error_pb2, participant_service_pb2

T = TypeVar("T")


class Reject(Exception):
    """The certain answer "this did not happen, do not retry". Anything else a handler raises means *unknown*."""

    def __init__(
        self, code: str, message: str = "", *, details: Mapping[str, Any] | None = None, type: str = "business"
    ) -> None:
        """Say no.

        Args:
            code: Stable UPPER_SNAKE code, such as ``OUT_OF_STOCK``.
            message: For a person.
            details: Values for the saga's record; what is not JSON-like is written as text.
            type: The class of error: ``business``, ``validation``, ``data`` or another of the eight.

        Raises:
            ValueError: There is no such type.
        """
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.type = error_pb2.ErrorType.Value(f"ERROR_TYPE_{type.upper()}")

    def to_proto(self) -> error_pb2.SagaError:
        """As it is sent."""
        made = error_pb2.SagaError(code=self.code, message=self.message, type=self.type)
        if self.details:
            made.details.update({str(key): _json_like(value) for key, value in self.details.items()})
        return made


def _json_like(value: Any) -> Any:
    """An unwritable detail must not turn the certain answer into an ordinary exception, that is, into *unknown*."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _json_like(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_json_like(item) for item in value]
        case _:
            return str(value)


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
