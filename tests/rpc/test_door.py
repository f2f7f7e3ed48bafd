"""The door, whichever way one comes: a call of its own, an item of a stream, a coordinator in the same process."""

from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from swit_saga import InvalidRequestError
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, definition_service_pb2
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.rpc.serving import SERVICES, is_refused
from tests.support.rpc.serve import Served, config, serve
from tests.support.wire.places import Place, places, refused, taken

METHODS = [m for s in SERVICES for m in s.methods if not is_refused(m)]
ALONE = [m for m in METHODS if not m.client_streaming]
FINE = {0, code_pb2.NOT_FOUND, code_pb2.OUT_OF_RANGE, code_pb2.ALREADY_EXISTS}
NOT_BY_BOUNDS = {"order_by", "page_token", "definition_id", "definition", "definition.steps[0].participant"}
"""Within the bounds there may still be no such order, page, participant or action; and a start has one definition."""
Violations = list[tuple[str, str]]


def call_of(s: Served, method: MethodDescriptor) -> Any:
    """A call by the wire alone, answered by whatever comes."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    make = s.channel.unary_stream if method.server_streaming else s.channel.unary_unary
    return make(name, request_serializer=lambda m: m.SerializeToString(), response_deserializer=lambda data: data)


async def status_of(s: Served, method: MethodDescriptor, request: Any) -> status_pb2.Status | None:
    """What the call is refused with; None if it is not."""
    try:
        if method.server_streaming:
            async for _ in call_of(s, method)(request, timeout=10):
                break
        else:
            await call_of(s, method)(request, timeout=10)
    except grpc.aio.AioRpcError as failed:
        return rpc_status.from_call(failed)  # type: ignore[arg-type] # it has all that is asked of it
    return None


def violations_of(status: Any) -> Violations:
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(bad)
    return [(v.field, v.description) for v in bad.field_violations]


def whole(message: Any) -> None:
    """Each message on the way to a place has what it must have, so that nothing else is wrong."""
    match message.DESCRIPTOR.name:
        case "SagaDefinition":
            message.id = "d"
            message.steps.add(id="s", participant="shop", action="reserve")
        case "StepDefinition":
            message.id, message.participant, message.action = "s", "shop", "reserve"
        case "Payload":
            message.content_type = "text/plain"
        case "RetryPolicy":
            message.initial_delay.SetInParent()
        case "DisableDefinitionRequest" | "GetDefinitionRequest":
            message.definition_id, message.version = "d", 1
        case name if "saga_id" in message.DESCRIPTOR.fields_by_name and name != "SagaFilter":
            message.saga_id = "s"


def can_be_sent(request: Message) -> bool:
    """Whether protobuf itself reads it: it has a limit of its own to how deep messages lie, also as items."""
    try:
        type(request).FromString(request.SerializeToString())
        if isinstance(request, pb.StartSagaRequest):
            items = pb.StartSagasRequest(items=[pb.StartSagasRequest.Item(start=request)])
            pb.StartSagasRequest.FromString(items.SerializeToString())
    except DecodeError:
        return False
    return True


def asked_outside(request: Descriptor) -> Iterator[tuple[Place, Any]]:
    """A request for each value that is just outside the bounds."""
    for place in places(request):
        for value in refused(place) if place.rule.check else ():
            made = place.request_with(value, whole)
            if can_be_sent(made):
                yield place, made


async def test_a_start_is_refused_alike_by_itself_as_an_item_and_in_process(tmp_path):
    start = next(m for m in METHODS if m.name == "StartSaga")
    asked = list(asked_outside(pb.StartSagaRequest.DESCRIPTOR))
    assert len(asked) > 300
    (tmp_path / "embedded").mkdir()
    async with serve(tmp_path) as s, Coordinator.open(config(tmp_path / "embedded")) as embedded:
        stream: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel).StartSagas()
        items = [pb.StartSagasRequest.Item(item_id=n, start=request) for n, (_, request) in enumerate(asked)]
        found: dict[int, Any] = {}
        for n in range(0, len(items), 100):
            await stream.write(pb.StartSagasRequest(items=items[n : n + 100]))
            while len(found) < min(n + 100, len(items)):
                found |= {item.item_id: item.status for item in (await stream.read()).items}
        await stream.done_writing()
        for n, (place, request) in enumerate(asked):
            alone = await status_of(s, start, request)
            assert alone is not None, (place, request)
            assert alone.code == code_pb2.INVALID_ARGUMENT
            assert any(at.startswith(place.path) for at, _ in violations_of(alone)), place
            assert (found[n].code, violations_of(found[n])) == (alone.code, violations_of(alone)), place
            if request.HasField("definition") and place.path.startswith("definition"):
                with pytest.raises(InvalidRequestError) as within:
                    await embedded.start(request.definition)
                assert list(within.value.violations) == violations_of(alone), place
        assert not [saga async for saga in s.client.list()]


@pytest.mark.parametrize("method", [m for m in ALONE if m.name != "StartSaga"], ids=lambda m: m.name)
async def test_every_call_refuses_what_is_just_outside_the_bounds(tmp_path, method):
    async with serve(tmp_path) as s:
        for place, request in asked_outside(method.input_type):
            if method.name == "ValidateDefinition":
                answer = definition_service_pb2.ValidateDefinitionResponse.FromString(await call_of(s, method)(request))
                found = [v.field for v in answer.violations]
            else:
                status = await status_of(s, method, request)
                assert status is not None, (place, request)
                assert status.code == code_pb2.INVALID_ARGUMENT
                found = [at for at, _ in violations_of(status)]
            path = place.path.removeprefix("definition.") if "Definition" in method.name else place.path
            assert [at for at in found if at.startswith(path)], (place, request, found)


@pytest.mark.parametrize("method", [m for m in ALONE if m.name != "RegisterDefinition"], ids=lambda m: m.name)
async def test_no_call_breaks_on_what_is_just_within_the_bounds(tmp_path, method):
    async with serve(tmp_path) as s:
        for place in places(method.input_type):
            for value in taken(place):
                status = await status_of(s, method, place.request_with(value, whole))
                at = [field for field, _ in violations_of(status)] if status is not None else []
                assert (status.code if status else 0) in FINE or set(at) <= NOT_BY_BOUNDS, (place, status)
