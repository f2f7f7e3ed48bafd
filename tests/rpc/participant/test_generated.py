"""A participant written straight from the generated servicer: tiny, and taken as it should be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import grpc_testing
import pytest

from swit_saga import Payload, Saga, Step, fixed
from swit_saga.v1 import command_pb2, error_pb2, participant_service_pb2
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga.v1.participant_service_pb2_grpc import (
    ParticipantServiceServicer,
    add_ParticipantServiceServicer_to_server,
)
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.participant.commands import compensate, execute

SERVICE = participant_service_pb2.DESCRIPTOR.services_by_name["ParticipantService"]


class Shop(ParticipantServiceServicer):
    """What a user writes, sync."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def Execute(self, request: ExecuteRequest, context: grpc.ServicerContext) -> ExecuteResponse:
        self.calls.append(request.command.action)
        match request.command.action:
            case "reserve":
                output = Payload(content_type="text/plain", text=f"held {request.input.text}")
                return ExecuteResponse(completed=command_pb2.Completed(output=output))
            case "reject":
                error = error_pb2.SagaError(code="OUT_OF_STOCK", message="nothing left")
                return ExecuteResponse(rejected=command_pb2.Rejected(error=error))
            case "abort":
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "closed today")
            case "dance":
                raise KeyError(request.command.action)
        return ExecuteResponse()

    def Compensate(self, request: CompensateRequest, context: grpc.ServicerContext) -> CompensateResponse:
        self.calls.append(f"undo {request.command.action}")
        return CompensateResponse(completed=command_pb2.Completed())


def call(method: str, request: Any) -> tuple[Any, grpc.StatusCode, str]:
    server = grpc_testing.server_from_dictionary({SERVICE: Shop()}, grpc_testing.strict_real_time())
    rpc = server.invoke_unary_unary(SERVICE.methods_by_name[method], (), request, timeout=5)
    response, _, code, details = rpc.termination()
    return response, code, details


def test_aborted():
    _, code, details = call("Execute", execute("abort"))
    assert (code, details) == (grpc.StatusCode.FAILED_PRECONDITION, "closed today")


def test_raised():
    _, code, _ = call("Execute", execute("dance"))
    assert code is grpc.StatusCode.UNKNOWN


def test_rejected():
    response, code, _ = call("Execute", execute("reject"))
    assert (response.rejected.error.code, code) == ("OUT_OF_STOCK", grpc.StatusCode.OK)


def test_completed():
    response, code, _ = call("Execute", execute("reserve", "a"))
    assert (response.completed.output.text, code) == ("held a", grpc.StatusCode.OK)
    response, code, _ = call("Compensate", compensate())
    assert (response.WhichOneof("answer"), code) == ("completed", grpc.StatusCode.OK)


@contextmanager
def listening(shop: Shop) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(4))
    add_ParticipantServiceServicer_to_server(shop, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("stream", [True, False], ids=["asked for the stream", "calls"])
@pytest.mark.parametrize(
    ("action", "outcome", "calls", "code"),
    [
        ("reserve", "completed", ["reserve", "reserve"], ""),
        ("reject", "compensated", ["reserve", "reject", "undo reserve"], "OUT_OF_STOCK"),
        ("abort", "compensated", ["reserve", "abort", "undo reserve"], "FAILED_PRECONDITION"),
        # Unknown: tried again, and then undone, for it may have happened.
        ("empty", "compensated", ["reserve", "empty", "empty", "undo empty", "undo reserve"], ""),
    ],
)
async def test_as_a_coordinator_takes_it(tmp_path, stream, action, outcome, calls, code):
    shop = Shop()
    steps = [Step("one", "shop", "reserve"), Step("two", "shop", action, timeout="200ms")]
    saga = Saga("s", steps, retry=fixed("10ms", max_attempts=2))
    with listening(shop) as port:
        config = SagaConfig.load(
            overrides={
                "storage": {"connection": str(tmp_path / "saga.db")},
                "participants": {"shop": {"address": f"127.0.0.1:{port}", "stream": stream}},
            }
        )
        async with Coordinator.open(config) as coordinator:
            found = await (await coordinator.start(saga, "apple")).wait(timeout="15s")
    assert (found.state, shop.calls) == (outcome, calls)
    if code:
        assert found.error is not None
        assert found.error.code == code
