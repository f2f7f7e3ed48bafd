"""SIGKILL of the coordinator, over and over, while sagas run. Every saga ends as it should, and the books agree."""

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from examples.order_saga.processes import Process
from swit_saga import AlreadyFinishedError, AsyncSagaClient, Participant, Reject, Saga, Step, StepContext, fixed
from swit_saga_server.core.model import Saga as SagaRecord
from swit_saga_server.core.model import is_in_flight
from swit_saga_server.core.states import CompensationStatus, SagaState
from swit_saga_server.store.conformance.samples import FAR
from swit_saga_server.store.sqlite import SqliteStore
from tests.support.invariants import check_history, require
from tests.support.waiting import eventually, spend

SAGAS, KILLS, IN_MID_STEP = 200, 10, 20
STEPS = ("order", "stock", "pay", "ship")
RETRY = fixed("50ms", max_attempts=60)
ORDER = Saga(
    "crash",
    timeout="10m",
    retry=RETRY,
    compensation_retry=RETRY,
    steps=[Step(name, "shop", timeout="20s") for name in STEPS],
)


class Shop:
    """Steps that take a while, fail now and then, and keep books that remember every call."""

    def __init__(self) -> None:
        self.participant = Participant("shop")
        self.calls: Counter[tuple[str, str]] = Counter()
        self.undos: Counter[tuple[str, str]] = Counter()
        self.books: defaultdict[str, set[str]] = defaultdict(set)
        self.at_work = 0
        self.chance = random.Random(7)
        for name in STEPS:
            self._add(name)

    def _add(self, name: str) -> None:
        async def execute(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            self.calls[step.saga_id, name] += 1
            await self._work()
            if order.get("reject") == name:
                raise Reject("REFUSED", f"{name} does not want to")
            self.books[step.saga_id].add(name)
            if self.chance.random() < 0.1:
                raise RuntimeError("the reply is lost after the effect")
            return order

        async def undo(order: dict[str, Any], output: Any, step: StepContext) -> None:
            self.undos[step.saga_id, name] += 1
            await self._work()
            self.books[step.saga_id].discard(name)
            if self.chance.random() < 0.1:
                raise RuntimeError("the reply is lost after the undo")

        self.participant.step(name)(execute).compensate(undo)

    async def _work(self) -> None:
        self.at_work += 1
        try:
            await spend(self.chance, 1.0, 4.0)
        finally:
            self.at_work -= 1


def order(number: int) -> dict[str, Any]:
    """Every third is rejected, at one step or another."""
    return {"n": number} | ({"reject": STEPS[number // 3 % 4]} if number % 3 == 0 else {})


async def try_to_cancel(client: AsyncSagaClient, saga_id: str) -> bool:
    """Whether it was taken; a saga that is over already refuses it."""
    try:
        await client.cancel(saga_id, "changed my mind")
    except AlreadyFinishedError:
        return False
    return True


async def in_mid_step(path: Path) -> int:
    """Sagas with a command out, as a dead coordinator left them in its file."""
    store = SqliteStore(path)
    await store.open()
    try:
        return sum([len(await store.in_flight(p, "", 10_000)) for p in range(store.partitions)])
    finally:
        await store.close()


@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_ten_kills_in_mid_saga(tmp_path):
    shop = Shop()
    database = tmp_path / "saga.db"
    config = tmp_path / "saga.yaml"
    config.write_text(f"storage: {{connection: '{database}'}}\nlogging: {{level: error}}\n")
    cancelled: set[str] = set()
    async with shop.participant.serve("127.0.0.1:0") as server:
        where = f"--participant=shop=127.0.0.1:{server.port}"
        arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", where]
        coordinator = Process("coordinator", arguments, tmp_path)
        await coordinator.start()
        try:
            async with AsyncSagaClient(f"127.0.0.1:{coordinator.port}", timeout="60s") as client:
                await client.register(ORDER)
                ids = [f"s-{n}" for n in range(SAGAS + 5 * KILLS)]

                async def start(number: int) -> None:
                    await client.start("crash", order(number), saga_id=ids[number])

                starts = [asyncio.create_task(start(number)) for number in range(SAGAS)]
                await asyncio.gather(*starts)
                for kill in range(KILLS):
                    # Some starts and a cancel meet a coordinator that is about to die.
                    late = range(SAGAS + kill * 5, SAGAS + (kill + 1) * 5)
                    starts += [asyncio.create_task(start(number)) for number in late]
                    victim = ids[kill * 7 + 1]
                    cancel = asyncio.create_task(try_to_cancel(client, victim))
                    await spend(shop.chance, 0.0, 0.5)
                    await eventually(lambda: shop.at_work >= IN_MID_STEP + 5, within_s=20)
                    await coordinator.kill()
                    assert await in_mid_step(database) >= IN_MID_STEP
                    await coordinator.start()
                    if await cancel:
                        cancelled.add(victim)
                await asyncio.gather(*starts)
                async with asyncio.timeout(90):
                    await asyncio.gather(*(client.wait(saga_id) for saga_id in ids))
        finally:
            await coordinator.stop()

    sagas = await _check(database, ids)
    for number, saga_id in enumerate(ids):
        saga = sagas[saga_id]
        if saga_id in cancelled:
            require(1, saga.state in (SagaState.CANCELLED, SagaState.COMPENSATED), f"{saga_id}: its cancel is lost")
        else:
            assert saga.state is (SagaState.COMPENSATED if "reject" in order(number) else SagaState.COMPLETED), saga_id
        effects = set(STEPS) if saga.state is SagaState.COMPLETED else set()
        require(10, shop.books[saga_id] == effects, f"{saga_id} is {saga.state}; the books say {shop.books[saga_id]}")
        for step in saga.steps:
            called = shop.calls[saga_id, step.id]
            assert called <= step.call.attempts + step.call.resends, f"{saga_id}/{step.id}: {called} calls, {step.call}"
            comp = step.compensation
            undone = shop.undos[saga_id, step.id]
            assert undone <= (comp.call.attempts + comp.call.resends if comp else 0), f"{saga_id}/{step.id}: {comp}"
            if comp is not None and comp.status is CompensationStatus.COMPLETED:
                assert undone
    assert any(s.call.resends for saga in sagas.values() for s in saga.steps), "no kill hit a step in flight"
    assert {s.state for s in sagas.values()} >= {SagaState.COMPLETED, SagaState.COMPENSATED}


async def _check(database: Path, ids: list[str]) -> dict[str, SagaRecord]:
    """Invariants 1-11 on what was recorded."""
    store = SqliteStore(database)
    await store.open()
    try:
        sagas = await store.load(ids)
        for saga_id, saga in zip(ids, sagas, strict=True):
            require(1, saga is not None, f"{saga_id} was acknowledged and is lost")
            assert saga is not None
            require(14, saga.state.is_terminal and not is_in_flight(saga), f"{saga_id} is {saga.state}")
            stored = await store.definition(saga.definition_id, saga.definition_version, saga.definition_digest)
            assert stored is not None
            check_history(saga, await store.events(saga_id, 0, 10_000), stored.definition)
        assert [list(await store.due(p, FAR, 10)) for p in range(store.partitions)] == [[]] * store.partitions
        return {s.id: s for s in sagas if s is not None}
    finally:
        await store.close()
