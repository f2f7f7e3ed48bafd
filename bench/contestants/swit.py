"""This project, each process from the working tree unless told otherwise."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from bench.contestants.contestant import Absent, Contestant
from bench.machine import versions_of
from examples.order_saga.processes import Process
from tests.support.redis_server import RedisServer

WITHOUT_LIMITS: Mapping[str, Any] = {"coordinator": {"max_queue_wait": "30s"}}
"""Where the limits on load are not what is measured."""


class Swit(Contestant):
    """This project: coordinator, participant and client, a process each.

    Attributes:
        redis: The server, once started; None with another store.
        coordinators: The processes.
    """

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
        python: str = sys.executable,
    ) -> None:
        """Describe it.

        Args:
            store: ``everysec`` or ``always``, Redis's appendfsync; or ``sqlite``.
            durability: In words.
            unary: A call for each start and step. Waits share their stream, as by default.
            coordinators: How many share the store.
            limits: The ``coordinator`` and ``server`` sections of the configuration.
            programs: The participant's and the driver's modules; the driver is given the coordinators' addresses.
            python: The interpreter of the coordinators, of this environment or another.
        """
        super().__init__()
        label = {"everysec": "Redis everysec", "always": "Redis always", "sqlite": "SQLite FULL"}[store]
        self.name = f"swit-saga, {label}{', unary' if unary else ''}"
        self.durability = durability
        self._store, self._unary = store, unary
        self.redis: RedisServer | None = None
        self._limits, self._driver_program = limits, programs[1]
        self._participant = Process("participant", ["-m", programs[0]], self._folder)
        config = self._folder / "saga.yaml"
        arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}"]
        self.coordinators = [
            Process(f"coordinator{n}", arguments, self._folder, program=python) for n in range(coordinators)
        ]

    async def start(self) -> None:
        self.versions = versions_of("grpcio", "protobuf", "redis", "apsw")
        if self._store != "sqlite":
            if shutil.which("redis-server") is None and "REDIS_SERVER" not in os.environ:
                raise Absent("there is no redis-server")
            self.redis = RedisServer(self._folder / "redis", "--appendonly", "yes", "--appendfsync", self._store)
            await asyncio.to_thread(self.redis.start)
        await self._participant.start()
        storage: dict[str, Any] = {"connection": str(self._folder / "saga.db")}
        if self.redis is not None:
            where = {"address": f"127.0.0.1:{self.redis.port}", "durability": "relaxed"}
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
        if self.redis is not None:
            self.redis.kill()

    @property
    def pids(self) -> list[int]:
        return [coordinator.pid for coordinator in self.coordinators]
