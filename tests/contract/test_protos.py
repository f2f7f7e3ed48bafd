"""The contracts against the specification: every field, enum value, service and call of it is there."""

from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from swit_saga.v1 import (
    coordinator_service_pb2,
    definition_pb2,
    definition_service_pb2,
    error_pb2,
    event_pb2,
    event_service_pb2,
    metrics_pb2,
    operator_service_pb2,
    participant_service_pb2,
    participant_stream_service_pb2,
    saga_pb2,
    worker_service_pb2,
)
from swit_saga_server.rpc.serving import SERVICES
from swit_saga_server.wire.unsupported import RPCS
from tests.support.rpc.serve import serve

Fields = dict[str, tuple[Descriptor, str]]


def _same(message: Descriptor, names: str, **renamed: str) -> Fields:
    return {n: (message, n) for n in names.split()} | {k: (message, v) for k, v in renamed.items()}


SAGA, STEP, COMPENSATION = (m.DESCRIPTOR for m in (saga_pb2.Saga, saga_pb2.StepState, saga_pb2.CompensationState))
ERROR, EVENT = error_pb2.SagaError.DESCRIPTOR, event_pb2.SagaEvent.DESCRIPTOR
DEFINITION, STEP_DEFINITION = definition_pb2.SagaDefinition.DESCRIPTOR, definition_pb2.StepDefinition.DESCRIPTOR

SPECIFICATION: dict[str, Fields] = {
    "SagaInstance": _same(
        SAGA,
        "id definition_id name description state current_step total_steps created_at updated_at started_at "
        "completed_at timed_out_at initial_data current_data result_data error timeout retry_policy step_states "
        "metadata trace_id span_id",
    ),
    "StepState": _same(
        STEP,
        "id saga_id step_index name state attempts max_attempts created_at started_at completed_at last_attempt_at "
        "input_data output_data error compensation_state metadata",
    ),
    "CompensationState": _same(COMPENSATION, "state attempts max_attempts started_at completed_at error"),
    "SagaError": _same(ERROR, "code message type retryable timestamp stack_trace details cause"),
    "SagaEvent": _same(
        EVENT,
        "id saga_id step_id type version timestamp correlation_id data previous_state new_state error duration "
        "attempt max_attempts metadata source service service_version trace_id span_id parent_span_id",
    ),
    # The interfaces' getters. Validate is DefinitionService.ValidateDefinition.
    "SagaDefinition": _same(
        DEFINITION, "id name description steps timeout retry_policy compensation_strategy metadata"
    ),
    # Execute and Compensate are ParticipantService. IsRetryable is the error rules'.
    "SagaStep": _same(STEP_DEFINITION, "id name description timeout retry_policy metadata")
    | {"is_retryable": (DEFINITION, "error_rules")},
    "RetryPolicy": _same(
        definition_pb2.RetryPolicy.DESCRIPTOR, "initial_delay max_delay multiplier max_attempts", backoff="backoff"
    ),
    "ErrorHandlingStrategy": _same(
        definition_pb2.ErrorRule.DESCRIPTOR,
        "should_retry should_compensate",
        get_retry_delay="retry_delay",
        get_timeout_for_error="timeout",
    ),
    # The specification names the filter and the metrics, the design says what is in them.
    "SagaFilter": _same(
        coordinator_service_pb2.SagaFilter.DESCRIPTOR,
        "states definition_ids created_from created_to updated_from updated_to labels metadata",
    )
    | _same(
        coordinator_service_pb2.ListSagasRequest.DESCRIPTOR, "", sort="order_by", limit="page_size", offset="page_token"
    ),
    "CoordinatorMetrics": _same(
        metrics_pb2.CoordinatorMetrics.DESCRIPTOR,
        "total_sagas active_sagas completed_sagas compensated_sagas failed_sagas cancelled_sagas timed_out_sagas "
        "total_steps completed_steps failed_steps total_retries successful_retries total_compensations "
        "successful_compensations average_saga_duration average_step_duration start_time last_update_time",
    ),
    "BatchOperation": _same(operator_service_pb2.BatchOperateRequest.DESCRIPTOR, "saga_ids operation parameters"),
}
"""Per structure of the specification: each of its fields and where the contracts have it."""

TYPES = {
    "created_at": "google.protobuf.Timestamp",
    "updated_at": "google.protobuf.Timestamp",
    "started_at": "google.protobuf.Timestamp",
    "completed_at": "google.protobuf.Timestamp",
    "timed_out_at": "google.protobuf.Timestamp",
    "last_attempt_at": "google.protobuf.Timestamp",
    "timestamp": "google.protobuf.Timestamp",
    "timeout": "google.protobuf.Duration",
    "duration": "google.protobuf.Duration",
    "initial_delay": "google.protobuf.Duration",
    "max_delay": "google.protobuf.Duration",
    "average_saga_duration": "google.protobuf.Duration",
    "metadata": "google.protobuf.Struct",
    "details": "google.protobuf.Struct",
    "initial_data": "swit_saga.v1.Payload",
    "current_data": "swit_saga.v1.Payload",
    "result_data": "swit_saga.v1.Payload",
    "input_data": "swit_saga.v1.Payload",
    "output_data": "swit_saga.v1.Payload",
    "data": "swit_saga.v1.Payload",
    "error": "swit_saga.v1.SagaError",
    "cause": "swit_saga.v1.SagaError",
    "retry_policy": "swit_saga.v1.RetryPolicy",
    "compensation_state": "swit_saga.v1.CompensationState",
    "step_states": "swit_saga.v1.StepState",
}
"""What a field of this name must be, wherever it stands."""

ENUMS: dict[str, tuple[EnumDescriptor, str]] = {
    "SagaState": (
        saga_pb2.SagaState.DESCRIPTOR,
        "pending running step_completed completed compensating compensated failed cancelled timed_out",
    ),
    "StepStateEnum": (
        saga_pb2.StepStatus.DESCRIPTOR,
        "pending running completed failed compensating compensated skipped",
    ),
    "CompensationStateEnum": (
        saga_pb2.CompensationStatus.DESCRIPTOR,
        "pending running completed failed skipped",
    ),
    "ErrorType": (
        error_pb2.ErrorType.DESCRIPTOR,
        "validation timeout network service data system business compensation",
    ),
    "BatchType": (operator_service_pb2.BatchType.DESCRIPTOR, "cancel retry force_compensation"),
    "CoordinatorMode": (definition_pb2.CoordinatorMode.DESCRIPTOR, "orchestration choreography hybrid"),
    "Backoff": (definition_pb2.BackoffKind.DESCRIPTOR, "none fixed linear exponential"),
    "Jitter": (definition_pb2.Jitter.DESCRIPTOR, "none full equal decorrelated"),
}

CALLS = {
    coordinator_service_pb2: "StartSaga StartSagas GetSaga ListSagas CancelSaga WaitSaga WaitSagas WatchSaga "
    "WatchSagas CompleteStep HeartbeatStep ExplainSaga GetMetrics",
    operator_service_pb2: "RetrySaga ForceCompensation SkipCompensation PauseSaga ResumeSaga EditStepInput "
    "BatchOperate DeleteSaga PurgeSagas",
    definition_service_pb2: "RegisterDefinition GetDefinition ListDefinitions ValidateDefinition DisableDefinition",
    participant_service_pb2: "Execute Compensate",
    participant_stream_service_pb2: "Stream Describe",
    worker_service_pb2: "Work",
    event_service_pb2: "Publish Subscribe",
}
STREAMS = {  # (client streams, server streams); everything else is unary.
    "StartSagas": (True, True),
    "WaitSagas": (True, True),
    "WatchSaga": (False, True),
    "WatchSagas": (False, True),
    "BatchOperate": (False, True),
    "Stream": (True, True),
    "Work": (True, True),
    "Subscribe": (True, True),
}


@pytest.mark.parametrize("structure", SPECIFICATION)
def test_every_field_of_the_specification_is_there(structure):
    for field, (message, name) in SPECIFICATION[structure].items():
        found = message.fields_by_name.get(name)
        assert found is not None, f"{structure}.{field}: {message.name} has no {name}"
        if name in TYPES:
            assert found.message_type is not None
            assert found.message_type.full_name == TYPES[name], f"{structure}.{field}"


@pytest.mark.parametrize("enum", ENUMS)
def test_every_enum_value_is_there(enum):
    descriptor, names = ENUMS[enum]
    prefix = descriptor.values[0].name.removesuffix("UNSPECIFIED")
    assert [v.name.removeprefix(prefix).lower() for v in descriptor.values[1:]] == names.split()
    assert descriptor.values[0].number == 0


def test_services_and_calls():
    """Exactly those; so ParticipantService is Execute and Compensate and nothing else."""
    for module, names in CALLS.items():
        (service,) = module.DESCRIPTOR.services_by_name.values()
        assert [m.name for m in service.methods] == names.split()
        for method in service.methods:
            streams = (method.client_streaming, method.server_streaming)
            assert streams == STREAMS.get(method.name, (False, False)), method.full_name


async def _outcome(channel: grpc.aio.Channel, service: ServiceDescriptor, method: MethodDescriptor) -> Any:
    """The error of an empty request; None if it was answered."""
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    codec: dict[str, Any] = {
        "request_serializer": request.SerializeToString,
        "response_deserializer": response.FromString,
    }
    path = f"/{service.full_name}/{method.name}"
    try:
        match method.client_streaming, method.server_streaming:
            case False, False:
                await channel.unary_unary(path, **codec)(request(), timeout=5)
            case False, True:
                await anext(aiter(channel.unary_stream(path, **codec)(request(), timeout=5)))
            case _:
                await anext(aiter(channel.stream_stream(path, **codec)(iter([request()]), timeout=5)), None)
    except grpc.aio.AioRpcError as refused:
        return refused
    return None


async def test_exactly_the_listed_calls_are_unimplemented(tmp_path):
    """UNIMPLEMENTED with our reason, never gRPC's bare one; and what is built is not in the list."""
    refused: set[str] = set()
    async with serve(tmp_path) as s:
        for service in SERVICES:
            for method in service.methods:
                error = await _outcome(s.channel, service, method)
                if error is None or error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    continue
                refused.add(f"{service.name}/{method.name}")
                status = rpc_status.from_call(error)
                assert status is not None, f"{method.full_name}: a bare UNIMPLEMENTED"
                info = error_details_pb2.ErrorInfo()
                assert status.details[0].Unpack(info)
                assert (info.reason, info.domain) == ("NOT_IMPLEMENTED", "swit-saga")
                assert info.metadata["rpc"] == f"{service.name}/{method.name}"
    assert refused == RPCS
