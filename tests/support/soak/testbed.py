"""The system under test: three coordinators, two participants, one Redis, and a link of ours between every pair."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples.order_saga.processes import Process
from swit_saga import AsyncSagaClient, Saga, Step, exponential
from tests.support.link import Link, linked
from tests.support.redis_server import RedisServer, free_port, running
from tests.support.soak.shop import STEPS

COORDINATORS = 3
PARTITIONS = 12
LEASE_S = 3.0
RETRY = exponential("50ms", max_delay="2s", max_attempts=5_000)


def order(shape: int) -> Saga:
    """The definition; registered again in another shape while sagas of the former are under way."""
    steps = [
        Step("reserve", "stock", timeout="2s"),
        Step("pay", "bank", timeout="2s"),
        Step("pack", "stock", timeout="2s"),
    ]
    last = [Step("ship", "stock", timeout="2s")]
    return Saga("order", timeout="30m", retry=RETRY, compensation_retry=RETRY, steps=steps + last * (shape % 2))


@dataclass
class Testbed:
    """Everything that can be used, or hurt.

    Attributes:
        links: By who speaks to whom: ``client-c0``, ``c0-redis``, ``c0-stock``, ``c0-bank``, ...
        clients: One per coordinator, each by its own link.
    """

    folder: Path
    redis: RedisServer
    links: dict[str, Link]
    coordinators: list[Process] = field(default_factory=list)
    participants: dict[str, Process] = field(default_factory=dict)
    clients: list[AsyncSagaClient] = field(default_factory=list)

    def books(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    @property
    def processes(self) -> Sequence[Process]:
        return [*self.coordinators, *self.participants.values()]


@asynccontextmanager
async def running_testbed(folder: Path) -> AsyncIterator[Testbed]:
    async with AsyncExitStack() as stack:
        redis = RedisServer(folder / "redis", "--appendonly", "yes", "--appendfsync", "always")
        stack.enter_context(running(redis))
        made = Testbed(folder, redis, {})
        # Links before processes: each is told where the other end is before it is there.
        ports = {name: free_port() for name in (*STEPS, *(f"c{n}" for n in range(COORDINATORS)))}
        for n in range(COORDINATORS):
            targets = {f"c{n}-redis": redis.port, f"client-c{n}": ports[f"c{n}"]}
            targets |= {f"c{n}-{name}": ports[name] for name in STEPS}
            for name, target in targets.items():
                made.links[name] = await stack.enter_async_context(linked(Link(target)))
        for name in STEPS:
            arguments = ["-m", "tests.support.soak.shop", f"--name={name}", f"--books={made.books(name)}"]
            made.participants[name] = Process(name, [*arguments, "--listen=127.0.0.1:{port}"], folder, port=ports[name])
        for n in range(COORDINATORS):
            made.coordinators.append(_coordinator(made, n, ports[f"c{n}"]))
        stack.push_async_callback(_stop, made.processes)
        await asyncio.gather(*(p.start() for p in made.processes))
        for n in range(COORDINATORS):
            client = AsyncSagaClient(f"127.0.0.1:{made.links[f'client-c{n}'].port}", timeout="5s")
            made.clients.append(await stack.enter_async_context(client))
        yield made


def _coordinator(made: Testbed, n: int, port: int) -> Process:
    config = made.folder / f"c{n}.yaml"
    config.write_text(
        f"coordinator: {{lease_term: {LEASE_S:g}s, recovery_interval: 1s}}\nlogging: {{level: warning}}\n"
        f"storage:\n  type: redis\n  partitions: {PARTITIONS}\n"
        f"  redis: {{address: '127.0.0.1:{made.links[f'c{n}-redis'].port}', durability: fsync, timeout: 1s}}\n"
    )
    where = [f"--participant={name}=127.0.0.1:{made.links[f'c{n}-{name}'].port}" for name in STEPS]
    arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", *where]
    return Process(f"c{n}", arguments, made.folder, port=port)


async def _stop(processes: Sequence[Process]) -> None:
    with contextlib.suppress(ProcessLookupError):
        await asyncio.gather(*(p.kill() for p in processes))
