"""What the client raises. Every exception of a call carries the server's stable ``reason`` and its fields."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from swit_saga.connecting import in_words
from swit_saga.times import timedelta_of


def rebuilt(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """An exception from its ``args`` alone, whatever its class is made with; its fields follow. For pickle."""
    return kind.__new__(kind, *args)


class Portable(Exception):
    """An exception that survives pickle and copy with all its fields, whatever it is made with."""

    def __reduce__(self) -> Any:
        return rebuilt, (type(self), self.args), self.__dict__ or None


class SagaClientError(Portable):
    """Root of everything the client raises on purpose."""


class CallError(SagaClientError):
    """A call to the coordinator failed.

    Attributes:
        code: The gRPC status.
        reason: The server's stable reason, such as ``SAGA_NOT_FOUND``; empty if the failure is not the server's.
        domain: Whose reason it is: ``swit-saga`` for the coordinator's own; empty without a reason.
        fields: What the server says about it, such as ``{"saga_id": "order-17"}``.
        violations: For a bad request: (field, what is wrong with it).
        retry_after_s: How long the server asks to wait before trying again; None if it does not ask.
    """

    reasons: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        domain: str = "",
        fields: Mapping[str, str] | None = None,
        violations: Iterable[tuple[str, str]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.domain = domain
        self.fields = dict(fields or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s


class NotFoundError(CallError):
    """There is no such saga or definition."""

    reasons = frozenset({"SAGA_NOT_FOUND", "DEFINITION_NOT_FOUND"})


class AlreadyExistsError(CallError):
    """A saga with this id was started by a different request."""

    reasons = frozenset({"SAGA_ALREADY_EXISTS"})


class AlreadyFinishedError(CallError):
    """The saga has its outcome; this can no longer be done."""

    reasons = frozenset({"SAGA_ALREADY_FINISHED"})


class InvalidRequestError(CallError):
    """The request or the definition is not valid; see ``violations``."""

    reasons = frozenset({"INVALID_REQUEST", "INVALID_DEFINITION", "PAYLOAD_TOO_LARGE", "CURSOR_OUT_OF_RANGE"})


class UnsupportedError(CallError):
    """The server does not support this call or this field yet."""

    reasons = frozenset({"UNSUPPORTED_FIELD", "NOT_IMPLEMENTED"})


class DefinitionDisabledError(CallError):
    """This definition version takes no new sagas."""

    reasons = frozenset({"DEFINITION_DISABLED"})


class UnavailableError(CallError):
    """The coordinator could not be reached or cannot take this now; the same call may be made again."""

    reasons = frozenset({"COORDINATOR_UNAVAILABLE", "COORDINATOR_STOPPING", "STORE_UNAVAILABLE"})


class OverloadedError(CallError):
    """The coordinator has all it can take; this start was not made. Try again after ``retry_after_s``: no call does."""

    reasons = frozenset({"COORDINATOR_OVERLOADED"})


class TimedOutError(CallError):
    """The call was not answered in time; whether it was done is unknown, and it may be made again."""


class ClientClosed(SagaClientError):
    """The client is closed; make another one."""

    def __init__(self) -> None:
        super().__init__("the client is closed; make another one")


class ForkedError(SagaClientError):
    """What was used before this process was forked off cannot be used in it; its parent may go on.

    A client's threads and connections stay behind in a fork. Make clients in the process that uses them.
    """


class CodecError(SagaClientError):
    """A value cannot be encoded, or a payload cannot be decoded as asked."""


class PayloadLeftOut(CodecError):
    """A value is on record, and was left out of this answer: all of the saga would not fit into one message.

    Attributes:
        size: Bytes of the value.
    """

    def __init__(self, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.size = size


_CLASSES = (
    NotFoundError,
    AlreadyExistsError,
    AlreadyFinishedError,
    InvalidRequestError,
    UnsupportedError,
    DefinitionDisabledError,
    UnavailableError,
    OverloadedError,
)
_BY_REASON = {reason: kind for kind in _CLASSES for reason in kind.reasons}
_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOutError,
}
DOMAIN = "swit-saga"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def from_status(status: status_pb2.Status) -> CallError:
    """The exception for a google.rpc.Status with its AIP-193 details."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad, retry):
            detail.Unpack(message)
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    # Another service's reason, such as a gateway's, may be spelt the same and mean something else.
    kind = (_BY_REASON.get(info.reason) if info.domain == DOMAIN else None) or _BY_CODE.get(code, CallError)
    return kind(
        status.message,
        code=code,
        reason=info.reason,
        domain=info.domain,
        fields=info.metadata,
        violations=[(v.field, v.description) for v in bad.field_violations],
        retry_after_s=timedelta_of(retry.retry_delay).total_seconds() if retry.HasField("retry_delay") else None,
    )


def from_rpc_error(error: Any) -> CallError:
    """The exception for a failed call (an ``AioRpcError``, or a blocking call's), with the details the server sent."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # The details do not belong to this status: a proxy rewrote it.
        status = None
    if status is not None:
        return from_status(status)
    code = error.code()
    said = in_words(code, error.details() or code.name, "coordinator")
    return _BY_CODE.get(code, CallError)(said, code=code)
