"""Coordinators stopped for three leases amid commits, then let go on: what they still have in hand changes nothing."""

import asyncio
import os
import random
import signal
from collections import Counter, defaultdict
from typing import Any

import pytest

from examples.order_saga.processes import Process
from swit_saga import AsyncSagaClient, Participant, Saga, Step, StepContext, fixed
from swit_saga_server.core.states import SagaState
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.invariants import check_history, require
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import spend

STOPS = int(os.environ.get("ZOMBIE_STOPS", "8"))
LEASE_S = 1.0
AT_ONCE = 30
RETRY = fixed("50ms", max_attempts=200)
STEPS = ("a", "b", "c")
ORDER = Saga(
    "order", retry=RETRY, compensation_retry=RETRY, steps=[Step(name, "shop", timeout="10s") for name in STEPS]
)


class Shop:
    """Quick steps, each effect once per key; every call is noted."""

    def __init__(self) -> None:
        self.participant = Participant("shop")
        self.calls: Counter[tuple[str, str]] = Counter()
        self.told: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        self.chance = random.Random(3)
        for name in STEPS:
            self.participant.step(name)(self._execute(name)).compensate(self._undo)

    def _execute(self, name: str) -> Any:
        async def execute(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            self.calls[step.saga_id, name] += 1
            self.told[step.saga_id, name].add((step.attempt, step.resend))
            await spend(self.chance, 0.01, 0.2)
            return order

        return execute

    async def _undo(self, order: dict[str, Any], output: Any, step: StepContext) -> None:
        """Nothing is to be put back."""


@pytest.mark.e2e
@pytest.mark.timeout(60 + STOPS * 10)
async def test_coordinators_stopped_for_three_leases(tmp_path):
    shop = Shop()
    with running(RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")) as redis:
        config = tmp_path / "saga.yaml"
        config.write_text(
            f"coordinator: {{lease_term: {LEASE_S:g}s}}\nlogging: {{level: warning}}\n"
            f"storage:\n  type: redis\n  partitions: 8\n"
            f"  redis: {{address: '127.0.0.1:{redis.port}', durability: fsync}}\n"
        )
        async with shop.participant.serve("127.0.0.1:0") as server:
            where = f"--participant=shop=127.0.0.1:{server.port}"
            arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", where]
            pair = [Process(name, arguments, tmp_path) for name in ("one", "other")]
            await asyncio.gather(*(p.start() for p in pair))
            try:
                ids = await _stop_and_go_on(pair, shop)
            finally:
                for process in pair:
                    process.tell(signal.SIGCONT)
                await asyncio.gather(*(p.stop() for p in pair))
        await _check(redis, ids, shop)
        lapses = sum((tmp_path / f"{p.name}.log").read_text().count("partition_") for p in pair)
        assert lapses >= STOPS, "no coordinator noticed that its time was over"


async def _stop_and_go_on(pair: list[Process], shop: Shop) -> list[str]:
    ids: list[str] = []
    stopping = True

    async def customer(client: AsyncSagaClient, name: str) -> None:
        number = 0
        while stopping:
            number += 1
            handle = await client.start("order", {"n": number}, saga_id=f"{name}-{number}")
            ids.append(handle.id)
            await handle.wait()

    # The client goes to whichever coordinator answers: what hangs in a stopped one is asked again.
    target = "ipv4:" + ",".join(f"127.0.0.1:{p.port}" for p in pair)
    async with AsyncSagaClient(target, timeout="30s") as client:
        await client.register(ORDER)
        customers = [asyncio.create_task(customer(client, f"c{n}")) for n in range(AT_ONCE)]
        for stop in range(STOPS):
            await spend(shop.chance, 0.2, 0.6)
            victim = pair[stop % 2]
            victim.tell(signal.SIGSTOP)
            await asyncio.sleep(3 * LEASE_S)  # noqa: TID251 # The fault itself lasts so long.
            victim.tell(signal.SIGCONT)
        stopping = False
        async with asyncio.timeout(50):
            await asyncio.gather(*customers)
    return ids


async def _check(redis: RedisServer, ids: list[str], shop: Shop) -> None:
    assert len(ids) > STOPS * AT_ONCE
    store = RedisStore(RedisOptions(url=redis.url))
    await store.open()
    try:
        resends = 0
        for saga_id, saga in zip(ids, await store.load(ids), strict=True):
            require(1, saga is not None, f"{saga_id} was acknowledged and is lost")
            assert saga is not None
            assert saga.state is SagaState.COMPLETED, saga
            stored = await store.definition(saga.definition_id, saga.definition_version, saga.definition_digest)
            assert stored is not None
            check_history(saga, await store.events(saga_id, 0, 10_000), stored.definition)
            for step in saga.steps:
                call = step.call
                resends += call.resends
                told = shop.told[saga_id, step.id]
                require(6, all(a <= call.attempts and r <= call.resends for a, r in told), f"{saga_id}: {told}, {call}")
                require(18, shop.calls[saga_id, step.id] <= call.attempts + call.resends, f"{saga_id}: {call}")
        assert resends, "no stop hit a step in flight"
    finally:
        await store.close()
