"""Limits that are no systems to choose: the bare pipe and raw calls."""

import asyncio

from bench.contestants.contestant import Contestant
from bench.machine import versions_of
from examples.order_saga.processes import Process
from tests.support.redis_server import RedisServer


class Pipe(Contestant):
    """The same driver and participant with nothing but messages and writes between them, see ``bench.pipe``.

    Attributes:
        redis: The server, once started.
    """

    name = "limit: bare pipe, Redis everysec"
    durability = "in Redis's memory; its disk within a second or two"
    workloads = frozenset({"success4", "idle"})
    transitions = 5

    async def start(self) -> None:
        self.versions = versions_of("grpcio", "protobuf", "redis")
        self.redis = RedisServer(self._folder / "redis", "--appendonly", "yes", "--appendfsync", "everysec")
        await asyncio.to_thread(self.redis.start)
        self._participant = Process("participant", ["-m", "bench.participant"], self._folder)
        await self._participant.start()
        arguments = ["-m", "bench.pipe", str(self._participant.port), str(self.redis.port)]
        self._pipe = Process("pipe", arguments, self._folder)
        await self._pipe.start()
        await self._drive("bench.drivers.swit", f"127.0.0.1:{self._pipe.port}")

    async def end(self) -> None:
        for process in (self._pipe, self._participant):
            await process.kill()
        self.redis.kill()

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
