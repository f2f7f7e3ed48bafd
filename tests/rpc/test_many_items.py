"""Tiny items, by the million in a message: what is not answered or read is not begun, and too many are refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc
from swit_saga_server.core.limits import MAX_MESSAGE_ITEMS
from swit_saga_server.engine.patience import YIELD_EVERY
from swit_saga_server.rpc import item_stream
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.item_stream import ItemStream
from swit_saga_server.rpc.start_items import StartItems
from swit_saga_server.rpc.views import Views
from swit_saga_server.rpc.wait_items import WaitItems
from tests.support.rpc.serve import Served, serve
from tests.support.waiting import eventually, turn

KINDS: dict[str, Any] = {"StartSagas": pb.StartSagasRequest, "WaitSagas": pb.WaitSagasRequest}
TOO_MANY = {
    "starts": ("StartSagas", pb.StartSagasRequest(), b"\x0a\x00", "items"),
    "waits": ("WaitSagas", pb.WaitSagasRequest(), b"\x0a\x00", "items"),
    "withdrawn": ("WaitSagas", pb.WaitSagasRequest(), b"\x10\x07", "withdrawn"),
}


def stream_of(s: Served, name: str) -> ItemStream[Any, Any]:
    if name == "StartSagas":
        return StartItems(s.runtime.service.starts, Caller(), lambda: (1, (0,)), 1 << 20)
    return WaitItems(s.runtime.service, Views(s.runtime.service), Caller())


@pytest.mark.parametrize("name", KINDS)
async def test_no_more_of_a_message_is_begun_than_is_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(item_stream, "MAX_OPEN", 10)
    monkeypatch.setattr(item_stream, "MAX_UNREAD", 10)
    request = KINDS[name]()
    for _ in range(1_000):
        request.items.add()
    async with serve(tmp_path) as s:
        stream = stream_of(s, name)
        taking = asyncio.create_task(stream.take(request))
        async with asyncio.timeout(20):
            await eventually(lambda: stream.unread >= YIELD_EVERY)
            await turn(50)
            assert stream.unread == YIELD_EVERY, "nobody has read"
            answered = 0
            while answered < 1_000:
                response = await stream.answers()
                assert response is not None
                answered += len(response.items)
            await taking


async def _no_answers(call: Any) -> None:
    async for response in call:
        assert not response.items


@pytest.mark.parametrize(("name", "request_", "one", "field"), TOO_MANY.values(), ids=TOO_MANY)
async def test_too_many_in_one_message_are_refused_and_none_is_begun(tmp_path, name, request_, one, field):
    request_.MergeFromString(one * (MAX_MESSAGE_ITEMS + 1))

    async def sent() -> AsyncIterator[Any]:
        yield request_

    async with serve(tmp_path) as s:
        stub: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _no_answers(getattr(stub, name)(sent(), timeout=20))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in (refused.value.details() or "")
