"""``Participant.run``: what ends it is a signal, and nothing that a handler leaves behind."""

import os
import signal
import subprocess
import sys

import grpc
import pytest

from swit_saga.participant.failures import is_signalled
from swit_saga.v1.participant_service_pb2_grpc import ParticipantServiceStub
from tests.support.participant.commands import CODECS, execute

PROGRAM = """
import asyncio, multiprocessing, os, sys, threading
from swit_saga import Participant
from swit_saga.participant import serving
serving.DRAIN_S = 0.3
shop = Participant("shop")
left = []

async def exits():
    sys.exit(3)

def interrupts():
    raise KeyboardInterrupt

@shop.step("leave")
async def leave(what: str) -> str:
    loop = asyncio.get_running_loop()
    left.append(loop.create_task(exits()) if what == "task" else loop.call_soon(interrupts))
    return "left"

@shop.step("wait")
async def wait() -> None:
    print("waiting", flush=True)
    await asyncio.Event().wait()

@shop.step("stop")
async def stop(_: str) -> str:
    asyncio.get_running_loop().stop()
    return "stopped the loop"

@shop.step("stuck")
def stuck() -> None:
    print("waiting", flush=True)
    threading.Event().wait()

@shop.step("child")
def child(how: str) -> int:
    pid = os.fork()
    if pid == 0:
        return branch(how)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

@shop.step("async child")
async def async_child(how: str) -> int:
    pid = os.fork()
    if pid == 0:
        if how == "goes on":
            await asyncio.sleep(0)
        return branch(how)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def branch(how):
    match how:
        case "exits":
            sys.exit(7)
        case "raises":
            raise ValueError("in the child")
    return 5

@shop.step("terminate")
def terminate() -> str:
    child = multiprocessing.get_context("fork").Process(target=threading.Event().wait)
    child.start()
    child.terminate()
    child.join(10)
    ended = child.exitcode is not None
    child.kill()
    return "ended" if ended else "goes on"

shop.run("127.0.0.1:0")
print("stopped", flush=True)
"""


@pytest.fixture
def running():
    # What gRPC itself does in a child may crash it.
    env = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "false"}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=-1, stderr=-1, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            with grpc.insecure_channel(f"127.0.0.1:{said.split('port ')[1].split(':')[0]}") as channel:
                yield process, ParticipantServiceStub(channel)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_handlers_leave_behind_does_not_end_it_and_a_signal_does(running, number):
    process, stub = running
    for turn in range(2):
        for what in ("task", "callback"):
            answer = stub.Execute(execute("leave", what, key=f"{turn}{what}"), timeout=20)
            assert CODECS.decode(answer.completed.output) == "left"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "stopped\n")
    assert err.count("serving goes on") == 4


def test_a_second_signal_ends_the_wait_for_what_runs(running):
    process, stub = running
    asked = stub.Execute.future(execute("wait"), timeout=20)
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    # It is taken once the port is shut; asked again and again, for nothing says when that is.
    for _ in range(100):
        try:
            process.wait(0.1)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    assert process.returncode not in (0, None)
    assert asked.exception() is not None


def test_a_handler_that_stops_the_event_loop_stops_nothing(running):
    process, stub = running
    for turn in range(2):
        answer = stub.Execute(execute("stop", "it", key=str(turn)), timeout=20)
        assert CODECS.decode(answer.completed.output) == "stopped the loop"
    assert process.poll() is None


def test_a_plain_handler_that_never_returns_keeps_it_from_ending_for_as_long_as_is_drained(running):
    process, stub = running
    asked = stub.Execute.future(execute("stuck"), timeout=20)
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (0, "stopped\n")
    assert "1 handlers still ran" in err
    assert asked.exception() is not None


@pytest.mark.parametrize(
    ("action", "how", "code"),
    [
        *[
            (action, *how)
            for action in ("child", "async child")
            for how in (("exits", 7), ("raises", 1), ("returns", 0))
        ],
        ("async child", "goes on", 1),
    ],
)
def test_a_child_that_a_handler_forks_off_serves_nothing(running, action, how, code):
    """It is a copy of this program, on the same connections."""
    _, stub = running
    for turn in range(2):
        answer = stub.Execute(execute(action, how, key=str(turn)), timeout=20)
        assert CODECS.decode(answer.completed.output) == code


def test_a_child_can_be_terminated_and_that_is_no_signal_to_its_parent(running):
    process, stub = running
    for turn in range(3):
        answer = stub.Execute(execute("terminate", key=str(turn)), timeout=20)
        assert CODECS.decode(answer.completed.output) == "ended"
    assert process.poll() is None


def test_a_signal_is_told_from_what_code_raises():
    def raised(function):
        try:
            function()
        except BaseException as error:
            return error
        raise AssertionError

    def exits(*_: object) -> None:
        sys.exit(3)

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        assert False, "never reached"  # noqa: B011, PT015

    def ended() -> None:
        signal.raise_signal(signal.SIGUSR1)

    def raises() -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGUSR1, exits)
    try:
        assert is_signalled(raised(interrupted))
        assert is_signalled(raised(ended))
        assert not is_signalled(raised(raises))
        assert not is_signalled(raised(lambda: sys.exit(3)))
        assert not is_signalled(raised(lambda: 1 / 0))
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_ctrl_c_while_a_handler_runs_in_the_programs_own_loop():
    program = """
import asyncio, signal
from swit_saga import Participant
from tests.support.participant.commands import execute
shop = Participant("shop")
@shop.step("reserve")
async def reserve() -> None:
    signal.raise_signal(signal.SIGINT)
    for _ in range(10): pass
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(shop.execute(execute()))
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "interrupted\n"
