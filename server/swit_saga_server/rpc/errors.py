"""The one catalogue: which error is which status. Details follow AIP-193: ErrorInfo, BadRequest, RetryInfo."""

from collections.abc import Mapping

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from swit_saga_server.core import errors

DOMAIN = "swit-saga"
RETRY_AFTER = Duration(seconds=1)

CATALOGUE: Mapping[type[errors.SwitSagaError], "Code.ValueType"] = {
    errors.SwitSagaError: Code.INTERNAL,
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.InvalidDefinition: Code.INVALID_ARGUMENT,
    errors.UnsupportedField: Code.INVALID_ARGUMENT,
    errors.PayloadTooLarge: Code.INVALID_ARGUMENT,
    errors.SagaNotFound: Code.NOT_FOUND,
    errors.DefinitionNotFound: Code.NOT_FOUND,
    errors.SagaAlreadyExists: Code.ALREADY_EXISTS,
    errors.SagaAlreadyFinished: Code.FAILED_PRECONDITION,
    errors.DefinitionDisabled: Code.FAILED_PRECONDITION,
    errors.IllegalInput: Code.FAILED_PRECONDITION,
    errors.IllegalTransition: Code.INTERNAL,
    errors.SagaParked: Code.INTERNAL,
    errors.CursorOutOfRange: Code.OUT_OF_RANGE,
    errors.CoordinatorUnavailable: Code.UNAVAILABLE,
    errors.CoordinatorStopping: Code.UNAVAILABLE,
    errors.StoreUnavailable: Code.UNAVAILABLE,
    errors.StoreRefused: Code.FAILED_PRECONDITION,
    errors.NotImplementedYet: Code.UNIMPLEMENTED,
    errors.SlowWatcher: Code.ABORTED,
}
"""Every error class has a row of its own; a test proves it."""


def to_status(error: Exception) -> status_pb2.Status:
    """The status of a refusal. An exception not raised on purpose says nothing but INTERNAL."""
    if not isinstance(error, errors.SwitSagaError):
        return status_pb2.Status(code=Code.INTERNAL, message="internal error; see the coordinator's log")
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if isinstance(error, errors.InvalidRequest):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if isinstance(error, errors.CoordinatorUnavailable):
        details.append(error_details_pb2.RetryInfo(retry_delay=RETRY_AFTER))
    packed = []
    for detail in details:
        packed.append(Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=CATALOGUE[type(error)], message=str(error), details=packed)
