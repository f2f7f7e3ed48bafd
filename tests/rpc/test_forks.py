"""Processes that are forked off, programs in a process of their own: this one has gRPC's threads, and must not fork."""

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from swit_saga import AsyncSagaClient, ForkedError, Participant, SagaClient
from swit_saga.forks import Home
from tests.support.rpc.serve import serve

FORK = """
import asyncio, os, signal, sys, traceback
import grpc
from swit_saga import AsyncSagaClient, ForkedError, Participant, SagaClient

address = sys.argv[1]

def forked(child, end=sys.exit):
    "Run it in a process that is forked off, which has 20 s for it and ends as any program does, if not told otherwise."
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        print("child ended with", status, flush=True)
        return
    signal.alarm(20)
    try:
        print("child:", child(), flush=True)
    except ForkedError as refused:
        print("child: ForkedError", refused, flush=True)
    sys.stdout.flush()
    end(0)
"""

SYNC = """
sagas = SagaClient(address)
if {used}:
    print("parent:", len(list(sagas.list())))
def child():
    found = len(list(sagas.list()))
    sagas.close()
    return found
forked(child)
forked(lambda: sagas.close())
forked(lambda: None)
print("parent:", len(list(sagas.list())))
sagas.close()
"""

FRESH = """
sagas = SagaClient(address)
print("parent:", len(list(sagas.list())))
def child():
    with SagaClient(address) as mine:
        return len(list(mine.list()))
forked(child)
forked(child)
print("parent:", len(list(sagas.list())))
sagas.close()
"""

WATCHED = """
sagas = SagaClient(address)
items = sagas.list(page_size=1)
sagas.metrics()
def child():
    items.close()
    return "left"
forked(child)
sagas.close()
"""

ASYNC = """
sagas = AsyncSagaClient(address)
loop = asyncio.new_event_loop()
async def count(of):
    return len([saga async for saga in of.list()])
if {used}:
    print("parent:", loop.run_until_complete(count(sagas)))
def child():
    async def work():
        try:
            return await count(sagas)
        finally:
            await sagas.close()
    return asyncio.run(work())
forked(child)
async def close():
    await sagas.close()
forked(lambda: asyncio.run(close()))
print("parent:", loop.run_until_complete(count(sagas)))
loop.run_until_complete(sagas.close())
loop.close()
"""

ASYNC_FRESH = """
loop = asyncio.new_event_loop()
async def count(of):
    return len([saga async for saga in of.list()])
first = AsyncSagaClient(address)
print("parent:", loop.run_until_complete(count(first)))
def child():
    async def work():
        async with AsyncSagaClient(address) as sagas:
            return await count(sagas)
    return asyncio.run(work())
forked(child)
def plainly():
    with SagaClient(address) as mine:
        return len(list(mine.list()))
forked(plainly)
print("parent:", loop.run_until_complete(count(first)))
loop.run_until_complete(first.close())
forked(child)
loop.close()
"""

CHANNEL = """
async def make():
    return AsyncSagaClient(channel=grpc.aio.insecure_channel(address))
loop = asyncio.new_event_loop()
sagas = loop.run_until_complete(make())
forked(lambda: asyncio.run(sagas.metrics()))
"""

PARTICIPANT = """
from swit_saga.v1.participant_service_pb2_grpc import ParticipantServiceStub
from tests.support.participant.commands import execute
shop = Participant("shop")
shop.step("reserve")(lambda: "held")
async def serve():
    async with shop.serve("127.0.0.1:0") as at, grpc.aio.insecure_channel(f"127.0.0.1:{{at.port}}") as channel:
        return (await ParticipantServiceStub(channel).Execute(execute())).completed.output.text
if {called}:
    print("parent:", asyncio.run(shop.execute(execute())).completed.output.text)
forked(lambda: asyncio.run(serve()))
loop = asyncio.new_event_loop()
context = shop.serve("127.0.0.1:0")
loop.run_until_complete(context.__aenter__())
forked(lambda: asyncio.run(serve()))
loop.run_until_complete(context.__aexit__(None, None, None))
loop.close()
"""

EMBEDDED = """
# The child ends as those of multiprocessing do: else asyncio itself would take the loop apart that both have.
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
config = SagaConfig.load(overrides={"storage": {"connection": sys.argv[2]}})
loop = asyncio.new_event_loop()
context = Coordinator.open(config)
coordinator = loop.run_until_complete(context.__aenter__())
forked(lambda: asyncio.run(coordinator.metrics()), os._exit)
forked(lambda: asyncio.run(coordinator.health()), os._exit)
forked(lambda: asyncio.run(coordinator.close()), os._exit)
forked(lambda: asyncio.run(context.__aexit__(None, None, None)), os._exit)
print("parent:", loop.run_until_complete(coordinator.metrics()).total_sagas)
loop.run_until_complete(context.__aexit__(None, None, None))
loop.close()
"""

DONE = "child ended with 0"


async def run(program: str, *arguments: str) -> list[str]:
    """What it prints, line by line; it prints nothing else."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORK + program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # gRPC tells of a fork under its threads' feet; that is the parent's affair.
    told = [line for line in err.decode().splitlines() if "fork_posix.cc" not in line]
    assert (process.returncode, told) == (0, []), out.decode()
    return [line for line in out.decode().splitlines() if line.startswith(("child", "parent"))]


@pytest.fixture
async def address(tmp_path):
    async with serve(tmp_path) as served:
        yield served.address


async def test_a_client_that_was_only_made_before_the_fork_works_on_both_sides(address):
    closed = ["child: None", DONE] * 2
    assert await run(SYNC.format(used=False), address) == ["child: 0", DONE, *closed, "parent: 0"]


async def test_a_client_that_was_used_before_the_fork_raises_at_once_and_the_parent_goes_on(address):
    said = await run(SYNC.format(used=True), address)
    refused = "child: ForkedError this client was used before this process was forked off; make another one in here"
    assert said == ["parent: 0", refused, DONE, *["child: None", DONE] * 2, "parent: 0"]


async def test_a_new_client_in_the_child_works_beside_one_that_is_used_in_the_parent(address):
    assert await run(FRESH, address) == ["parent: 0", *["child: 0", DONE] * 2, "parent: 0"]


async def test_an_iterator_that_is_left_in_the_child(address):
    assert await run(WATCHED, address) == ["child: left", DONE]


async def test_an_async_client_that_was_only_made_before_the_fork(address):
    said = await run(ASYNC.format(used=False), address)
    assert said == ["child: 0", DONE, "child: None", DONE, "parent: 0"]


async def test_an_async_client_that_was_used_before_the_fork(address):
    said = await run(ASYNC.format(used=True), address)
    assert said[0] == "parent: 0"
    assert said[1].startswith("child: ForkedError this client was used before")
    assert said[2:] == [DONE, "child: None", DONE, "parent: 0"]


async def test_a_new_async_client_where_grpc_was_used_with_asyncio(address):
    said = await run(ASYNC_FRESH, address)
    for line in (said.pop(1), said.pop(-2)):
        assert line.startswith("child: ForkedError gRPC was used with asyncio before")
    assert said == ["parent: 0", DONE, "child: 0", DONE, "parent: 0", DONE]


async def test_an_async_client_over_a_channel_that_was_made_before_the_fork(address):
    said = await run(CHANNEL, address)
    assert said[0].startswith("child: ForkedError this client was used before")
    assert said[1:] == [DONE]


@pytest.mark.parametrize("called", [False, True])
async def test_a_participant_serves_in_the_child_unless_the_parent_does(called):
    said = await run(PARTICIPANT.format(called=called), "")
    if called:
        assert said.pop(0) == "parent: held"
    assert said[:2] == ["child: held", DONE]
    assert said[2].startswith("child: ForkedError gRPC was used with asyncio")
    assert said[3:] == [DONE]


async def test_an_embedded_coordinator_is_its_parents(tmp_path: Path):
    said = await run(EMBEDDED, "", str(tmp_path / "saga.db"))
    for line in (said[0], said[2]):
        assert line.startswith("child: ForkedError this coordinator")
    assert said[1::2][:4] == [DONE] * 4
    assert said[4] == "child: None"
    assert said[6].startswith("child:")
    assert said[8:] == ["parent: 0"]


def test_what_belongs_to_the_process_that_uses_it_first(monkeypatch):
    home = Home()
    assert not home.is_elsewhere
    home.enter("it")
    home.enter("it")
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert home.is_elsewhere
    with pytest.raises(ForkedError, match="it was used before"):
        home.enter("it")


@pytest.mark.parametrize("make", [lambda: SagaClient("a:1"), lambda: AsyncSagaClient("a:1"), lambda: Participant("p")])
@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_nothing_that_is_open_is_sent_to_another_process(make, send):
    with pytest.raises(TypeError, match="to another process; make"):
        send(make())


def test_an_error_of_a_fork_is_sent():
    error = pickle.loads(pickle.dumps(ForkedError("it was used")))
    assert isinstance(error, ForkedError)
    assert str(error) == "it was used"


async def test_many_threads_make_the_first_call_at_once(tmp_path):
    async with serve(tmp_path) as served:
        sagas = SagaClient(served.address)
        together = threading.Barrier(16)

        def call() -> int:
            together.wait()
            return sum(1 for _ in sagas.list())

        loop = asyncio.get_running_loop()
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(16) as pool:
            counts = await asyncio.gather(*(loop.run_in_executor(pool, call) for _ in range(16)))
            assert counts == [0] * 16
            assert sum(t.name == "swit-saga" for t in threading.enumerate()) == 1
            await asyncio.to_thread(sagas.close)
