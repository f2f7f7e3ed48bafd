"""The one catalogue: which error is which status. Details follow AIP-193: ErrorInfo, BadRequest, RetryInfo."""

from collections.abc import Mapping, Sequence

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from swit_saga_server.core import errors
from swit_saga_server.core.texts import cut

DOMAIN = "swit-saga"
RETRY_AFTER = Duration(seconds=1)
MESSAGE_BYTES, VIOLATION_BYTES = 600, 2_000
"""gRPC carries a status in headers, and a peer may refuse those beyond 8 KiB. The message stands there twice, once with
up to three characters for a byte; the details take a third more than they have.
"""

CATALOGUE: Mapping[type[errors.SwitSagaError], "Code.ValueType"] = {
    errors.SwitSagaError: Code.INTERNAL,
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.InvalidDefinition: Code.INVALID_ARGUMENT,
    errors.UnsupportedField: Code.INVALID_ARGUMENT,
    errors.UnstorableValue: Code.INVALID_ARGUMENT,
    errors.PayloadTooLarge: Code.INVALID_ARGUMENT,
    errors.SagaNotFound: Code.NOT_FOUND,
    errors.SagaLost: Code.DATA_LOSS,
    errors.DefinitionNotFound: Code.NOT_FOUND,
    errors.SagaAlreadyExists: Code.ALREADY_EXISTS,
    errors.SagaAlreadyFinished: Code.FAILED_PRECONDITION,
    errors.DefinitionDisabled: Code.FAILED_PRECONDITION,
    errors.IllegalInput: Code.FAILED_PRECONDITION,
    errors.IllegalTransition: Code.INTERNAL,
    errors.SagaQuarantined: Code.INTERNAL,
    errors.CursorOutOfRange: Code.OUT_OF_RANGE,
    errors.CoordinatorOverloaded: Code.RESOURCE_EXHAUSTED,
    errors.CoordinatorUnavailable: Code.UNAVAILABLE,
    errors.CoordinatorStopping: Code.UNAVAILABLE,
    errors.StoreUnavailable: Code.UNAVAILABLE,
    errors.StoreFault: Code.UNAVAILABLE,
    errors.StoreRewound: Code.UNAVAILABLE,
    errors.NewerRecord: Code.UNAVAILABLE,
    errors.NeedsNewerLevel: Code.UNAVAILABLE,
    errors.StoreRefused: Code.FAILED_PRECONDITION,
    errors.NameTaken: Code.FAILED_PRECONDITION,
    errors.NotImplementedYet: Code.UNIMPLEMENTED,
    errors.SlowWatcher: Code.ABORTED,
}
"""Every error class has a row of its own; a test proves it."""


def to_status(error: Exception) -> status_pb2.Status:
    """The status of a refusal. An exception not raised on purpose says nothing but INTERNAL."""
    if not isinstance(error, errors.SwitSagaError):
        # With a reason, so that nobody takes it for the network's.
        error = errors.SwitSagaError("internal error; see the coordinator's log")
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if isinstance(error, errors.InvalidRequest):
        details.append(_bad_request(error.violations))
    if isinstance(error, errors.CoordinatorUnavailable | errors.CoordinatorOverloaded):
        details.append(error_details_pb2.RetryInfo(retry_delay=RETRY_AFTER))
    packed = []
    for detail in details:
        packed.append(Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=CATALOGUE[type(error)], message=cut(str(error), MESSAGE_BYTES), details=packed)


def _bad_request(violations: Sequence[errors.Violation]) -> error_details_pb2.BadRequest:
    """As many violations as a status can carry; the last one says how many more were found."""
    found = error_details_pb2.BadRequest()
    for n, v in enumerate(violations):
        if found.ByteSize() > VIOLATION_BYTES:
            found.field_violations.add(field="", description=f"and at least {len(violations) - n} more")
            break
        found.field_violations.add(field=cut(v.field, MESSAGE_BYTES), description=cut(v.description, MESSAGE_BYTES))
    return found
