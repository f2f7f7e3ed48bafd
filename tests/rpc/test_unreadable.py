"""Bytes that are no request, and calls that are none: each is refused in words, and nobody's log is filled."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga_server.rpc.serving import SERVICES, is_refused
from tests.support.logs import logged
from tests.support.rpc.serve import ORDER, Served, serve

METHODS = [m for s in SERVICES for m in s.methods]
BYTES = {
    "a field's tag only": b"\x0a",
    "no tag": b"\x8a",
    "longer than it is": b"\x0a\x7fx",
    "text that is no UTF-8": b"\x0a\x02\xff\xfe",
    "an endless group": b"\x0b" * 200,
    "noise": bytes(range(256)),
}


async def said(s: Served, name: str, kind: str, *messages: bytes, within_s: float = 10) -> grpc.aio.AioRpcError | None:
    """What a call of these bytes ends with; None if it ends well."""
    call: Any = getattr(s.channel, kind)(name)
    try:
        if kind.startswith("stream"):
            started = call(timeout=within_s)
            for message in messages:
                await started.write(message)
            await started.done_writing()
        else:
            started = call(*messages, timeout=within_s)
        if kind.endswith("stream"):
            async for _ in started:
                pass
        else:
            await started
    except grpc.aio.AioRpcError as failed:
        return failed
    return None


def reads(method: MethodDescriptor, data: bytes) -> bool:
    """Whether protobuf takes it: for a message without fields everything is a field of later."""
    try:
        GetMessageClass(method.input_type).FromString(data)
    except DecodeError:
        return False
    return True


def kind_of(method: MethodDescriptor) -> str:
    return f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"


def name_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
async def test_bytes_that_are_no_request_are_refused_in_words(tmp_path, method):
    async with serve(tmp_path) as s:
        with logged() as logs:
            sent = [data for data in BYTES.values() if not reads(method, data)]
            for data in sent:
                failed = await said(s, name_of(method), kind_of(method), data)
                assert failed is not None
                status = rpc_status.from_call(failed)  # type: ignore[arg-type] # it has all that is asked of it
                assert status is not None
                info = error_details_pb2.ErrorInfo()
                status.details[0].Unpack(info)
                expected = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
                if is_refused(method):
                    expected = (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
                assert (failed.code(), info.reason) == expected
        assert [line for line in logs if line["level"] != "debug"] == []
        assert len(logs) == (0 if is_refused(method) else len(sent))


async def test_what_came_before_on_a_stream_is_still_answered(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(ORDER)
        start = pb.StartSagaRequest(saga_id="o-1", definition_id="order")
        good = pb.StartSagasRequest(items=[pb.StartSagasRequest.Item(item_id=1, start=start)]).SerializeToString()
        call: Any = s.channel.stream_stream("/swit_saga.v1.CoordinatorService/StartSagas")()
        await call.write(good)
        await call.write(b"\x0a")
        answered = pb.StartSagasResponse.FromString(await call.read())
        assert [(item.item_id, item.saga.id) for item in answered.items] == [(1, "o-1")]
        with pytest.raises(grpc.aio.AioRpcError, match="cannot be read"):
            await call.read()
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("name", "kind", "messages"),
    [
        ("/swit_saga.v1.CoordinatorService/Nope", "unary_unary", [b""]),
        ("/nope.v1.Nope/GetSaga", "unary_unary", [b""]),
        ("/", "unary_unary", [b""]),
        ("/swit_saga.v1.CoordinatorService/GetSaga", "stream_unary", []),
        ("/swit_saga.v1.CoordinatorService/GetSaga", "stream_unary", [b"", b""]),
        ("/swit_saga.v1.CoordinatorService/StartSaga", "stream_unary", []),
        ("/swit_saga.v1.CoordinatorService/WatchSaga", "stream_stream", []),
        ("/swit_saga.v1.CoordinatorService/GetSaga", "unary_stream", [b""]),
        ("/swit_saga.v1.CoordinatorService/WatchSaga", "unary_unary", [b""]),
        ("/swit_saga.v1.CoordinatorService/StartSagas", "unary_unary", [b"\x0a"]),
        ("/swit_saga.v1.CoordinatorService/GetSaga", "unary_unary", [b"\x0a" * 5_000_000]),
        ("/grpc.health.v1.Health/Check", "unary_unary", [b"\x0a"]),
        ("/grpc.health.v1.Health/Watch", "unary_stream", [b"\x0a"]),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "stream_stream", [b"\x0a"]),
    ],
)
async def test_calls_that_are_none_never_look_like_our_own_mistake(tmp_path, name, kind, messages):
    async with serve(tmp_path) as s:
        with logged() as logs:
            failed = await said(s, name, kind, *messages, within_s=0.5)
        assert failed is not None
        assert failed.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), failed
        assert [line for line in logs if line["level"] not in ("debug", "info")] == []


async def test_too_much_metadata_is_refused(tmp_path):
    async with serve(tmp_path) as s:
        call: Any = s.channel.unary_unary("/swit_saga.v1.CoordinatorService/GetSaga")
        for metadata in ([("x", "y" * 100_000)], [(f"x-{n}", "y" * 100) for n in range(2_000)]):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(pb.GetSagaRequest(saga_id="x").SerializeToString(), metadata=metadata, timeout=10)
            assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("count", [2_000])
async def test_many_calls_at_the_same_time_are_all_served(tmp_path, count):
    async with serve(tmp_path) as s:
        await s.client.start(ORDER, {}, saga_id="o-1")
        call: Any = s.channel.unary_unary("/swit_saga.v1.CoordinatorService/GetSaga")
        request = pb.GetSagaRequest(saga_id="o-1", view=pb.SAGA_VIEW_HEAD).SerializeToString()
        answers = await asyncio.gather(*(call(request, timeout=30) for _ in range(count)))
        assert {pb.GetSagaResponse.FromString(a).saga.id for a in answers} == {"o-1"}
