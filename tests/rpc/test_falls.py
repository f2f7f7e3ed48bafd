"""A call whose path is no UTF-8 ends a ``grpc.aio`` server: it stands up again, at the same port."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import grpc.aio

from swit_saga import Participant
from swit_saga.participant.serving import serve as serve_participant
from swit_saga.standing import StandingServer, is_running
from swit_saga.v1 import participant_stream_service_pb2 as pb
from swit_saga.v1 import participant_stream_service_pb2_grpc
from tests.support.rpc.http2 import request
from tests.support.rpc.serve import ORDER, serve
from tests.support.waiting import eventually

PATHS = (b"/swit_saga.v1.CoordinatorService/GetSaga\xff", b"\xff", b"/\xc3\x28/x")


@contextmanager
def fall(port: int, path: bytes) -> Iterator[None]:
    """Whoever made it fall holds the connection."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(request(path))
        yield


def _stands_again(standing: StandingServer, fallen: grpc.aio.Server) -> bool:
    return standing.server is not fallen


async def test_the_coordinator_goes_on(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(ORDER)
        for n, path in enumerate(PATHS):
            fallen = s.server.standing.server
            with fall(s.server.port, path):
                await eventually(partial(_stands_again, s.server.standing, fallen))
                await s.client.start("order", {}, saga_id=f"s-{n}")
                assert (await s.client.wait(f"s-{n}")).id == f"s-{n}"


async def test_a_participant_goes_on():
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(order: dict[str, str]) -> None: ...

    async with serve_participant(shop, "127.0.0.1:0") as serving:
        for path in PATHS:
            fallen = serving.server.server
            with fall(serving.port, path):
                await eventually(partial(_stands_again, serving.server, fallen))
                async with grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel:
                    stub: Any = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(channel)
                    described = await stub.Describe(pb.DescribeRequest(), wait_for_ready=True, timeout=10)
                    assert [a.name for a in described.actions] == ["reserve"]


async def test_it_waits_for_a_port_that_somebody_else_has_taken():
    falls: list[int] = []
    others: list[socket.socket] = []

    def on_fall() -> None:
        falls.append(standing.port)
        others.append(socket.create_server(("127.0.0.1", standing.port)))

    def make() -> grpc.aio.Server:
        if falls and len(made) == 3:
            others.pop().close()
        made.append(grpc.aio.server(options=[("grpc.so_reuseport", 0)]))
        return made[-1]

    made: list[grpc.aio.Server] = []
    standing = StandingServer(make, "127.0.0.1:0", on_fall)
    await standing.start()
    with fall(standing.port, PATHS[0]):
        await eventually(lambda: standing.server is not made[0])
    assert falls == [standing.port]
    assert len(made) == 4
    assert is_running(standing.server)
    await standing.stop(0)
    await standing.stop(0)
    assert not is_running(standing.server)


PROGRAM = "from swit_saga import Participant\nParticipant('shop').run(listen='127.0.0.1:0')"


def test_a_program_whose_server_fell_ends_when_it_is_asked_to():
    """Also while whoever made it fall holds the connection."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shop:
        assert shop.stdout is not None
        assert shop.stderr is not None
        port = int(shop.stdout.readline().split(b"port ")[1].split(b":")[0])
        with fall(port, PATHS[0]):
            while b"it listens again" not in shop.stderr.readline():
                assert shop.poll() is None
            shop.terminate()
            try:
                assert shop.wait(10) == 0
            finally:
                shop.kill()
