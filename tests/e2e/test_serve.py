"""``serve`` and ``dev`` as processes: they say where they are, serve, and leave cleanly on a signal."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from redis import Redis

from swit_saga import AsyncSagaClient, Participant, Saga, SagaClientError, Step, StepContext, fixed
from swit_saga_server.cli import run
from swit_saga_server.cli.signals import StopSignals
from swit_saga_server.config import SagaConfig
from swit_saga_server.core.inputs import Wake
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.loop import Loop
from tests.support.redis_server import RedisServer, running
from tests.support.store.rights import set_user
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
RETRY = fixed("50ms", max_attempts=3)


@dataclass
class Running:
    """A coordinator's process."""

    process: asyncio.subprocess.Process
    address: str

    async def end(self, number: signal.Signals) -> str:
        """Send a signal, see it end well, and get its log."""
        self.process.send_signal(number)
        async with asyncio.timeout(15):
            _, log = await self.process.communicate()
        assert self.process.returncode == 0, log.decode()
        return log.decode()


@asynccontextmanager
async def _run(folder: Path, *words: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "swit_saga",
        *words,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(15):
            said = (await process.stdout.readline()).decode()
        assert said.startswith("listening on port "), said
        yield Running(process, f"127.0.0.1:{int(said.split()[-1])}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def _shop(calls: list[str]) -> Participant:
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(order: Any, step: StepContext) -> dict[str, Any]:
        calls.append("reserve")
        if order.get("flaky") and step.attempt == 1:
            raise RuntimeError("flaky")
        return {"held": True}

    @reserve.compensate
    async def release(order: Any, output: Any, step: StepContext) -> None:
        calls.append("release")

    return shop


ORDER = Saga("order", [Step("reserve", "shop", timeout="5s")], retry=RETRY)
PATIENT = Saga("patient", [Step("reserve", "shop", timeout="5s", delay="3s")], retry=RETRY)


async def test_serve_from_a_file_and_again_after_sigterm(tmp_path):
    calls: list[str] = []
    async with _shop(calls).serve("127.0.0.1:0") as shop:
        (tmp_path / "saga.yaml").write_text(
            f"storage: {{connection: s.db}}\nserver: {{listen: '127.0.0.1:0', drain_timeout: 100ms}}\n"
            f"participants: {{shop: {{address: '127.0.0.1:{shop.port}'}}}}\n"
        )
        async with _run(tmp_path, "serve", "--config", "saga.yaml") as first:
            async with AsyncSagaClient(first.address) as sagas:
                assert (await (await sagas.start(ORDER, {}, saga_id="o-1")).wait()).state == "completed"
                await sagas.start(PATIENT, {}, saga_id="o-2")
            log = [json.loads(line) for line in (await first.end(signal.SIGTERM)).splitlines()]
        assert {"serving", "draining"} <= {line["event"] for line in log}
        async with (
            _run(tmp_path, "serve", "--config", "saga.yaml") as second,
            AsyncSagaClient(second.address) as sagas,
        ):
            assert (await sagas.get("o-1")).state == "completed", "it was durable"
            assert (await sagas.wait("o-2")).state == "completed", "the drain left it; the next life resumes it"
            await second.end(signal.SIGINT)
    assert calls == ["reserve", "reserve"]


async def test_dev_explains_what_is_in_doubt_and_leaves_nothing(tmp_path):
    calls: list[str] = []
    async with _shop(calls).serve("127.0.0.1:0") as shop:
        words = ("dev", "--listen", "127.0.0.1:0", "--participant", f"shop=127.0.0.1:{shop.port}")
        async with _run(tmp_path, *words) as dev:
            assert len(list(tmp_path.glob("swit-saga-*"))) == 1
            async with AsyncSagaClient(dev.address) as sagas:
                assert (await (await sagas.start(ORDER, {"flaky": True})).wait()).state == "completed"
            log = await dev.end(signal.SIGTERM)
    assert "step_in_doubt" in log
    assert "The step is taken as 'unknown' and asked for again with the same key" in log
    assert "Raise Reject(...)" in log
    assert not list(tmp_path.iterdir())
    assert calls == ["reserve", "reserve"]


async def _serve(config: SagaConfig) -> None:
    with StopSignals() as signals:
        await run.serve(config, signals)


async def test_serve_ends_when_its_engine_fails(tmp_path, monkeypatch):
    """So that a supervisor starts it again."""

    def broken(self: Loop, item: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(Loop, "take", broken)
    overrides = {"storage": {"connection": str(tmp_path / "saga.db")}, "server": {"listen": "127.0.0.1:0"}}
    running: list[Engine] = []
    start = Engine.start

    async def noted(self: Engine) -> None:
        running.append(self)
        await start(self)

    monkeypatch.setattr(Engine, "start", noted)
    serving = asyncio.create_task(_serve(SagaConfig.load(overrides=overrides)))
    await eventually(lambda: running and running[0].ownership.holds(0))
    running[0].context.mailbox.put(Item("s", Wake()))
    with pytest.raises(typer.Exit) as ended:
        async with asyncio.timeout(10):
            await serving
    assert ended.value.exit_code == 1


async def test_a_store_that_cannot_be_reached_is_said_plainly(tmp_path):
    """Tried again a few times, then one line and an exit, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        given = {"SWIT_SAGA_STORAGE__TYPE": "redis", "SWIT_SAGA_STORAGE__REDIS__ADDRESS": where}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "swit_saga", "serve", cwd=tmp_path,
            env={**os.environ, **given, "SWIT_SAGA_STORAGE__MAX_RETRIES": "1"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            out, log = await process.communicate()
    said = (out + log).decode()
    assert process.returncode == 1, said
    assert said.count("store_not_reached") == 1
    assert where in said
    assert "(tried 2 times in " in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("secret@", "does not let us in as user 'saga'"),
        ("PASSWORD@", "grant it: ACL SETUSER saga +publish"),
    ],
)
async def test_a_store_that_does_not_let_us_is_said_plainly_and_at_once(tmp_path, change, said):
    """Nothing that patience helps: one line and an exit, without a second attempt, a traceback or the password."""
    with running(RedisServer(tmp_path / "redis")) as redis:
        set_user(redis.port, "resetkeys", "~swit-saga:*", "resetchannels", "&swit-saga:*", "-publish")
        url = f"redis://saga:{change}127.0.0.1:{redis.port}/0"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "swit_saga", "serve", cwd=tmp_path,
            env={**os.environ, "SWIT_SAGA_STORAGE__TYPE": "redis", "SWIT_SAGA_STORAGE__CONNECTION": url},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            out, log = await process.communicate()
    found = (out + log).decode()
    assert process.returncode == 1, found
    assert f"swit-saga: Redis at 127.0.0.1:{redis.port} does not let" in found
    assert said in found
    for never in ("Traceback", "store_not_reached", change):
        assert never not in found


async def test_while_its_store_refuses_it_lives_and_ends_in_good_order(tmp_path):
    """And another one of its name is refused, with a code of its own."""
    with running(RedisServer(tmp_path / "redis")) as redis, Redis(port=redis.port) as admin:
        set_user(redis.port, "resetkeys", "~swit-saga:*", "resetchannels", "&swit-saga:*")
        (tmp_path / "saga.yaml").write_text(
            "coordinator: {name: here, lease_term: 1s}\nserver: {listen: '127.0.0.1:0', drain_timeout: 1s}\n"
            f"storage: {{type: redis, connection: 'redis://saga:PASSWORD@127.0.0.1:{redis.port}/0'}}\n"
        )
        async with _run(tmp_path, "serve", "--config", "saga.yaml") as first:
            other = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "swit_saga", "serve", "--config", "saga.yaml",
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            async with asyncio.timeout(20):
                _, said = await other.communicate()
            assert other.returncode == 2, said.decode()
            assert b"under the name 'here' on this store" in said
            assert b"Traceback" not in said
            for wrong in ("off", "-evalsha", "-xadd -time"):
                admin.execute_command("ACL", "SETUSER", "saga", *wrong.split())
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # Who is in, stays in.
                async with AsyncSagaClient(first.address, timeout="2s") as sagas:

                    async def is_away(c: AsyncSagaClient = sagas) -> bool:
                        try:
                            await c.health()
                        except SagaClientError:
                            return True
                        return False

                    await eventually(is_away, within_s=20)
            log = await first.end(signal.SIGTERM)
        events = [json.loads(line)["event"] for line in log.splitlines()]
        assert 1 <= events.count("store_unavailable") <= 4
        assert "Traceback" not in log
        assert "engine_failed" not in events
