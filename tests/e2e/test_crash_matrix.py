"""A coordinator killed before and after everything it persists, sends or receives; another takes over.

The points are those of ``engine.failpoints``, so a new one is run without being written here.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis import Redis

from examples.order_saga.processes import Process
from swit_saga import AlreadyFinishedError, AsyncSagaClient, Participant, Reject, Saga, Step, StepContext, fixed
from swit_saga_server.core.states import SagaState
from swit_saga_server.engine.failpoints import Point
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.invariants import check_history, require
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually, spend

PARTITIONS, SAGAS = 12, 8
STEPS = ("a", "b", "c")
WAYS = ("forward", "compensate", "cancel")
RETRY = fixed("50ms", max_attempts=100)
ORDER = Saga("order", retry=RETRY, compensation_retry=RETRY, steps=[Step(name, "shop", timeout="3s") for name in STEPS])
EXPECTED = {
    "forward": {SagaState.COMPLETED},
    "compensate": {SagaState.COMPENSATED},
    "cancel": {SagaState.CANCELLED, SagaState.COMPLETED},
}


@dataclass
class Shop:
    """Effects once per key, and every call noted."""

    participant: Participant = field(default_factory=lambda: Participant("shop"))
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    books: set[str] = field(default_factory=set)
    chance: Random = field(default_factory=lambda: Random(5))

    def __post_init__(self) -> None:
        for name in STEPS:
            self.participant.step(name)(self._execute(name)).compensate(self._undo)

    def _execute(self, name: str) -> Any:
        async def execute(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            self.calls[step.saga_id, name] += 1
            if order["way"] == "compensate" and name == STEPS[-1]:
                raise Reject("NO", "not this one")
            self.books.add(step.key)
            if order["way"] == "cancel":
                await spend(self.chance, 0.1, 0.3)  # A cancel finds it at work.
            return order

        return execute

    async def _undo(self, order: dict[str, Any], output: Any, step: StepContext) -> None:
        self.books.discard(step.execute_key)


@dataclass
class Testbed:
    """What all cases run on: a Redis, a coordinator that lives through them all, and the participant."""

    __test__ = False  # Its name looks like that of a class of tests.

    redis: RedisServer
    shop: Shop
    survivor: Process
    arguments: list[str]
    folder: Path
    names: "itertools.count[int]" = field(default_factory=itertools.count)

    def is_shared(self, even: list[int]) -> bool:
        with Redis(port=self.redis.port, decode_responses=True) as client:
            owners = [client.hget(f"swit-saga:{{{p}}}:lease", "owner") for p in range(PARTITIONS)]
        return sorted(Counter(owner for owner in owners if owner).values()) == even


@asynccontextmanager
async def running_testbed(folder: Path) -> AsyncIterator[Testbed]:
    shop = Shop()
    with running(RedisServer(folder / "redis", "--appendonly", "yes", "--appendfsync", "always")) as redis:
        config = folder / "saga.yaml"
        config.write_text(
            "coordinator: {lease_term: 1s, recovery_interval: 1s}\nlogging: {level: error}\n"
            f"storage:\n  type: redis\n  partitions: {PARTITIONS}\n"
            f"  redis: {{address: '127.0.0.1:{redis.port}', durability: fsync}}\n"
        )
        async with shop.participant.serve("127.0.0.1:0") as server:
            where = f"--participant=shop=127.0.0.1:{server.port}"
            arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", where]
            survivor = Process("survivor", arguments, folder)
            await survivor.start()
            try:
                yield Testbed(redis, shop, survivor, arguments, folder)
            finally:
                await survivor.stop()


@pytest.mark.e2e
@pytest.mark.timeout(240)
@pytest.mark.parametrize("what", sorted({point.partition(".")[0] for point in Point}))
async def test_killed_at_every_point(tmp_path, what):
    """Before it and after it."""
    async with running_testbed(tmp_path) as b:
        async with AsyncSagaClient(f"127.0.0.1:{b.survivor.port}") as client:
            await client.register(ORDER)
        for point in (p for p in Point if p.startswith(f"{what}.")):
            # Only a cancel is posted.
            ways = ("cancel",) if point in (Point.POST_BEFORE, Point.POST_AFTER) else WAYS
            victims = {way: _victim(b, point, way) for way in ways}
            try:
                await asyncio.gather(*(v.start() for v in victims.values()))
                even = [PARTITIONS // (len(ways) + 1)] * (len(ways) + 1)
                await eventually(partial(b.is_shared, even), within_s=20)
                await asyncio.gather(*(_case(b, victim, point, way) for way, victim in victims.items()))
            finally:
                await asyncio.gather(*(v.stop() for v in victims.values()))


def _victim(b: Testbed, point: Point, way: str) -> Process:
    """Killed in the middle: not the first time it gets there, unless that may be the only one."""
    times = 2 if point.startswith(("commit", "send", "receive")) else 1
    return Process(f"victim-{way}", b.arguments, b.folder, environment={"SAGA_KILL_AT": f"{point}:{times}"})


async def _case(b: Testbed, victim: Process, point: Point, way: str) -> None:
    ids = [f"{way}-{next(b.names)}" for _ in range(SAGAS)]
    # The client goes to the victim first, and to the survivor when that is dead.
    target = f"ipv4:127.0.0.1:{victim.port},127.0.0.1:{b.survivor.port}"
    async with AsyncSagaClient(target, timeout="20s") as client, asyncio.timeout(40):
        await asyncio.gather(*(_live(client, saga_id, way) for saga_id in ids))
    await eventually(lambda: not victim.is_running)
    await _check(b, ids, f"{point}, {way}", EXPECTED[way])


async def _live(client: AsyncSagaClient, saga_id: str, way: str) -> None:
    handle = await client.start("order", {"way": way}, saga_id=saga_id)
    if way == "cancel":
        try:
            await handle.cancel("enough")
        except AlreadyFinishedError:
            return
    await handle.wait()


async def _check(b: Testbed, ids: list[str], case: str, expected: set[SagaState]) -> None:
    store = RedisStore(RedisOptions(url=b.redis.url))
    await store.open()
    try:
        for saga_id, saga in zip(ids, await store.load(ids), strict=True):
            require(1, saga is not None, f"{case}: {saga_id} was acknowledged and is lost")
            assert saga is not None
            assert saga.state in expected, f"{case}: {saga_id} is {saga.state}"
            stored = await store.definition(saga.definition_id, saga.definition_version, saga.definition_digest)
            assert stored is not None
            check_history(saga, await store.events(saga_id, 0, 10_000), stored.definition)
            effects = {f"{saga_id}/{s}" for s in STEPS} if saga.state is SagaState.COMPLETED else set()
            found = {key for key in b.shop.books if key.startswith(f"{saga_id}/")}
            require(10, found == effects, f"{case}: {saga_id} is {saga.state}; the books say {found}")
            for step in saga.steps:
                called, call = b.shop.calls[saga_id, step.id], step.call
                require(
                    6, called <= call.attempts + call.resends, f"{case}: {saga_id}/{step.id}: {called} calls, {call}"
                )
    finally:
        await store.close()
