"""A coordinator that is there and does not serve, as without its store: whoever watches is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from swit_saga.health import SERVICE, SERVING, Request, Response
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, event_pb2
from swit_saga_server.cli import reaching
from tests.support.cli.command import run

NOT_SERVING = 2


class Away:
    """A coordinator whose store is away until it was asked ``back_after`` times how it is."""

    def __init__(self, back_after: int) -> None:
        self._left = back_after
        self._back = asyncio.Event()

    async def check(self, request: Any, context: Any) -> Any:
        assert request.service == SERVICE
        self._left -= 1
        if self._left < 0:
            asyncio.get_running_loop().call_later(0.5, self._back.set)
        return Response(status=SERVING if self._left < 0 else NOT_SERVING)

    def __getattr__(self, rpc: str) -> Any:
        return self.check  # Nothing else is called.

    async def WatchSaga(self, request: Any, context: Any) -> AsyncIterator[pb.WatchSagaResponse]:
        if not self._back.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away")
        yield pb.WatchSagaResponse(event=event_pb2.SagaEvent(sequence=1, type="saga.x"))


async def watched(monkeypatch: pytest.MonkeyPatch, back_after: int, *more: str) -> tuple[Any, str]:
    for name in ("FIRST_WORD_S", "NEXT_WORD_S", "SILENT_S"):
        monkeypatch.setattr(reaching, name, 0.3)
    away = Away(back_after)
    server = grpc.aio.server()
    coordinator_service_pb2_grpc.add_CoordinatorServiceServicer_to_server(away, server)  # type: ignore[arg-type]
    health = grpc.unary_unary_rpc_method_handler(away.check, Request.FromString, Response.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health}),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        return await run(monkeypatch, "watch", "o-1", "--address", address, *more), address
    finally:
        await server.stop(None)


async def test_a_watch_says_so_and_goes_on(monkeypatch):
    said, address = await watched(monkeypatch, 2)
    away = f"swit-saga: {address} does not serve: the coordinator's health is NOT_SERVING; trying on"
    assert said.err.splitlines() == [away, away, f"swit-saga: {address} serves again"]
    assert said.code == 0
    assert "saga.x" in said.out


async def test_a_watch_with_a_time_gives_up(monkeypatch):
    said, address = await watched(monkeypatch, 1_000, "--timeout", "500ms")
    last = f"swit-saga: {address} does not serve: the coordinator's health is NOT_SERVING; tried for 500ms (--timeout)"
    assert said.code == 4
    assert said.err.splitlines()[-1] == last
