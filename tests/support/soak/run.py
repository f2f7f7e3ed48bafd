"""One soak: customers at work, faults for so many seconds, calm, and judgement."""

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from swit_saga_server.core.model import Saga, is_in_flight
from swit_saga_server.core.states import SagaState
from swit_saga_server.store.conformance.samples import FAR
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.invariants import require
from tests.support.soak.checker import Books, Record, judge
from tests.support.soak.customers import Customers
from tests.support.soak.fault_injector import LINK_FAULTS, FaultInjector
from tests.support.soak.history import Life
from tests.support.soak.testbed import Testbed, running_testbed

CUSTOMERS = 60
CALM_S = 60.0
"""By then everything has its outcome, counted from the end of the last fault."""


@dataclass(frozen=True, slots=True)
class Report:
    """What happened; nothing was violated, or there would be none.

    Attributes:
        outcomes: Sagas, by their last state.
        fired: Faults that met something, by (kind of pair, fault); kinds of pairs are ``client-coordinator``,
            ``coordinator-redis`` and ``coordinator-participant``.
        killed: Processes killed or stalled, by (name, fault).
        resends: Commands sent again after a takeover.
        calm_s: How long after the last fault the last saga had its outcome.
        reads, watched: What customers saw: states, and events.
    """

    outcomes: Counter[str]
    fired: Counter[tuple[str, str]]
    killed: Counter[tuple[str, str]]
    resends: int
    attempts_in_doubt: int
    calm_s: float
    reads: int
    watched: int

    def __str__(self) -> str:
        def row(counter: Counter[tuple[str, str]]) -> str:
            return ", ".join(f"{who} {what} {n}" for (who, what), n in sorted(counter.items()))

        return (
            f"{self.outcomes.total()} sagas: {dict(sorted(self.outcomes.items()))}\n"
            f"all had their outcome {self.calm_s:.1f} s after the last fault; {self.resends} commands sent again after "
            f"a takeover, {self.attempts_in_doubt} attempts repeated\n"
            f"{self.reads} states read, {self.watched} events watched; invariants 1-18 hold\n"
            f"links: {row(self.fired)}\nprocesses: {row(self.killed)}"
        )


async def soak(folder: Path, seconds: float, seed: int) -> Report:
    """Run and judge.

    Raises:
        Violated: An invariant does not hold.
    """
    chance = random.Random(seed)
    async with running_testbed(folder) as made:
        customers, injector = Customers(made.clients, chance), FaultInjector(made, chance)
        await customers.register()
        crowd = asyncio.create_task(customers.run(CUSTOMERS))
        await injector.run(seconds)
        customers.close()
        calm = time.monotonic()
        done, _ = await asyncio.wait([crowd], timeout=CALM_S)
        late = [life.saga_id for life in customers.lives if not life.outcome]
        if not done:
            crowd.cancel()
            await asyncio.gather(crowd, return_exceptions=True)
        require(14, done, f"{CALM_S:g} s after the last fault there is no outcome for {late}")
        await crowd
        calm_s = time.monotonic() - calm
        dead = [p.name for p in made.processes if not p.is_running]
        require(1, not dead, f"{dead} ended by themselves")
        sagas = await _judge_all(made, customers.lives)
    return _report(made, injector, customers.lives, sagas, calm_s)


async def _judge_all(made: Testbed, lives: Sequence[Life]) -> Sequence[Saga]:
    books = {life.saga_id: Books(calls=[], rejections=[]) for life in lives}
    for name in made.participants:
        _read_books(made.books(name), books)
    sagas: list[Saga] = []
    async with _store(made) as store:
        for life in lives:
            (saga,) = await store.load([life.saga_id])
            shown = [
                (e.sequence, e.type, e.proto.SerializeToString(deterministic=True))
                async for e in made.clients[0].watch(life.saga_id)
            ]
            key = (saga.definition_id, saga.definition_version, saga.definition_digest) if saga else ("", 0, "")
            stored = await store.definition(*key)
            events = await store.events(life.saga_id, 0, 100_000)
            judge(Record(life, saga, events, stored.definition if stored else None, shown, books[life.saga_id]))
            if saga is not None:
                assert saga.initial_data is not None
                require(13, json.loads(saga.initial_data.data) == life.order, f"{saga.id} has another order's data")
                sagas.append(saga)
        for partition in range(store.partitions):
            require(14, not await store.due(partition, FAR, 10), f"something is still due in partition {partition}")
            require(14, not await store.in_flight(partition, "", 10), f"partition {partition} has steps in flight")
            require(14, not await store.inbox(partition, 10), f"the inbox of partition {partition} is not empty")
    failed = {s.id for s in sagas if s.state is SagaState.FAILED}
    for client in made.clients:
        listed = {saga.id async for saga in client.list(states=["failed"])}
        require(16, listed == failed, f"failed and not listed: {failed - listed}; listed: {listed - failed}")
    require(14, not any(is_in_flight(s) for s in sagas), "in flight, and over")
    return sagas


@asynccontextmanager
async def _store(made: Testbed) -> AsyncIterator[RedisStore]:
    store = RedisStore(RedisOptions(url=made.redis.url))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _read_books(path: Path, books: dict[str, Books]) -> None:
    db = sqlite3.connect(path)
    try:
        rows: defaultdict[str, list[tuple[str, str, int, int]]] = defaultdict(list)
        for saga, *row in db.execute("SELECT saga, step, kind, attempt, resend FROM calls"):
            rows[saga].append(tuple(row))
        for saga, calls in rows.items():
            books[saga].calls.extend(calls)  # type: ignore[attr-defined] # made as a list above
        for saga, *row in db.execute("SELECT saga, step, kind, attempt FROM rejections"):
            books[saga].rejections.append(tuple(row))  # type: ignore[attr-defined]
        for saga, step, change in db.execute("SELECT saga, step, change FROM ledger"):
            books[saga].ledger[step] += change
    finally:
        db.close()


def _report(
    made: Testbed, injector: FaultInjector, lives: Sequence[Life], sagas: Sequence[Saga], calm_s: float
) -> Report:
    fired: Counter[tuple[str, str]] = Counter()
    for name, link in made.links.items():
        for fault, number in link.fired.items():
            fired[_kind(name), fault] += number
    calls = [c for s in sagas for st in s.steps for c in (st.call, st.compensation and st.compensation.call) if c]
    return Report(
        outcomes=Counter(str(s.state) for s in sagas),
        fired=fired,
        killed=Counter({card: n for card, n in injector.played.items() if card[1] not in LINK_FAULTS}),
        resends=sum(c.resends for c in calls),
        attempts_in_doubt=sum(max(c.attempts - 1, 0) for c in calls),
        calm_s=calm_s,
        reads=sum(len(reader) for life in lives for reader in life.reads),
        watched=sum(len(watch) for life in lives for watch in life.watches),
    )


def _kind(link: str) -> str:
    match link.split("-"):
        case ["client", _]:
            return "client-coordinator"
        case [_, "redis"]:
            return "coordinator-redis"
        case _:
            return "coordinator-participant"


def require_every_fault(report: Report) -> None:
    """A soak in which a fault never met anything shows nothing about it."""
    for pair in ("client-coordinator", "coordinator-redis", "coordinator-participant"):
        for fault in LINK_FAULTS:
            assert report.fired[pair, fault], f"no {pair} link was {fault}: {report}"
    killed = {name for name, fault in report.killed if fault == "killed"}
    assert killed >= {"redis", "stock", "bank"}, report
    assert any(name.startswith("c") for name in killed), report
    assert any(fault == "stalled" for _, fault in report.killed), report
    assert report.resends, "no kill hit a command in flight"
    assert report.attempts_in_doubt, "nothing was ever in doubt"
