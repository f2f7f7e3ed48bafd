"""Callers leave when they like, however gRPC puts it: that is no error of anybody's, and no line in the log."""

import asyncio
from typing import Any

import grpc.aio
import pytest

from swit_saga import Saga, Step
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc
from swit_saga_server.core.errors import SagaNotFound
from swit_saga_server.rpc.serving import CallerLeft, receive, refuse, send
from tests.support.logs import logged
from tests.support.rpc.serve import serve

BROKEN = [
    grpc.aio.UsageError("RPC already finished."),
    grpc.aio.InternalError("write failed"),
    asyncio.InvalidStateError("RPC is done"),
    grpc.RpcError("broken"),
    RuntimeError("ExecuteBatchError"),
]


class Gone:
    """A call whose caller has left."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def write(self, message: Any) -> None:
        raise self.error

    async def read(self) -> Any:
        raise self.error

    async def abort_with_status(self, status: Any) -> None:
        raise self.error


@pytest.mark.parametrize("error", BROKEN, ids=repr)
async def test_whatever_grpc_says(error):
    gone: Any = Gone(error)
    with logged() as lines:
        for call in (send(gone, pb.WatchSagaResponse()), receive(gone)):
            with pytest.raises(CallerLeft):
                await call
        for said in (CallerLeft(), SagaNotFound("no")):
            with pytest.raises(asyncio.CancelledError):
                await refuse(gone, said)
    assert {line["level"] for line in lines} == {"debug"}


async def test_watchers_and_waiters_by_the_hundred(tmp_path):
    async with serve(tmp_path) as s:
        handle = await s.client.start(Saga("slow", [Step("reserve", "shop", delay="1h")]), {})
        stub: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)

        async def watch(number: int) -> None:
            call = stub.WatchSaga(pb.WatchSagaRequest(saga_id=handle.id if number % 3 else "nobody"))
            if number % 2:
                await asyncio.wait([asyncio.ensure_future(call.read())])
            call.cancel()

        async def wait(number: int) -> None:
            call = stub.WaitSagas()
            await call.write(pb.WaitSagasRequest(items=[pb.WaitSagasRequest.Item(item_id=1)]))
            call.cancel()

        with logged() as ours, logged("grpc") as theirs:
            await asyncio.gather(*(watch(n) for n in range(100)), *(wait(n) for n in range(100)))
        assert [line for line in (*ours, *theirs) if line["level"] != "debug"] == []
