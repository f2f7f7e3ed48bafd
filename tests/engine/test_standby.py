"""A coordinator that holds no partition serves all the same, and says so: what it is asked it does by the store."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from swit_saga_server.core.errors import CoordinatorUnavailable, StoreUnavailable
from swit_saga_server.core.units import SECOND, Instant
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.service import Limits, SagaService
from tests.support.core.drive import SETTINGS, done
from tests.support.engine.harness import Bench, FaultyStore, bench, over

OPTIONS = {"lease_term": 2 * SECOND, "inbox_poll": SECOND // 5, "watch_poll": SECOND // 50, "timer_poll": SECOND // 2}


def service(of: Bench) -> SagaService:
    return SagaService(of.engine, SETTINGS, Limits())


async def test_it_serves(tmp_path):
    store = FaultyStore(tmp_path / "saga.db", partitions=1)
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        holder = await stack.enter_async_context(bench(tmp_path, store=store, owner="holder", **OPTIONS))
        standby = await stack.enter_async_context(bench(tmp_path, store=store, owner="standby", **OPTIONS))
        assert (list(holder.engine.ownership), list(standby.engine.ownership)) == ([0], [])
        for one in (holder, standby):
            await service(one).health()
        saga, created = await standby.begin("s")
        assert (saga.id, created) == ("s", True)
        holder.answer(await holder.command("a"), done())
        holder.answer(await holder.command("b"), done())
        await holder.until("s", over)
        assert over(await standby.engine.get("s"))


async def test_it_does_not_without_its_store(tmp_path, monkeypatch):
    store = FaultyStore(tmp_path / "saga.db", partitions=1)
    await store.open()
    async with bench(tmp_path, store=store) as one:
        asked = service(one)
        await asked.health()

        async def away() -> Instant:
            raise StoreUnavailable("away")

        monkeypatch.setattr(store, "now", away)
        with pytest.raises(CoordinatorUnavailable, match="away"):
            await asked.health()
    await store.close()


async def test_nor_with_an_engine_that_failed(tmp_path):
    store = FaultyStore(tmp_path / "saga.db", partitions=1)
    await store.open()
    try:
        one = Bench(store, EngineOptions(owner="test"))
        await one.engine.start()
        one.engine.failure = RuntimeError("a bug")
        with pytest.raises(CoordinatorUnavailable, match="a bug"):
            await service(one).health()
        await asyncio.wait_for(one.engine.stop(0.0), 10)
    finally:
        await store.close()
