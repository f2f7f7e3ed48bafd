"""SIGTERM, SIGINT and SIGHUP in every phase of a coordinator's life: the first stops in order, the second at once."""

import asyncio
import os
import signal
import socket
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from signal import SIGHUP, SIGINT, SIGSTOP, SIGTERM
from typing import Any

import pytest

from swit_saga import AsyncSagaClient, Participant, Saga, Step
from tests.support.processes import COMMAND, command
from tests.support.redis_server import RedisServer, running

pytestmark = pytest.mark.e2e
REDIS = {"SWIT_SAGA_STORAGE__TYPE": "redis", "SWIT_SAGA_STORAGE__MAX_RETRIES": "1000"}


@pytest.fixture(autouse=True)
def hears_sighup() -> Iterator[None]:
    """What is started inherits what is ignored, and these tests may run under ``nohup``."""
    before = signal.signal(SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(SIGHUP, before)


def silent() -> socket.socket:
    """Where everybody is let in and nobody is answered."""
    made = socket.create_server(("127.0.0.1", 0))
    made.listen(100)
    return made


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_while_the_store_cannot_be_reached(tmp_path, number):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        async with command(tmp_path, "serve", variables={**REDIS, "SWIT_SAGA_STORAGE__REDIS__ADDRESS": where}) as run:
            await run.says("store_not_reached")
            began = time.monotonic()
            run.process.send_signal(number)
            assert await run.ends() == 0, run.said
            assert time.monotonic() - began < 4
    assert "stopped_before_serving" in run.said
    assert "Traceback" not in run.said
    assert run.out == []


async def test_while_the_store_does_not_answer(tmp_path):
    with silent() as store:
        where = f"127.0.0.1:{store.getsockname()[1]}"
        variables = {**REDIS, "SWIT_SAGA_STORAGE__REDIS__ADDRESS": where, "SWIT_SAGA_STORAGE__REDIS__TIMEOUT": "1h"}
        async with command(tmp_path, "serve", variables=variables) as run:
            connected, _ = await asyncio.get_running_loop().run_in_executor(None, store.accept)
            with connected:
                run.process.send_signal(SIGTERM)
                assert await run.ends(8) == 0, run.said
    assert "Traceback" not in run.said


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGHUP])
async def test_before_anything_is_begun(tmp_path, number):
    """It waits for its configuration, from a pipe into which nobody writes."""
    os.mkfifo(tmp_path / "saga.yaml")
    async with command(tmp_path, "serve", "--config", "saga.yaml") as run:
        # Opening it returns when the coordinator has opened it, too.
        pipe = await asyncio.to_thread(os.open, tmp_path / "saga.yaml", os.O_WRONLY)
        run.process.send_signal(number)
        assert await run.ends(5) == 0, run.said
        os.close(pipe)
    assert run.said == ""


@pytest.mark.parametrize(
    ("first", "second"), [(SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGTERM, SIGINT), (SIGHUP, SIGTERM)]
)
async def test_a_second_one_ends_the_drain_at_once(tmp_path, first, second):
    reached, hold = asyncio.Event(), asyncio.Event()
    slow = Participant("slow")

    @slow.step("pay")
    async def pay(order: Any) -> None:
        reached.set()
        await hold.wait()

    async with slow.serve("127.0.0.1:0") as serving:
        words = ("dev", "--listen", "127.0.0.1:0", "--participant", f"slow=127.0.0.1:{serving.port}")
        async with command(tmp_path, *words) as run:
            port = int((await run.says("listening on port")).split()[-1])
            async with AsyncSagaClient(f"127.0.0.1:{port}") as sagas:
                await sagas.start(Saga("slow", [Step("pay", "slow", timeout="1m", compensation=False)]), {})
                await reached.wait()
            run.process.send_signal(first)
            await run.says("draining")
            began = time.monotonic()
            run.process.send_signal(second)
            assert await run.ends(5) == 128 + second, run.said
            assert time.monotonic() - began < 3
            assert f"ended at once by a second signal ({signal.Signals(second).name})" in run.err[-1]
            assert "Traceback" not in run.said
        hold.set()
    assert list(tmp_path.iterdir()) == [], "what dev keeps for itself is gone all the same"


async def test_a_closed_terminal(tmp_path):
    """It drains, however many SIGHUP that is; under ``nohup`` it lives on."""
    async with command(tmp_path, "dev", "--listen", "127.0.0.1:0") as run:
        await run.says("listening on port")
        for _ in range(3):
            run.process.send_signal(SIGHUP)
        assert await run.ends(8) == 0, run.said
        assert "draining" in run.said
    assert list(tmp_path.iterdir()) == []
    nohup = ("nohup", *COMMAND, "dev", "--listen", "127.0.0.1:0")
    ignoring = await asyncio.create_subprocess_exec(*nohup, stdout=PIPE, stderr=PIPE, cwd=tmp_path)
    assert ignoring.stdout is not None
    assert b"listening" in await asyncio.wait_for(ignoring.stdout.readline(), 15)
    ignoring.send_signal(SIGHUP)
    ignoring.send_signal(SIGTERM)
    _, said = await asyncio.wait_for(ignoring.communicate(), 15)
    assert (ignoring.returncode, b"second signal" in said) == (0, False), said.decode()


async def test_while_the_drain_waits_for_a_store_that_has_gone_silent(tmp_path):
    """SIGSTOP makes a Redis that answers nobody."""
    with running(RedisServer(tmp_path / "redis")) as redis:
        variables = {
            **REDIS,
            "SWIT_SAGA_STORAGE__REDIS__ADDRESS": f"127.0.0.1:{redis.port}",
            "SWIT_SAGA_SERVER__LISTEN": "127.0.0.1:0",
        }
        async with command(tmp_path, "serve", variables=variables) as run:
            await run.says("listening on port")
            assert redis.process is not None
            redis.process.send_signal(SIGSTOP)
            run.process.send_signal(SIGTERM)
            await run.says("draining")
            run.process.send_signal(SIGTERM)
            assert await run.ends(5) == 128 + SIGTERM, run.said


async def test_an_address_in_use_is_a_line_and_an_exit_code(tmp_path):
    with silent() as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with command(tmp_path, "serve", "--listen", listen) as run:
            assert await run.ends() == 1
    assert run.said == f"swit-saga: cannot listen at {listen}: the address is in use; is another coordinator running?\n"
    assert list(tmp_path.iterdir()) == []
