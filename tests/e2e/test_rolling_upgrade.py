"""Two coordinators on one Redis, upgraded one by one while sagas are under way, and taken back.

The one side is the commit that ``previous.txt`` names; the other is the working tree, and then what could follow it: a
made-up version of the next level. Every saga comes to its outcome, each effect is there once, and none is set aside.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bench.contestants.contestant import ROOT
from examples.order_saga.processes import Process
from swit_saga import AsyncSagaClient, Participant, Saga, Step, StepContext, UnavailableError, fixed
from swit_saga_server.store.contract import partition_of
from tests.support.next_level import LABEL
from tests.support.previous import NotThere, previous
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PARTITIONS = 8
STEPS = ("a", "b")
ORDER = Saga("order", retry=fixed("50ms", max_attempts=100), steps=[Step(name, "shop", timeout="1s") for name in STEPS])
WITHIN_S = 30
WITH_NEWER = {0, 2, 3, 5, 6}
"""Partitions that newer sagas are put in: one more than half of them, so that an older one must meet some."""


@dataclass(frozen=True, slots=True)
class Version:
    """How to run one: what comes before ``serve``, and in which environment."""

    name: str
    program: Sequence[str]
    environment: Mapping[str, str]


PRESENT = Version("present", ["-m", "swit_saga"], {})
NEXT = Version("next", ["-m", "tests.support.next_level"], {"PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def before() -> Version:
    try:
        tree = previous()
    except NotThere as why:
        pytest.fail(str(why))
    return Version(f"previous-{tree.commit[:7]}", ["-m", "swit_saga"], tree.environment)


def ids_in(partitions: Iterable[int]) -> list[str]:
    """Ids of two sagas in each."""
    found: dict[int, list[str]] = {}
    for n in range(200):
        found.setdefault(partition_of(f"new-{n}", PARTITIONS), []).append(f"new-{n}")
    return [saga_id for partition in partitions for saga_id in found[partition][:2]]


class Shop:
    """Steps that wait at a gate; what they did and undid is counted by saga."""

    def __init__(self) -> None:
        self.participant = Participant("shop")
        self.gate = asyncio.Event()
        self.at_work: set[str] = set()
        self.books: dict[str, set[str]] = {}
        for name in STEPS:
            self._add(name)

    def _add(self, name: str) -> None:
        async def execute(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
            saga_id = step.key.split("/")[0]
            self.at_work.add(saga_id)
            await self.gate.wait()
            self.books.setdefault(saga_id, set()).add(step.key)
            return order

        async def undo(order: dict[str, Any], output: Any, step: StepContext) -> None:
            self.books.get(step.execute_key.split("/")[0], set()).discard(step.execute_key)

        self.participant.step(name)(execute).compensate(undo)


class Fleet:
    """Two places for coordinators, each with a client, and the sagas that were begun by them."""

    def __init__(self, folder: Path, redis: RedisServer, shop: Shop, participant: int) -> None:
        self._folder = folder
        self._config = folder / "saga.yaml"
        self._config.write_text(
            f"storage:\n  type: redis\n  partitions: {PARTITIONS}\n"
            f"  redis: {{address: '127.0.0.1:{redis.port}', durability: relaxed}}\n"
            "coordinator: {lease_term: 2s}\nserver: {drain_timeout: 500ms}\nlogging: {level: warning, format: json}\n"
        )
        self._where = f"--participant=shop=127.0.0.1:{participant}"
        self._shop = shop
        self._redis = redis
        self._places: dict[str, Process] = {}
        self.clients: dict[str, AsyncSagaClient] = {}
        self._impatient: list[AsyncSagaClient] = []
        self.begun: dict[str, str] = {}
        """What is to come of each saga."""

    async def put(self, place: str, version: Version) -> None:
        """Have this version run there, from now on, whatever ran before."""
        port = 0
        if (running := self._places.get(place)) is not None:
            port = running.port
            await running.stop()
        arguments = [
            *version.program, "serve", f"--config={self._config}", "--listen=127.0.0.1:{port}", self._where
        ]  # fmt: skip
        name = f"{place}-{version.name}"
        self._places[place] = process = Process(
            name, arguments, self._folder, port=port, environment=version.environment
        )
        await process.start()
        if place not in self.clients:
            self.clients[place] = AsyncSagaClient(f"127.0.0.1:{process.port}", timeout=f"{WITHIN_S}s")

    def impatient(self, place: str) -> AsyncSagaClient:
        """A client that soon gives up what is refused for now."""
        client = AsyncSagaClient(f"127.0.0.1:{self._places[place].port}", timeout="700ms", batch_starts=False)
        self._impatient.append(client)
        return client

    async def begin(self, name: str, number: int = 6) -> list[str]:
        """Start so many sagas, in turn by either, and see them at work."""
        return await self.begin_all([f"{name}-{n}" for n in range(number)])

    async def begin_all(self, ids: list[str], labels: Mapping[str, str] | None = None) -> list[str]:
        """Start these."""
        clients = list(self.clients.values())
        for n, saga_id in enumerate(ids):
            await clients[n % len(clients)].start("order", {}, saga_id=saga_id, labels=labels)
            self.begun[saga_id] = "completed"
        await eventually(lambda: self._shop.at_work >= set(ids), WITHIN_S)
        return ids

    async def cancel(self, saga_id: str, place: str) -> None:
        await self.clients[place].cancel(saga_id, "enough")
        self.begun[saga_id] = "cancelled"

    async def end(self, ids: Iterable[str], *places: str) -> None:
        """Let their steps go on, and see the outcome of each, at either."""
        self._shop.gate.set()
        for place in places or self.clients:
            client = self.clients[place]
            sagas = await asyncio.gather(*(client.wait(saga_id, timeout=f"{WITHIN_S}s") for saga_id in ids))
            assert {saga.id: saga.state for saga in sagas} == {i: self.begun[i] for i in ids}
        self._shop.gate.clear()

    def partitions_of(self, place: str) -> set[int]:
        """Those that the coordinator there holds."""
        with Redis(port=self._redis.port, decode_responses=True) as client:
            owners = {p: str(client.hget(f"swit-saga:{{{p}}}:lease", "owner")) for p in range(PARTITIONS)}
        return {p for p, owner in owners.items() if owner.endswith(f"-{self._places[place].pid}")}

    async def stop(self) -> None:
        await asyncio.gather(*(c.close() for c in (*self.clients.values(), *self._impatient)))
        await asyncio.gather(*(p.stop() for p in self._places.values()))

    def said(self) -> list[dict[str, Any]]:
        """What all coordinators logged, warnings and worse."""
        lines = [line for log in sorted(self._folder.glob("*.log")) for line in log.read_text().splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def check(self, place: str) -> None:
        """That all came out right, and nothing was set aside or taken for damage."""
        client = self.clients[place]
        found = {saga.id: saga.state async for saga in client.list()}
        assert found == self.begun
        assert [saga.id async for saga in client.list(stuck=True)] == []
        assert (await client.metrics()).parked_sagas == 0
        for saga_id, state in self.begun.items():
            steps = STEPS if state == "completed" else ()
            assert self._shop.books.get(saga_id, set()) == {f"{saga_id}/{step}" for step in steps}
        errors = {line["event"] for line in self.said() if line["level"] in ("error", "critical")}
        assert errors <= {"not_serving"}, "which one says that has, for a moment, no partition that it can read"


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    shop = Shop()
    with running(RedisServer(folder / "redis")) as redis:
        async with shop.participant.serve("127.0.0.1:0") as server:
            made = Fleet(folder, redis, shop, server.port)
            try:
                yield made
            finally:
                shop.gate.set()
                await made.stop()


async def test_from_the_commit_before_to_the_present_one_and_back(before, tmp_path):
    async with fleet(tmp_path) as both:
        await asyncio.gather(both.put("a", before), both.put("b", before))
        await both.clients["a"].register(ORDER)
        for n, (place, version) in enumerate((("a", PRESENT), ("b", PRESENT), ("a", before), ("b", before))):
            ids = await both.begin(f"s{n}")
            await both.put(place, version)
            await both.cancel(ids[0], "a")
            await both.cancel(ids[1], "b")
            ids += await both.begin(f"t{n}", 4)
            await both.end(ids)
        await both.check("a")
        assert not [line for line in both.said() if "newer" in line["event"]]


async def test_to_the_next_level_and_back(before, tmp_path):
    new = {LABEL: "1"}
    async with fleet(tmp_path) as both:
        await both.put("a", before)
        await both.put("b", NEXT)  # Knows of the other from the first.
        await both.clients["a"].register(ORDER)
        ids = await both.begin("mixed")
        # The one of the next level writes nothing that the other could not read.
        with pytest.raises(UnavailableError, match=r"Saga\.new needs level 3"):
            await both.impatient("b").start("order", {}, saga_id="too soon", labels=new)
        await both.put("a", NEXT)
        await both.end(ids)
        newer = await both.begin_all(ids_in(WITH_NEWER), labels=new)
        # One that is older comes back: what is newer is not its business, and all the rest is.
        await both.put("a", before)
        await eventually(lambda: both.partitions_of("a") == set(range(PARTITIONS)) - WITH_NEWER, WITHIN_S)
        ids = await both.begin("back")
        await both.cancel(newer[0], "b")
        await both.cancel(ids[0], "a")
        await both.end(newer, "b")
        await both.end(ids)
        with pytest.raises(UnavailableError, match="newer version"):
            await both.impatient("a").get(newer[1])
        left = {line["saga_id"] for line in both.said() if line["event"] == "saga_left_to_newer"}
        assert 0 < len(left) <= len(newer)
        assert left <= set(newer)
        await both.check("b")


def test_a_clone_without_that_commit_is_told_what_to_do(tmp_path):
    named = tmp_path / "previous.txt"
    named.write_text("# Why.\n" + "0" * 39 + "1\n")
    with pytest.raises(NotThere, match="git fetch --unshallow"):
        previous(named)
