"""How soon the commands of a killed coordinator are sent again by another.

    python -m tests.support.soak.takeover --kills 20 --in-flight 10000

Two coordinators share the sagas; every saga has a step out that is never answered. One coordinator is killed, started
again, and when the sagas are shared evenly again, the other; and so on.
"""

import argparse
import asyncio
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from examples.order_saga.processes import Process
from swit_saga import AsyncSagaClient, OverloadedError, Participant, Saga, Step
from swit_saga.participant.execution import Answer
from swit_saga.v1.participant_service_pb2 import ExecuteRequest
from swit_saga_server.store.contract import partition_of
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually

PARTITIONS = 16
AT_ONCE = 100
HANGING = Saga("hanging", timeout="10h", steps=[Step("hang", "shop", timeout="5h", compensation=False)])


@dataclass(frozen=True, slots=True)
class Takeover:
    """One kill.

    Attributes:
        in_flight: Commands the killed one had out.
        seconds: From the kill until each of them had arrived again, in order; shorter if some never did.
    """

    in_flight: int
    seconds: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """When this share of all had arrived; infinite if it never had."""
        number = max(round(share * self.in_flight), 1)
        return self.seconds[number - 1] if len(self.seconds) >= number else float("inf")


class Shop(Participant):
    """Steps that never end. Every command is noted as it arrives, also one that joins a duplicate under way."""

    def __init__(self) -> None:
        super().__init__("shop")
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)

        @self.step("hang")
        async def hang(order: None) -> None:
            await asyncio.Event().wait()

    def begin_execute(self, request: ExecuteRequest) -> "asyncio.Task[Answer]":
        self.arrivals[request.command.saga_id].append(time.monotonic())
        return super().begin_execute(request)

    def have_arrived(self, since: float, ids: list[str]) -> bool:
        """Whether every one of these was told again."""
        return all(self.arrivals[i][-1] > since for i in ids)

    def arrived_after(self, since: float, ids: list[str]) -> list[float]:
        """The first arrivals since then, in order, in seconds."""
        return sorted(a - since for i in ids if (a := next((t for t in self.arrivals[i] if t > since), None)))


async def takeovers(folder: Path, *, kills: int, in_flight: int, lease_s: float) -> list[Takeover]:
    """Run and measure; ``in_flight`` is of each coordinator, about."""
    shop = Shop()
    with running(RedisServer(folder / "redis", "--appendonly", "yes")) as redis:
        config = folder / "saga.yaml"
        config.write_text(
            f"coordinator: {{lease_term: {lease_s:g}s, max_concurrent_steps: 0}}\nlogging: {{level: warning}}\n"
            f"storage:\n  type: redis\n  partitions: {PARTITIONS}\n  redis: {{address: '127.0.0.1:{redis.port}'}}\n"
        )
        async with shop.serve("127.0.0.1:0") as server:
            where = f"--participant=shop=127.0.0.1:{server.port}"
            arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", where]
            pair = [Process(name, arguments, folder) for name in ("one", "other")]
            try:
                # One after the other, so that it is known who holds what by the processes' numbers in their names.
                await asyncio.gather(*(p.start() for p in pair))
                await eventually(lambda: _is_shared(redis), within_s=4 * lease_s)
                ids = await _fill(pair, 2 * in_flight)
                await eventually(lambda: len(shop.arrivals) == len(ids), within_s=60)
                found = []
                for kill in range(kills):
                    found.append(await _kill_one(pair[kill % 2], redis, shop, ids, lease_s))
                    await pair[kill % 2].start()
                    await eventually(lambda: _is_shared(redis), within_s=4 * lease_s + 10)
                return found
            finally:
                await asyncio.gather(*(p.kill() for p in pair))


async def _fill(pair: list[Process], number: int) -> list[str]:
    """Sagas with a step out, through both coordinators."""
    ids = [f"s-{n}" for n in range(number)]
    left = iter(ids)
    async with AsyncSagaClient(f"127.0.0.1:{pair[0].port}") as client:
        await client.register(HANGING)

        async def customer() -> None:
            for saga_id in left:
                while True:
                    try:
                        await client.start("hanging", saga_id=saga_id)
                        break
                    except OverloadedError as busy:
                        await asyncio.sleep(busy.retry_after_s or 0.1)

        await asyncio.gather(*(customer() for _ in range(AT_ONCE)))
    return ids


async def _kill_one(victim: Process, redis: RedisServer, shop: Shop, ids: list[str], lease_s: float) -> Takeover:
    held = {p for p, owner in _owners(redis).items() if f"-{victim.pid}-" in owner}
    of_victim = [i for i in ids if partition_of(i, PARTITIONS) in held]
    assert of_victim, "the one to be killed holds nothing"
    killed_at = time.monotonic()
    await victim.kill()
    with suppress(AssertionError):  # What is missing then counts as never.
        await eventually(lambda: shop.have_arrived(killed_at, of_victim), within_s=lease_s + 15)
    return Takeover(len(of_victim), tuple(shop.arrived_after(killed_at, of_victim)))


def _owners(redis: RedisServer) -> dict[int, str]:
    with Redis(port=redis.port, decode_responses=True) as client:
        return {p: client.hget(f"swit-saga:{{{p}}}:lease", "owner") or "" for p in range(PARTITIONS)}


def _is_shared(redis: RedisServer) -> bool:
    with Redis(port=redis.port, decode_responses=True) as client:
        living = client.zcard("swit-saga:{d}:living")
    owners = list(_owners(redis).values())
    return living == 2 and sorted(owners.count(o) for o in set(owners) if o) == [PARTITIONS // 2] * 2


async def main(kills: int, in_flight: int, lease_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = await takeovers(Path(folder), kills=kills, in_flight=in_flight, lease_s=lease_s)
    for takeover in found:
        times = ", ".join(f"{q:.0%} {takeover.quantile(q):.2f} s" for q in (0.5, 0.99, 1))
        print(f"{takeover.in_flight} in flight: {times}")
    worst = max(takeover.quantile(0.99) for takeover in found)
    print(f"{kills} kills, lease {lease_s:g} s: 99 % sent again within the lease and {worst - lease_s:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--in-flight", type=int, default=10_000)
    parser.add_argument("--lease", type=float, default=10.0)
    given = parser.parse_args()
    asyncio.run(main(given.kills, given.in_flight, given.lease))
