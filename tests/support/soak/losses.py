"""What a crash of Redis itself takes away, in each durability mode: measured, for docs/reliability.md.

    python -m tests.support.soak.losses --rounds 5

Sagas are started and finished at full speed; then Redis goes, in one way or another, and comes back. Counted, before
the coordinator gets to it again: starts that were acknowledged and are not there any more, and outcomes that were
reported and are not so any more. Then the coordinator is let in, and everything that is there must reach its outcome.

A power cut cannot be had here; it is modelled by cutting Redis's append-only file back to what it was a second before
the end, which is what ``everysec`` may not have synced.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from swit_saga import CallError, Participant, Saga, Step
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.logs import set_up_logs
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.link import Link, linked
from tests.support.redis_server import RedisServer, is_linked, running
from tests.support.waiting import eventually

CUSTOMERS, LOAD_S, LAG_S = 50, 2.5, 1.0
ORDER = Saga("order", steps=[Step(name, "shop") for name in ("a", "b")])


@dataclass
class Place:
    """Where it happens.

    Attributes:
        link: From the coordinator to the master.
        replication: From the replica to the master.
        sizes: Of the append-only file, over time.
    """

    master: RedisServer
    replica: RedisServer
    link: Link
    replication: Link
    sizes: list[tuple[float, int]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return next(self.master.folder.glob("appendonlydir/*.incr.aof"))

    async def watch_log(self) -> None:
        while True:
            self.sizes.append((time.monotonic(), self.log.stat().st_size))
            await asyncio.sleep(0.01)


async def restart(place: Place) -> RedisServer:
    await asyncio.to_thread(place.master.start)
    return place.master


async def restart_cut_back(place: Place) -> RedisServer:
    before = place.sizes[-1][0] - LAG_S
    with place.log.open("r+b") as log:
        log.truncate(max(size for at, size in place.sizes if at <= before))
    return await restart(place)


async def promote(place: Place) -> RedisServer:
    with Redis(port=place.replica.port) as replica:
        replica.replicaof("NO", "ONE")
    # The former master comes back as a replica: without one, ``replicated`` would wait for ever.
    await asyncio.to_thread(place.master.start)
    with Redis(port=place.master.port) as former:
        former.replicaof("127.0.0.1", place.replica.port)
    place.link.target = place.replica.port
    return place.replica


@dataclass(frozen=True, slots=True)
class Way:
    """One way for Redis to go.

    Attributes:
        comes_back: Brings back what is left of it after its SIGKILL.
        lag_s: How far the replica is behind.
    """

    name: str
    durability: str
    appendfsync: str
    comes_back: Callable[[Place], Awaitable[RedisServer]]
    lag_s: float = 0.0


WAYS = (
    Way("SIGKILL of redis-server", "relaxed", "everysec", restart),
    Way("power cut (modelled)", "relaxed", "everysec", restart_cut_back),
    Way("failover", "relaxed", "everysec", promote),
    Way(f"failover, the replica {LAG_S:g} s behind", "relaxed", "everysec", promote, LAG_S),
    Way("SIGKILL of redis-server", "fsync", "always", restart),
    Way("failover", "replicated", "everysec", promote),
    Way(f"failover, the replica {LAG_S:g} s behind", "replicated", "everysec", promote, LAG_S),
)


async def one_round(folder: Path, way: Way) -> Counter[str]:
    """Load, the end of Redis, the count, and everything to its outcome."""
    acknowledged: set[str] = set()
    reported: dict[str, int] = {}
    async with _place(folder, way) as place:
        where = {"address": f"127.0.0.1:{place.link.port}", "durability": way.durability, "timeout": "3s"}
        config = SagaConfig.load(
            overrides={
                "coordinator": {"lease_term": "3s"},
                "storage": {"type": "redis", "redis": where, "partitions": 4},
            }
        )
        async with Coordinator.open(config, participants=[_shop()]) as coordinator:
            await coordinator.register(ORDER)
            crowd = [asyncio.create_task(_customer(coordinator, n, acknowledged, reported)) for n in range(CUSTOMERS)]
            sampling = asyncio.create_task(place.watch_log())
            await asyncio.sleep(LOAD_S)
            place.replication.delay_s = way.lag_s
            await asyncio.sleep(2 * way.lag_s)
            await asyncio.to_thread(place.master.kill)
            place.link.refusing = True
            await asyncio.sleep(0.1)  # Replies that were on their way arrive.
            for task in (*crowd, sampling):
                task.cancel()
            await asyncio.gather(*crowd, sampling, return_exceptions=True)
            left = await way.comes_back(place)
            count, there = await _count(left, acknowledged, reported)
            place.link.heal()

            async def all_over() -> bool:
                try:
                    return all([(await coordinator.get(saga_id)).is_terminal for saga_id in there])
                except CallError:
                    return False

            await eventually(all_over, within_s=60)
    return count


async def _count(left: RedisServer, acknowledged: set[str], reported: dict[str, int]) -> tuple[Counter[str], list[str]]:
    store = RedisStore(RedisOptions(url=left.url))
    await store.open()
    try:
        ids = sorted(acknowledged)
        found = dict(zip(ids, await store.load(ids), strict=True))
    finally:
        await store.close()
    versions = {saga_id: saga.version if saga is not None else 0 for saga_id, saga in found.items()}
    count = Counter(
        acknowledged=len(ids),
        starts_lost=sum(not version for version in versions.values()),
        reported=len(reported),
        outcomes_taken_back=sum(versions[saga_id] < version for saga_id, version in reported.items()),
    )
    return count, [saga_id for saga_id in ids if versions[saga_id]]


async def _customer(client: Coordinator, name: int, acknowledged: set[str], reported: dict[str, int]) -> None:
    number = 0
    while True:
        number += 1
        try:
            handle = await client.start("order", {}, saga_id=f"{name}-{number}")
            acknowledged.add(handle.id)
            reported[handle.id] = (await handle.wait()).proto.version
        except CallError:
            await asyncio.sleep(0.1)


def _shop() -> Participant:
    shop = Participant("shop")

    async def step(order: dict[str, str]) -> dict[str, str]:
        return order

    async def undo(order: dict[str, str]) -> None:
        await asyncio.sleep(0)

    for name in ("a", "b"):
        shop.step(name)(step).compensate(undo)
    return shop


@asynccontextmanager
async def _place(folder: Path, way: Way) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        persistent = ("--appendonly", "yes", "--appendfsync", way.appendfsync)
        master = stack.enter_context(running(RedisServer(folder / "master", *persistent)))
        replication = await stack.enter_async_context(linked(Link(master.port)))
        follows = ("--replicaof", "127.0.0.1", str(replication.port))
        replica = RedisServer(folder / "replica", *persistent, *follows)
        # Starting one blocks this loop, which carries the link it follows by.
        await asyncio.to_thread(replica.start)
        stack.callback(replica.kill)
        await eventually(lambda: asyncio.to_thread(is_linked, replica, master), within_s=30)
        link = await stack.enter_async_context(linked(Link(master.port)))
        yield Place(master, replica, link, replication)


async def main(rounds: int) -> None:
    print("| what happens | durability | appendfsync | starts acknowledged | lost: median (most) of a round", end=" ")
    print("| outcomes reported | taken back: median (most) |\n|---|---|---|---|---|---|---|")
    for way in WAYS:
        counts = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                counts.append(await one_round(Path(folder), way))

        def middle(name: str, counts: list[Counter[str]] = counts) -> str:
            found = sorted(c[name] for c in counts)
            return f"{found[len(found) // 2]:,} ({found[-1]:,})"

        cells = (way.name, f"`{way.durability}`", f"`{way.appendfsync}`")
        totals = (str(sum(c[name] for c in counts)) for name in ("acknowledged", "reported"))
        acknowledged, reported = totals
        print(
            "|",
            " | ".join((*cells, acknowledged, middle("starts_lost"), reported, middle("outcomes_taken_back"))),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    set_up_logs("critical", pretty=True)
    asyncio.run(main(parser.parse_args().rounds))
