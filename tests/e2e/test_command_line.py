"""The command as a process: Ctrl-C, readers that go away, terminals of few words."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import event_pb2
from tests.support.cli.hostile import HOSTILE, LONG_ID, hostile
from tests.support.rpc.fake import Fake, faking

pytestmark = pytest.mark.e2e
PROGRAM = (sys.executable, "-m", "swit_saga")
EVENT = pb.WatchSagaResponse(event=event_pb2.SagaEvent(sequence=1, type="saga.started"))


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: bytes
    err: bytes


async def begin(*words: str, **how: Any) -> asyncio.subprocess.Process:
    env = {**os.environ, **how.pop("env", {})}
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *words, env=env, stdout=how.pop("stdout", asyncio.subprocess.PIPE), stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> Ended:
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out or b"", err)


async def test_ctrl_c_ends_a_watch_and_a_try_to_connect():
    fake = Fake([EVENT, None])
    async with faking(fake):
        watching = await begin("watch", "o-1", "--address", fake.address)
        assert watching.stdout is not None
        assert b"saga.started" in await watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert await end(watching) == Ended(130, b"", b"")
    trying = await begin("get", "o-1", "--address", "127.0.0.1:1")
    assert trying.stderr is not None
    assert b"cannot reach" in await trying.stderr.readline()
    trying.send_signal(signal.SIGINT)
    assert await end(trying) == Ended(130, b"", b"")


async def test_only_our_own_words_when_a_coordinator_goes():
    """gRPC logs to standard error by itself."""
    fake = Fake([EVENT, None])
    async with faking(fake):
        watching = await begin("watch", "o-1", "--address", fake.address)
        assert watching.stdout is not None
        await watching.stdout.readline()
    assert watching.stderr is not None
    async with asyncio.timeout(20):
        said = await watching.stderr.readline()
    assert said.startswith(b"swit-saga: lost the connection to 127.0.0.1:"), said
    watching.send_signal(signal.SIGINT)
    assert await end(watching) == Ended(130, b"", b"")


async def test_a_reader_that_leaves_ends_a_watch_of_which_nothing_more_comes():
    """As in ``watch | head -1``: at once, and not when the next event is written into the broken pipe."""
    fake, (reader, writer) = Fake([EVENT, None]), os.pipe()
    async with faking(fake):
        watching = await begin("watch", "o-1", "--address", fake.address, stdout=writer)
        os.close(writer)
        assert b"saga.started" in await asyncio.to_thread(os.read, reader, 1000)
        os.close(reader)
        assert await end(watching) == Ended(141, b"", b"")


async def test_terminals_of_few_words():
    plain = {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C", "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "80"}
    async with hostile({}) as address:
        shown, written = await asyncio.gather(
            begin("get", LONG_ID, "--address", address, env=plain),
            begin("get", LONG_ID, "--address", address, "--json", env=plain),
        )
        got, lines = await asyncio.gather(end(shown), end(written))
    assert (got.code, got.err, lines.code, lines.err) == (0, b"", 0, b"")
    assert got.out.isascii()
    assert LONG_ID.encode() in got.out
    saga = json.loads(lines.out)
    assert (saga["id"], saga["name"]) == (LONG_ID, HOSTILE)


async def test_what_cannot_be_written_is_said():
    full = os.open("/dev/full", os.O_WRONLY)
    said = await end(await begin("--version", stdout=full))
    os.close(full)
    assert said == Ended(1, b"", b"swit-saga: no space left on device\n")
