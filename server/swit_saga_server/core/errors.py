"""Two kinds of error: ``SagaError`` is data, part of a saga's record; the exceptions refuse a request.

Every exception carries a stable ``reason`` (UPPER_SNAKE) and its fields; ``rpc.errors`` maps each to a status code.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, ClassVar

from swit_saga_server.core.record import record
from swit_saga_server.core.units import NEVER, Instant


class ErrorType(StrEnum):
    """What went wrong, in the specification's eight classes."""

    VALIDATION = "validation"
    TIMEOUT = "timeout"
    NETWORK = "network"
    SERVICE = "service"
    DATA = "data"
    SYSTEM = "system"
    BUSINESS = "business"
    COMPENSATION = "compensation"


RETRYABLE_TYPES = frozenset({ErrorType.TIMEOUT, ErrorType.NETWORK, ErrorType.SERVICE, ErrorType.SYSTEM})
"""The error types worth another attempt by default."""


@record(frozen=True, slots=True, kw_only=True)
class SagaError:
    """An error on a saga's, a step's or a compensation's record.

    Attributes:
        code: Stable UPPER_SNAKE code, the participant's own where it gave one.
        message: For a person: what was wrong and with which value.
        type: The class of error; decides whether it is worth a retry.
        retryable: Whether another attempt may help.
        timestamp: When the coordinator learned of it.
        stack_trace: The participant's, if it sent one; else empty.
        details: JSON-like values the participant attached.
        cause: The error behind this one.
    """

    code: str
    message: str
    type: ErrorType
    retryable: bool = False
    timestamp: Instant = NEVER
    stack_trace: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    cause: "SagaError | None" = None

    def __repr__(self) -> str:
        """Without what the participant said: a repr ends up in logs."""
        return f"SagaError(code={self.code!r}, type={self.type.value!r}, retryable={self.retryable})"


def rebuilt(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """An exception from its ``args`` alone, whatever its class is made with; its fields follow. For pickle."""
    return kind.__new__(kind, *args)


class Portable(Exception):
    """An exception that survives pickle and copy with all its fields, whatever it is made with."""

    def __reduce__(self) -> Any:
        return rebuilt, (type(self), self.args), self.__dict__ or None


class SwitSagaError(Portable):
    """Root of everything the server side raises on purpose. The docstring's first line is the default message."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])
        self.fields = fields

    @property
    def metadata(self) -> dict[str, str]:
        """The fields as strings, for ``ErrorInfo.metadata``."""
        return {k: str(v) for k, v in self.fields.items()}


@record(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field of a request; ``field`` is a path such as ``steps[1].timeout``."""

    field: str
    description: str


class InvalidRequest(SwitSagaError):
    """The request is not valid."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: tuple[Violation, ...] = (), message: str = "") -> None:
        text = message or "; ".join(f"{v.field}: {v.description}" for v in violations)
        super().__init__(text)
        self.violations = violations


class InvalidDefinition(InvalidRequest):
    """The saga definition is not valid."""

    reason = "INVALID_DEFINITION"


class UnsupportedField(InvalidRequest):
    """The request uses something this server does not support yet; it is refused, never ignored."""

    reason = "UNSUPPORTED_FIELD"


class UnstorableValue(InvalidRequest):
    """A value that the store cannot hold; nothing was written."""

    reason = "UNSTORABLE_VALUE"

    def __init__(self, violations: tuple[Violation, ...] = (), message: str = "") -> None:
        super().__init__(violations, message or (type(self).__doc__ or "") * (not violations))


class PayloadTooLarge(SwitSagaError):
    """A payload exceeds max_payload_bytes."""

    reason = "PAYLOAD_TOO_LARGE"


class SagaNotFound(SwitSagaError):
    """There is no saga with this id."""

    reason = "SAGA_NOT_FOUND"


class SagaLost(SwitSagaError):
    """The saga was there and is gone: the store went back behind what it had confirmed."""

    reason = "SAGA_LOST"


class SagaAlreadyExists(SwitSagaError):
    """A saga with this id was started by a different request."""

    reason = "SAGA_ALREADY_EXISTS"


class SagaAlreadyFinished(SwitSagaError):
    """The saga has reached its outcome; this can no longer be done."""

    reason = "SAGA_ALREADY_FINISHED"


class DefinitionNotFound(SwitSagaError):
    """There is no such saga definition or version of it."""

    reason = "DEFINITION_NOT_FOUND"


class DefinitionDisabled(SwitSagaError):
    """This definition version takes no new sagas."""

    reason = "DEFINITION_DISABLED"


class IllegalInput(SwitSagaError):
    """The saga cannot take this input in its present state; nothing was changed."""

    reason = "ILLEGAL_INPUT"


class IllegalTransition(SwitSagaError):
    """The machine made a move its own table forbids: a bug; the saga is quarantined."""

    reason = "ILLEGAL_TRANSITION"


class CursorOutOfRange(SwitSagaError):
    """The position to resume from is not in the history."""

    reason = "CURSOR_OUT_OF_RANGE"


class CoordinatorOverloaded(SwitSagaError):
    """The coordinator has all it can take; what it has taken goes on."""

    reason = "COORDINATOR_OVERLOADED"


class CoordinatorUnavailable(SwitSagaError):
    """The coordinator cannot take this now; try again."""

    reason = "COORDINATOR_UNAVAILABLE"


class CoordinatorStopping(CoordinatorUnavailable):
    """The coordinator is stopping and takes nothing new."""

    reason = "COORDINATOR_STOPPING"


class StoreUnavailable(CoordinatorUnavailable):
    """The state store cannot be reached; whether the last write happened is unknown."""

    reason = "STORE_UNAVAILABLE"


class StoreFault(StoreUnavailable):
    """The store answered what this version does not understand; nothing is known of what was asked."""

    reason = "STORE_FAULT"


class StoreRewound(StoreUnavailable):
    """The store went back behind what it had confirmed; what it has now is the truth."""

    reason = "STORE_REWOUND"


class NewerRecord(CoordinatorUnavailable):
    """A newer version of this software wrote this; a coordinator of that version can read it."""

    reason = "NEWER_RECORD"


class NeedsNewerLevel(CoordinatorUnavailable):
    """A coordinator that lives could not read this yet; nothing was written. Upgrade them all, then try again."""

    reason = "NEEDS_NEWER_LEVEL"


class StoreRefused(SwitSagaError):
    """The store cannot be used as it is: another process holds it, or its schema is of another version."""

    reason = "STORE_REFUSED"


class NameTaken(StoreRefused):
    """Another coordinator with this name is at work on this store."""

    reason = "NAME_TAKEN"


class NotImplementedYet(SwitSagaError):
    """This call belongs to a later version of the server."""

    reason = "NOT_IMPLEMENTED"


class SagaQuarantined(SwitSagaError):
    """An internal error stopped this saga alone; it is set aside, visible as stuck, and tried again later."""

    reason = "SAGA_QUARANTINED"


class SlowWatcher(SwitSagaError):
    """The watcher does not read; it is cut off and may resume where it stopped."""

    reason = "SLOW_WATCHER"
