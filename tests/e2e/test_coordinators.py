"""Two coordinator processes on one Redis, without a word between them: any takes any request, either may die."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from redis import Redis

from examples.order_saga.processes import Process
from swit_saga import AlreadyExistsError, AsyncSagaClient, Participant, Saga, Step, StepContext, fixed
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually

PARTITIONS = 16
RETRY = fixed("50ms", max_attempts=60)
ORDER = Saga("order", retry=RETRY, steps=[Step(name, "shop", timeout="30s") for name in ("a", "b", "c")])


class Shop:
    """Steps that wait at a gate; every effect is counted once per key."""

    def __init__(self) -> None:
        self.participant = Participant("shop")
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_work: set[str] = set()
        self.books: dict[str, int] = {}
        for name in ("a", "b", "c"):
            self._add(name)

    def _add(self, name: str) -> None:
        async def execute(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            self.at_work.add(step.key)
            await self.gate.wait()
            self.at_work.discard(step.key)
            self.books[step.key] = 1
            return order

        async def undo(order: dict[str, Any], output: Any, step: StepContext) -> None:
            self.books.pop(step.execute_key, None)

        self.participant.step(name)(execute).compensate(undo)


def shares(redis: RedisServer) -> list[int]:
    """How many partitions each coordinator holds."""
    with Redis(port=redis.port, decode_responses=True) as client:
        owners = [client.hget(f"swit-saga:{{{p}}}:lease", "owner") for p in range(PARTITIONS)]
    return sorted(Counter(owner for owner in owners if owner).values())


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_two_coordinators_on_one_redis(tmp_path):
    shop = Shop()
    with running(RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")) as redis:
        config = tmp_path / "saga.yaml"
        config.write_text(
            f"storage:\n  type: redis\n  partitions: {PARTITIONS}\n"
            f"  redis: {{address: '127.0.0.1:{redis.port}', durability: fsync}}\n"
            "logging: {level: warning}\n"
        )
        async with shop.participant.serve("127.0.0.1:0") as server:
            where = f"--participant=shop=127.0.0.1:{server.port}"
            arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", where]
            one, other = (Process(name, arguments, tmp_path) for name in ("one", "other"))
            await asyncio.gather(one.start(), other.start())
            try:
                await eventually(lambda: shares(redis) == [PARTITIONS // 2, PARTITIONS // 2])
                async with (
                    AsyncSagaClient(f"127.0.0.1:{one.port}", timeout="30s") as first,
                    AsyncSagaClient(f"127.0.0.1:{other.port}", timeout="30s") as second,
                ):
                    await _any_takes_any_request(first, second, shop)
                    await _either_may_die(first, second, one, shop)
            finally:
                await asyncio.gather(one.stop(), other.stop())


async def _any_takes_any_request(first: AsyncSagaClient, second: AsyncSagaClient, shop: Shop) -> None:
    await first.register(ORDER)
    clients = (first, second)
    # The same start and a conflicting one, at both at once: one request wins, whichever.
    for n in range(8):
        answers = await asyncio.gather(
            *(clients[k % 2].start("order", {"variant": k // 2 % 2}, saga_id=f"dup-{n}") for k in range(8)),
            return_exceptions=True,
        )
        taken = [a for a in answers if not isinstance(a, BaseException)]
        refused = [a for a in answers if isinstance(a, AlreadyExistsError)]
        assert (len(taken), len(refused)) == (4, 4), answers
        assert [handle.created for handle in taken].count(True) == 1
    for n in range(8):
        saga = await clients[n % 2].wait(f"dup-{n}", timeout="20s")
        assert saga.state == "completed"
        seen = [event.sequence async for event in clients[(n + 1) % 2].watch(f"dup-{n}")]
        assert seen == list(range(1, len(seen) + 1))
    # A cancel at both: durable when it returns, the same answer from both.
    shop.gate.clear()
    for n in range(6):
        await clients[n % 2].start("order", {}, saga_id=f"stop-{n}")
    await eventually(lambda: len(shop.at_work) == 6)
    for n in range(6):
        views = await asyncio.gather(*(c.cancel(f"stop-{n}", "enough") for c in clients))
        assert {view.state for view in views} == {"compensating"}
    shop.gate.set()
    for n in range(6):
        assert (await clients[n % 2].wait(f"stop-{n}", timeout="20s")).state == "cancelled"
    assert not [key for key in shop.books if key.startswith("stop-")]


async def _either_may_die(first: AsyncSagaClient, second: AsyncSagaClient, one: Process, shop: Shop) -> None:
    shop.gate.clear()
    ids = [f"die-{n}" for n in range(40)]
    await asyncio.gather(*(first.start("order", {}, saga_id=i) for i in ids))
    await eventually(lambda: len(shop.at_work) == len(ids))
    seen: dict[str, list[int]] = {i: [] for i in ids}

    async def watch(saga_id: str) -> None:
        async for event in second.watch(saga_id):
            seen[saga_id].append(event.sequence)

    watching = [asyncio.create_task(watch(i)) for i in ids]
    await eventually(lambda: all(len(s) >= 2 for s in seen.values()))
    await one.kill()
    shop.gate.set()
    async with asyncio.timeout(40):
        await asyncio.gather(*watching)
    for saga_id in ids:
        assert (await second.get(saga_id)).state == "completed"
        assert seen[saga_id] == list(range(1, len(seen[saga_id]) + 1))
        assert sorted(key for key in shop.books if key.startswith(f"{saga_id}/")) == [f"{saga_id}/{s}" for s in "abc"]
    await one.start()
    assert (await first.get(ids[0])).state == "completed"
