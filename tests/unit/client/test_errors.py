"""Exceptions from google.rpc statuses."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from swit_saga import (
    AlreadyExistsError,
    AlreadyFinishedError,
    CallError,
    DefinitionDisabledError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    SagaClientError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)
from swit_saga.calls import is_cut, is_passing
from swit_saga.errors import from_rpc_error, from_status
from swit_saga_server.core import errors as core
from swit_saga_server.rpc.errors import CATALOGUE, to_status

EXPECTED: dict[type[core.SwitSagaError], type[CallError]] = {
    core.SwitSagaError: CallError,
    core.InvalidRequest: InvalidRequestError,
    core.InvalidDefinition: InvalidRequestError,
    core.UnsupportedField: UnsupportedError,
    core.UnstorableValue: InvalidRequestError,
    core.PayloadTooLarge: InvalidRequestError,
    core.SagaNotFound: NotFoundError,
    core.SagaLost: CallError,
    core.SagaAlreadyExists: AlreadyExistsError,
    core.SagaAlreadyFinished: AlreadyFinishedError,
    core.DefinitionNotFound: NotFoundError,
    core.DefinitionDisabled: DefinitionDisabledError,
    core.IllegalInput: CallError,
    core.IllegalTransition: CallError,
    core.CursorOutOfRange: InvalidRequestError,
    core.CoordinatorOverloaded: OverloadedError,
    core.CoordinatorUnavailable: UnavailableError,
    core.CoordinatorStopping: UnavailableError,
    core.StoreUnavailable: UnavailableError,
    core.StoreFault: UnavailableError,
    core.StoreRewound: UnavailableError,
    core.NewerRecord: UnavailableError,
    core.NeedsNewerLevel: UnavailableError,
    core.StoreRefused: CallError,
    core.NameTaken: CallError,
    core.NotImplementedYet: UnsupportedError,
    core.SagaQuarantined: CallError,
    core.SlowWatcher: CallError,
}


def status(code: grpc.StatusCode, *details: Any) -> Status:
    made = Status(code=code.value[0], message="text")
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        made.details.append(packed)
    return made


def info(reason: str, domain: str = "swit-saga") -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata={"saga_id": "o-1"})


def test_every_error_of_the_server_has_an_exception():
    assert set(EXPECTED) == set(CATALOGUE)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda k: k.__name__)
def test_as_the_server_sends_it(kind):
    violations = (core.Violation("steps[1].timeout", "must be greater than 0"),)
    invalid = issubclass(kind, core.InvalidRequest)
    error = from_status(to_status(kind(violations) if invalid else kind("text", saga_id="o-1")))
    assert type(error) is EXPECTED[kind]
    assert error.reason == kind.reason
    assert error.code.value[0] == CATALOGUE[kind]
    assert error.violations == ((("steps[1].timeout", "must be greater than 0"),) if invalid else ())
    assert error.fields == ({} if invalid else {"saga_id": "o-1"})
    passing = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (error.retry_after_s is not None) == (error.code in passing)
    assert isinstance(error, SagaClientError)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.UNIMPLEMENTED, UnsupportedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, TimedOutError),
        (grpc.StatusCode.PERMISSION_DENIED, CallError),
        (grpc.StatusCode.INTERNAL, CallError),
    ],
)
def test_a_reason_of_a_later_server_keeps_its_name_under_the_status(code, expected):
    error = from_status(status(code, info("OF_A_LATER_SERVER")))
    assert type(error) is expected
    assert (error.reason, error.code, error.fields) == ("OF_A_LATER_SERVER", code, {"saga_id": "o-1"})


def test_a_reason_of_another_service_is_not_taken_for_ours():
    error = from_status(status(grpc.StatusCode.PERMISSION_DENIED, info("SAGA_NOT_FOUND", domain="gateway.example")))
    assert type(error) is CallError


def test_a_status_no_release_of_grpc_knows():
    assert from_status(Status(code=99, message="text")).code is grpc.StatusCode.UNKNOWN


def rpc_error(code: grpc.StatusCode, details: str | None, *trailing: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=details)


def test_from_a_call_with_details():
    sent = status(grpc.StatusCode.NOT_FOUND, info("SAGA_NOT_FOUND")).SerializeToString()
    error = from_rpc_error(rpc_error(grpc.StatusCode.NOT_FOUND, "text", ("grpc-status-details-bin", sent)))
    assert (type(error), error.reason) == (NotFoundError, "SAGA_NOT_FOUND")


@pytest.mark.parametrize(("details", "message"), [("connection refused", "connection refused"), ("", "UNAVAILABLE")])
def test_from_a_call_without_details(details, message):
    error = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, details))
    assert (type(error), error.reason, str(error)) == (UnavailableError, "", message)


def test_details_of_another_status_are_left_aside():
    sent = status(grpc.StatusCode.NOT_FOUND, info("SAGA_NOT_FOUND")).SerializeToString()
    error = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "proxy", ("grpc-status-details-bin", sent)))
    assert (type(error), error.reason) == (UnavailableError, "")


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (UnavailableError("x"), True),
        (TimedOutError("x"), True),
        (CallError("x", code=grpc.StatusCode.ABORTED, reason="SLOW_WATCHER"), True),
        (CallError("x", code=grpc.StatusCode.CANCELLED), True),
        (NotFoundError("x"), False),
        (CallError("x", code=grpc.StatusCode.INTERNAL), False),  # For a while, see below.
        (CallError("x", code=grpc.StatusCode.ABORTED), False),
    ],
)
def test_which_broken_streams_are_taken_up_again(error, passing):
    assert is_passing(error) is passing


@pytest.mark.parametrize(
    ("error", "cut"),
    [
        (CallError("Received RST_STREAM with error code 2", code=grpc.StatusCode.INTERNAL), True),
        (CallError("Stream removed", code=grpc.StatusCode.UNKNOWN), True),
        (CallError("RST_STREAM: ENHANCE_YOUR_CALM", code=grpc.StatusCode.RESOURCE_EXHAUSTED), True),
        (CallError("x", code=grpc.StatusCode.INTERNAL, reason="GATEWAY_BROKE", domain="gateway.example"), True),
        (CallError("RST_STREAM", code=grpc.StatusCode.INTERNAL, reason="SAGA_QUARANTINED", domain="swit-saga"), False),
        (CallError("too large", code=grpc.StatusCode.RESOURCE_EXHAUSTED), False),
        (CallError("x", code=grpc.StatusCode.PERMISSION_DENIED), False),
        (NotFoundError("x", code=grpc.StatusCode.NOT_FOUND), False),
    ],
)
def test_what_the_network_cut(error, cut):
    assert is_cut(error) is cut
