"""Everybody who runs: processes on loopback, started and ended here."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.machine import CACHE, cpu_us, memory_kib, versions_of
from examples.order_saga.processes import Process
from tests.support.redis_server import RedisServer, free_port

ROOT = Path(__file__).parents[1]
START_S = 60.0
WORKLOADS = frozenset({"success4", "idle", "half", "rejected", "steps10"})
"""Four steps as fast as can be; one saga at a time; at half of the former's rate; every tenth saga rejected at its
third step; ten steps.
"""


WITHOUT_LIMITS: Mapping[str, Any] = {"coordinator": {"max_queue_wait": "30s"}}
"""Where the limits on load are not what is measured."""


class Absent(Exception):
    """It cannot run here, and why."""


class Contestant(ABC):
    """One system under the load.

    Attributes:
        name: In tables.
        durability: What is durable when a saga counts as done.
        versions: Of what it runs on.
        workloads: Those it takes part in.
        transitions: Commits of a four-step saga, where they are known.
    """

    name: str
    durability: str
    versions: dict[str, str]
    workloads: frozenset[str] = WORKLOADS
    transitions: int = 0

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._driver: asyncio.subprocess.Process | None = None

    @abstractmethod
    async def start(self) -> None:
        """Start everything, the driver last.

        Raises:
            Absent: It is not installed.
        """

    @abstractmethod
    async def end(self) -> None:
        """End everything that was started."""

    @property
    @abstractmethod
    def pids(self) -> list[int]:
        """The processes that coordinate: whose time and memory count as the coordinator's."""

    async def stop(self) -> None:
        """End the driver and the rest, and remove what was written."""
        if self._driver is not None and self._driver.returncode is None:
            self._driver.kill()
            await self._driver.wait()
        await self.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def round(
        self, concurrency: int, seconds: float, workload: str = "success4", rate: float | None = None
    ) -> dict[str, float]:
        """One round of load: so many sagas at a time, or ``rate`` of them begun per second.

        Returns:
            ``sagas_per_s``, ``p50_ms``, ``p99_ms``, ``cpu_us_per_saga`` and ``memory_mib`` of the coordinator.
        """
        asked = {"workload": workload, "seconds": seconds}
        asked |= {"concurrency": concurrency} if rate is None else {"rate": rate}
        before = sum(cpu_us(pid) for pid in self.pids)
        found = await self.ask(asked, seconds + 120)
        return {
            "sagas_per_s": found["sagas"] / found["seconds"],
            "p50_ms": found["p50_ms"],
            "p99_ms": found["p99_ms"],
            "cpu_us_per_saga": (sum(cpu_us(pid) for pid in self.pids) - before) / found["sagas"],
            "memory_mib": sum(memory_kib(pid) for pid in self.pids) / 1024,
        }

    async def ask(self, asked: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """What the driver says to this."""
        assert self._driver is not None
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(timeout_s):
            line = await self._driver.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the driver ended: {(self._folder / 'driver.log').read_text()[-2_000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    async def _drive(self, *arguments: str, python: str = sys.executable) -> None:
        with (self._folder / "driver.log").open("ab") as log:
            self._driver = await asyncio.create_subprocess_exec(
                python, "-m", *arguments, cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._driver.stdout is not None
        async with asyncio.timeout(START_S):
            while (line := await self._driver.stdout.readline()).strip() != b"ready":
                if not line:
                    raise RuntimeError(f"{self.name}: {(self._folder / 'driver.log').read_text()[-2_000:]}")


class Swit(Contestant):
    """This project: coordinator, participant and client, a process each."""

    transitions = 5

    def __init__(
        self,
        store: str,
        durability: str,
        *,
        unary: bool = False,
        coordinators: int = 1,
        limits: Mapping[str, Any] = WITHOUT_LIMITS,
        programs: tuple[str, str] = ("bench.participant", "bench.drivers.swit"),
    ) -> None:
        """Describe it.

        Args:
            store: ``everysec`` or ``always``, Redis's appendfsync; or ``sqlite``.
            durability: In words.
            unary: A call for each start and step. Waits share their stream, as by default.
            coordinators: How many share the store.
            limits: The ``coordinator`` and ``server`` sections of the configuration.
            programs: The participant's and the driver's modules; the driver is given the coordinators' addresses.
        """
        super().__init__()
        label = {"everysec": "Redis everysec", "always": "Redis always", "sqlite": "SQLite FULL"}[store]
        self.name = f"swit-saga, {label}{', unary' if unary else ''}"
        self.durability = durability
        self._store, self._unary = store, unary
        self._redis: RedisServer | None = None
        self._limits, self._driver_program = limits, programs[1]
        self._participant = Process("participant", ["-m", programs[0]], self._folder)
        config = self._folder / "saga.yaml"
        arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}"]
        self.coordinators = [Process(f"coordinator{n}", arguments, self._folder) for n in range(coordinators)]

    async def start(self) -> None:
        self.versions = versions_of("grpcio", "protobuf", "redis", "apsw")
        if self._store != "sqlite":
            if shutil.which("redis-server") is None and "REDIS_SERVER" not in os.environ:
                raise Absent("there is no redis-server")
            self._redis = RedisServer(self._folder / "redis", "--appendonly", "yes", "--appendfsync", self._store)
            await asyncio.to_thread(self._redis.start)
        await self._participant.start()
        storage: dict[str, Any] = {"connection": str(self._folder / "saga.db")}
        if self._redis is not None:
            where = {"address": f"127.0.0.1:{self._redis.port}", "durability": "relaxed"}
            storage = {"type": "redis", "redis": where | ({"durability": "fsync"} if self._store == "always" else {})}
        participants = {"shop": {"address": f"127.0.0.1:{self._participant.port}", "stream": not self._unary}}
        settings = {"logging": {"level": "warning"}, "storage": storage, "participants": participants}
        (self._folder / "saga.yaml").write_text(json.dumps({**settings, **self._limits}))  # JSON is YAML.
        for coordinator in self.coordinators:
            await coordinator.start()
        targets = [f"127.0.0.1:{coordinator.port}" for coordinator in self.coordinators]
        await self._drive(self._driver_program, *targets, *(["--unary"] if self._unary else []))

    async def end(self) -> None:
        for process in (*self.coordinators, self._participant):
            await process.kill()
        if self._redis is not None:
            self._redis.kill()

    @property
    def pids(self) -> list[int]:
        return [coordinator.pid for coordinator in self.coordinators]


class Pipe(Contestant):
    """The same driver and participant with nothing but messages and writes between them, see ``bench.pipe``."""

    name = "limit: bare pipe, Redis everysec"
    durability = "in Redis's memory; its disk within a second or two"
    workloads = frozenset({"success4", "idle"})
    transitions = 5

    async def start(self) -> None:
        self.versions = versions_of("grpcio", "protobuf", "redis")
        self._redis = RedisServer(self._folder / "redis", "--appendonly", "yes", "--appendfsync", "everysec")
        await asyncio.to_thread(self._redis.start)
        self._participant = Process("participant", ["-m", "bench.participant"], self._folder)
        await self._participant.start()
        arguments = ["-m", "bench.pipe", str(self._participant.port), str(self._redis.port)]
        self._pipe = Process("pipe", arguments, self._folder)
        await self._pipe.start()
        await self._drive("bench.drivers.swit", f"127.0.0.1:{self._pipe.port}")

    async def end(self) -> None:
        for process in (self._pipe, self._participant):
            await process.kill()
        self._redis.kill()

    @property
    def pids(self) -> list[int]:
        return [self._pipe.pid]


class Raw(Contestant):
    """Four unary calls in a row to the same participant; no coordinator, nothing durable."""

    name = "limit: four raw unary calls"
    durability = "none"
    workloads = frozenset({"success4", "idle", "half"})

    async def start(self) -> None:
        self.versions = versions_of("grpcio")
        self._participant = Process("participant", ["-m", "bench.participant"], self._folder)
        await self._participant.start()
        await self._drive("bench.drivers.raw", f"127.0.0.1:{self._participant.port}")

    async def end(self) -> None:
        await self._participant.kill()

    @property
    def pids(self) -> list[int]:
        return []


def _python() -> str:
    """Of the others' environment."""
    found = CACHE / "venv" / "bin" / "python"
    if not found.exists():
        raise Absent("not installed: run scripts/bench")
    return str(found)


class Restate(Contestant):
    """Restate's server, from its npm package, and services with its Python SDK."""

    durability = "its log's own default"

    def __init__(self, *, local: bool = False) -> None:
        """``local``: without other services, see ``drivers.restate_service``."""
        super().__init__()
        self.name = f"Restate (Python SDK), {'steps in its own process' if local else 'a service per step'}"
        self._handler = "Local" if local else "Saga"
        self._server: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        python, binary = _python(), CACHE / "npm" / "node_modules" / ".bin" / "restate-server"
        if not binary.exists():
            raise Absent("its server is not installed: run scripts/bench")
        self.versions = {"restate-server": await asyncio.to_thread(_version, str(binary))} | versions_of(
            "restate-sdk", python=python
        )
        ingress, admin, node, service = (free_port() for _ in range(4))
        settings = {
            "RESTATE_BASE_DIR": str(self._folder / "restate"),
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
        }
        with (self._folder / "restate.log").open("ab") as log:
            self._server = _spawn([str(binary)], log, env={**os.environ, **settings})
            self._service = _spawn([python, "-m", "bench.drivers.restate_service", str(service)], log)
        await _answers(service)
        await _answers(admin)
        await asyncio.to_thread(_register, admin, service, time.monotonic() + START_S)
        await self._drive("bench.drivers.restate", str(ingress), self._handler, python=python)

    async def end(self) -> None:
        for process in (self._server, self._service):
            if process is not None:
                for pid in reversed(_tree(process.pid)):  # Its npm package starts the server as a child.
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()

    @property
    def pids(self) -> list[int]:
        assert self._server is not None
        return _tree(self._server.pid)


def _spawn(command: list[str], log: Any, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=log, stderr=log, **{"cwd": ROOT, **how})


def _version(binary: str) -> str:
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def _register(admin: int, service: int, until: float) -> None:
    body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
    while True:
        request = Request(f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"})
        try:
            with urlopen(request, timeout=10):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


class Dbos(Contestant):
    """DBOS on a private PostgreSQL; a library, so its own process is both coordinator and participant."""

    name = "DBOS (PostgreSQL)"
    durability = "synchronous_commit on, fsync on"

    def __init__(self) -> None:
        super().__init__()
        self._postgres: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        python, port = _python(), free_port()
        version = await asyncio.to_thread(self._start_postgres, port)
        self.versions = versions_of("dbos", python=python) | {"postgresql": version}
        url = f"postgresql://postgres@127.0.0.1:{port}/dbos"
        await self._drive("bench.drivers.dbos", url, python=python)

    def _start_postgres(self, port: int) -> str:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            raise Absent("there is no PostgreSQL: run scripts/bench")
        programs, data = found[-1], self._folder / "postgres"
        data.mkdir()
        as_user: list[str] = []
        if os.geteuid() == 0:  # It refuses to run as root.
            self._folder.chmod(0o755)
            shutil.chown(data, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        make = [*as_user, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"]
        subprocess.run(make, check=True, capture_output=True, cwd="/")
        with (self._folder / "postgres.log").open("ab") as log:
            command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data)]
            self._postgres = _spawn([*as_user, *command], log, cwd="/")
        ready = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "dbos"]
        until = time.monotonic() + START_S
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            if time.monotonic() > until:
                raise RuntimeError((self._folder / "postgres.log").read_text()[-2_000:])
            time.sleep(0.2)
        return programs.parent.name

    async def end(self) -> None:
        if self._postgres is not None:
            with suppress(ProcessLookupError):
                self._postgres.terminate()
            self._postgres.wait()

    @property
    def pids(self) -> list[int]:
        assert self._driver is not None
        assert self._postgres is not None
        return [self._driver.pid, *_tree(self._postgres.pid)]


def _tree(pid: int) -> list[int]:
    """A process and what it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in _tree(int(child)))]


async def _answers(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > until:
            raise RuntimeError(f"nothing listens on {port}")
        await asyncio.sleep(0.1)
