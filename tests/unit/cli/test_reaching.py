"""A coordinator that is not there, or does not answer: people are told soon, and what was typed is tried on."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from swit_saga.connecting import why
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, event_pb2, saga_pb2
from swit_saga_server.cli import reaching, screen
from tests.support.cli.command import Said, run
from tests.support.rpc.fake import GOT, Fake
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(reaching, "FIRST_WORD_S", 0.2)
    monkeypatch.setattr(reaching, "NEXT_WORD_S", 0.3)
    monkeypatch.setattr(reaching, "SILENT_S", 0.3)


@pytest.fixture
def port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def coordinator(port: int, fake: Fake) -> AsyncIterator[None]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    coordinator_service_pb2_grpc.add_CoordinatorServiceServicer_to_server(fake, server)  # type: ignore[arg-type]
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def event(sequence: int) -> pb.WatchSagaResponse:
    return pb.WatchSagaResponse(event=event_pb2.SagaEvent(sequence=sequence, type="saga.x"))


@pytest.mark.parametrize(
    "words",
    [("get", "o"), ("list",), ("cancel", "o"), ("start", "d"), ("start", "d", "--wait"), ("watch", "o")],
    ids=" ".join,
)
async def test_nobody_there(monkeypatch, port, words):
    began = time.monotonic()
    said = await run(monkeypatch, *words, "--address", f"127.0.0.1:{port}", "--timeout", "700ms")
    first, *_, last = said.err.splitlines()
    assert (said.code, said.out) == (4, "")
    assert first == f"swit-saga: cannot reach 127.0.0.1:{port} yet; trying for 700ms (--timeout)"
    assert last.startswith(f"swit-saga: cannot reach 127.0.0.1:{port}")
    assert "tried for 700ms (--timeout)" in last
    assert ("--id " in last) == (words[0] == "start"), "whoever does not know whether it began can ask for this saga"
    assert time.monotonic() - began < 5


async def test_a_start_that_was_not_answered_says_which_saga_it_may_have_begun(monkeypatch, port):
    fake = Fake(None)
    async with coordinator(port, fake):
        said = await run(monkeypatch, "start", "d", "--address", f"127.0.0.1:{port}", "--timeout", "600ms")
    saga_id = fake.requests[0].saga_id
    silent, last = said.err.splitlines()
    assert silent == f"swit-saga: 127.0.0.1:{port} has not answered yet; trying for 600ms (--timeout)"
    assert last.endswith(f"it may have begun: the same command with --id {saga_id} starts it once")
    assert said.code == 4


async def test_one_that_comes_late_is_found(monkeypatch, port, capsys):
    spoken, loop, note = asyncio.Event(), asyncio.get_running_loop(), screen.note

    def noted(text: str) -> None:
        loop.call_soon_threadsafe(spoken.set)
        note(text)

    monkeypatch.setattr(reaching, "note", noted)
    said = asyncio.create_task(run(monkeypatch, "get", "o-1", "--address", f"127.0.0.1:{port}"))
    await spoken.wait()
    async with coordinator(port, Fake(GOT)):
        found: Said = await said
    first, *others = found.err.splitlines()
    assert first == f"swit-saga: cannot reach 127.0.0.1:{port} yet; trying for 30s (--timeout)"
    assert f"swit-saga: connected to 127.0.0.1:{port}" in others
    assert (found.code, "o-1" in found.out) == (0, True)


async def test_a_watch_says_that_it_reconnects_and_goes_on(monkeypatch, port):
    first, then = Fake([event(1), None]), Fake([event(2)])
    async with coordinator(port, first):
        said = asyncio.create_task(run(monkeypatch, "watch", "o-1", "--address", f"127.0.0.1:{port}"))
        async with asyncio.timeout(10):
            await eventually(lambda: bool(first.requests))
        await asyncio.wait([said], timeout=0.5)  # Until it has seen that it is connected.
    await asyncio.wait([said], timeout=0.7)
    async with coordinator(port, then):
        found: Said = await said
    assert (found.code, [line.split()[0] for line in found.out.splitlines()]) == (0, ["1", "2"])
    *lines, back = found.err.splitlines()
    lost = f"swit-saga: lost the connection to 127.0.0.1:{port}; reconnecting; trying on (Ctrl-C ends this)"
    assert lost in lines
    assert back == f"swit-saga: connected to 127.0.0.1:{port}"
    assert then.requests[0].after_sequence == 1


class Patient(Fake):
    """Answers a wait when the test says so."""

    def __init__(self, *answers: object) -> None:
        super().__init__(*answers)
        self.waited, self.done = asyncio.Event(), asyncio.Event()

    async def WaitSaga(self, request: pb.WaitSagaRequest, context: object) -> pb.WaitSagaResponse:
        self.waited.set()
        await self.done.wait()
        return pb.WaitSagaResponse(saga=saga_pb2.Saga(id="o-1", state=saga_pb2.SAGA_STATE_COMPLETED), done=True)


async def test_a_wait_is_silent_while_the_saga_runs(monkeypatch, port):
    """Only the connection is spoken of: that a saga takes its time is nothing to tell."""
    fake = Patient(pb.StartSagaResponse(saga=saga_pb2.Saga(id="o-1"), created=True))
    async with coordinator(port, fake):
        said = asyncio.create_task(run(monkeypatch, "start", "d", "--wait", "--address", f"127.0.0.1:{port}"))
        async with asyncio.timeout(10):
            await fake.waited.wait()
        await asyncio.wait([said], timeout=0.7)
        fake.done.set()
        found: Said = await said
    assert (found.code, found.err) == (0, "")


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ("ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused", "nothing listens there"),
        ("errors resolving x: [field:hostname lookup error: Domain name not found]", "there is no such host"),
        ("unix:/x: connect failed: No such file or directory", "there is no such socket"),
        ("Failed to connect to remote host: Timeout occurred: FD Shutdown", "it did not answer in time"),
        ("recvmsg:Connection reset by peer", "the connection broke"),
        ("something of gRPC's own", "no connection"),
    ],
)
def test_why_there_is_no_connection(details, words):
    assert why(details).startswith(words)
