"""Redis loses what it had confirmed, or a cursor points to nowhere: it is said once, who waits is told, all goes on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from swit_saga import CallError, Participant, Saga, SagaClientError, Step, UnavailableError
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.store.redis import rounds
from tests.support.logs import logged
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually, never

ORDER = Saga("order", steps=[Step("a", "shop", timeout="60s"), Step("b", "shop")])


@dataclass
class Many:
    """Coordinators on one Redis, and a participant whose first step waits until it is let go on."""

    redis: RedisServer
    admin: Redis
    logs: list[Any]
    go: asyncio.Event = field(default_factory=asyncio.Event)
    coordinators: list[Coordinator] = field(default_factory=list)

    def participant(self) -> Participant:
        made = Participant("shop")

        @made.step("a")
        async def first(order: int) -> int:
            await self.go.wait()
            return order

        @made.step("b")
        async def second(order: int) -> int:
            return order

        for step in (first, second):

            @step.compensate
            async def undo(order: int) -> None:
                """Nothing is to be put back."""

        return made

    def said(self, event: str) -> list[Any]:
        return [line for line in self.logs if line["event"] == event]

    def snapshot(self) -> Mapping[Any, Any]:
        return {key: self.admin.dump(key) for key in self.admin.keys("*")}

    def restore(self, taken: Mapping[Any, Any]) -> None:
        pipe = self.admin.pipeline(transaction=True)
        pipe.flushall()
        for key, dump in taken.items():
            pipe.restore(key, 0, dump)
        pipe.execute()


@asynccontextmanager
async def many(folder: Path, number: int = 1) -> AsyncIterator[Many]:
    with running(RedisServer(folder / "redis")) as redis, Redis(port=redis.port) as admin, logged() as logs:
        made = Many(redis, admin, logs)
        async with AsyncExitStack() as stack:
            for n in range(number):
                overrides = {
                    "coordinator": {"name": f"c{n}", "lease_term": "1s", "recovery_interval": "1s"},
                    "storage": {"type": "redis", "redis": {"address": f"127.0.0.1:{redis.port}"}, "partitions": 4},
                }
                config = SagaConfig.load(overrides=overrides)
                opened = Coordinator.open(config, participants=[made.participant()])
                made.coordinators.append(await stack.enter_async_context(opened))
            await made.coordinators[0].register(ORDER)
            yield made
            made.go.set()


async def told(awaitable: Any) -> Exception | Any:
    try:
        async with asyncio.timeout(10):
            return await awaitable
    except SagaClientError as error:
        return error


async def events_of(coordinator: Coordinator, saga_id: str, seen: list[int]) -> None:
    async for event in coordinator.watch(saga_id):
        seen.append(event.sequence)


@pytest.mark.timeout(60)
async def test_a_flush_under_load(tmp_path):
    """One line, one count; who waits or watches is told that the saga is lost; starts go on, health is truthful."""
    async with many(tmp_path, 2) as m:
        for n in range(20):
            await m.coordinators[n % 2].start("order", n, saga_id=f"o-{n}")
        waits = [asyncio.create_task(told(m.coordinators[c].wait(f"o-{n}"))) for n in range(20) for c in (0, 1)]
        seen: dict[tuple[int, int], list[int]] = {(n, c): [] for n in range(20) for c in (0, 1)}
        watches = [asyncio.create_task(told(events_of(m.coordinators[c], f"o-{n}", seen[n, c]))) for n, c in seen]
        await eventually(lambda: all(seen.values()))
        m.admin.flushall()
        for outcome in await asyncio.gather(*waits, *watches):
            assert isinstance(outcome, CallError), outcome
            assert outcome.reason == "SAGA_LOST", outcome
        print(
            m.said("store_rewound"),
            m.said("store_rewound_here_too"),
            [x for x in m.logs if x["level"] in ("error", "critical", "warning")][:12],
        )
        await eventually(lambda: len(m.said("store_rewound")) == 2)
        for c in m.coordinators:
            assert (await c.metrics()).store_rewinds == 1
        m.go.set()

        async def is_made() -> bool:
            try:
                await m.coordinators[0].register(ORDER)
                handle = await m.coordinators[0].start("order", 1, saga_id="after")
            except UnavailableError:
                return False
            return (await handle.wait()).state == "completed"

        await eventually(is_made)
        await m.coordinators[0].health()
        assert not m.said("engine_failed")


@pytest.mark.timeout(60)
async def test_an_older_snapshot(tmp_path):
    """A watch through another coordinator, which stood at a position that the store does not have any more, is told."""
    async with many(tmp_path, 2) as m:
        ids = [f"o-{n}" for n in range(8)]
        for saga_id in ids:
            await m.coordinators[0].start("order", 1, saga_id=saga_id)
        seen: dict[tuple[str, int], list[int]] = {(i, c): [] for i in ids for c in (0, 1)}
        watches = [asyncio.create_task(told(events_of(m.coordinators[c], i, seen[i, c]))) for i, c in seen]
        await eventually(lambda: all(len(s) >= 2 for s in seen.values()))
        taken = m.snapshot()
        for saga_id in ids:
            await m.coordinators[0].cancel(saga_id)
        await eventually(lambda: all(len(s) > 2 for s in seen.values()))
        m.restore(taken)
        m.go.set()
        for outcome in await asyncio.gather(*watches):
            assert outcome is None or getattr(outcome, "reason", "") in ("CURSOR_OUT_OF_RANGE", "STORE_REWOUND"), (
                outcome
            )
        assert m.said("store_rewound")
        for saga_id in ids:
            assert (await m.coordinators[1].wait(saga_id)).state == "completed"


@pytest.mark.timeout(60)
async def test_a_feed_that_is_gone_is_read_anew(tmp_path, monkeypatch):
    """Trimmed past a slow reader, deleted, or its position set back: the watch goes on, and the engine, too."""
    monkeypatch.setattr(rounds, "FEED_LENGTH", 1)
    async with many(tmp_path, 2) as m:
        for spoil in ("trim", "delete", "position", "type"):
            saga_id = f"o-{spoil}"
            m.go.clear()
            await m.coordinators[0].start("order", 1, saga_id=saga_id)
            seen: tuple[list[int], list[int]] = ([], [])
            watches = [asyncio.create_task(events_of(m.coordinators[c], saga_id, seen[c])) for c in (0, 1)]
            first, second = seen

            def are_begun(first: list[int] = first, second: list[int] = second) -> bool:
                return bool(first and second)

            await eventually(are_begun)
            for n in range(4):
                feed, position = f"swit-saga:{{{n}}}:feed", f"swit-saga:{{{n}}}:pos"
                match spoil:
                    case "trim" if m.admin.exists(feed):
                        m.admin.xadd(feed, {"i": "x", "n": 1, "q": 1}, id=f"{m.admin.incrby(position, 10)}-0")
                        m.admin.xtrim(feed, maxlen=1, approximate=False)
                    case "delete":
                        m.admin.delete(feed)
                    case "position":
                        m.admin.delete(position)
                    case "type":
                        m.admin.set(feed, "somebody else's")
            m.go.set()
            async with asyncio.timeout(10):
                await asyncio.gather(*watches)
            assert seen[0] == seen[1] == list(range(1, len(seen[0]) + 1))
        assert not m.said("engine_failed")


@pytest.mark.timeout(60)
async def test_set_up_anew_with_other_partitions(tmp_path):
    """By a coordinator that started in between: this one must not write by its own count, and says so."""
    async with many(tmp_path) as m:
        (c,) = m.coordinators
        pipe = m.admin.pipeline(transaction=True)
        pipe.flushall()
        pipe.hset("swit-saga:{d}:meta", mapping={"schema": 3, "partitions": 7})
        pipe.execute()

        async def is_refused() -> bool:
            outcome = await told(c.health())
            return isinstance(outcome, UnavailableError) and "with 7 partitions" in str(outcome)

        await eventually(is_refused)
        await never(lambda: m.said("engine_failed"))
