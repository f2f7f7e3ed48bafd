"""Starts without a task each: answered once, in time, whoever holds the saga."""

import asyncio
from typing import Any

import pytest

from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable, SagaAlreadyExists
from swit_saga_server.core.units import SECOND
from tests.support.core.drive import done
from tests.support.engine.harness import Bench, bench, over
from tests.support.waiting import eventually


def offer(b: Bench, saga_id: str, fingerprint: str = "f") -> list[Any]:
    """The results of the start."""
    results: list[Any] = []
    b.engine.offer(b.saga(saga_id, fingerprint), b.definition, results.append)
    return results


async def test_told_once_it_is_durable(tmp_path):
    async with bench(tmp_path) as b:
        b.store.open_gate.clear()
        results = offer(b, "s")
        await b.store.round_begun(1)
        assert not results
        b.store.open_gate.set()
        await eventually(lambda: results)
        ((saga, created),) = results
        assert (saga.id, created) == ("s", True)
        again, other = offer(b, "s"), offer(b, "s", "another")
        await eventually(lambda: again and other)
        assert again[0][1] is False
        assert isinstance(other[0], SagaAlreadyExists)
        assert len(results) == len(again) == len(other) == 1


async def test_a_start_of_anothers_saga_goes_through_the_store(tmp_path):
    async with bench(tmp_path) as b:
        assert await b.store.acquire(0, "test", 10 * SECOND)
        results = [offer(b, f"s{n}") for n in range(3)]
        await eventually(lambda: all(results))
        assert [created for ((_, created),) in results] == [True] * 3
        # Where they were sent in two rounds, a second step may be out before another's first.
        await eventually(lambda: {c.saga_id for c in b.transport.sent} == {"s0", "s1", "s2"})
        for first in [c for c in b.transport.sent if c.step_index == 0]:
            b.answer(first, done())
        await eventually(lambda: len(b.transport.sent) == 6)


async def test_a_start_of_a_partition_that_is_not_held(tmp_path):
    async with bench(tmp_path, lease_term=SECOND) as b:
        b.store.acquire = _taken  # type: ignore[method-assign]
        b.engine.ownership.fenced(0)
        results, refused = offer(b, "s"), offer(b, "s", "another")
        await eventually(lambda: results and refused)
        assert results[0][1] is True
        assert isinstance(refused[0], SagaAlreadyExists)
        assert not b.transport.sent, "its holder sets it going"


async def _taken(partition: int, owner: str, term: int) -> None:
    """In place of ``StateStorage.acquire``."""


async def test_nobody_waits_for_ever(tmp_path):
    async with bench(tmp_path, answer_timeout=SECOND // 10) as b:
        b.store.open_gate.clear()
        first = offer(b, "s1")
        await eventually(lambda: first)
        second = offer(b, "s2")
        await eventually(lambda: second)
        assert isinstance(first[0], CoordinatorUnavailable)
        assert isinstance(second[0], CoordinatorUnavailable)
        b.store.open_gate.set()
        await eventually(lambda: b.engine.is_quiet or b.transport.sent)
        assert len(first) == len(second) == 1, "and has one result each"


async def test_stopping_tells_everybody(tmp_path):
    async with bench(tmp_path) as b:
        b.store.open_gate.clear()
        results = [offer(b, f"s{n}") for n in range(3)]
        await b.store.round_begun(1)
        stopping = asyncio.create_task(b.engine.stop(0.2))
        await eventually(lambda: not b.engine.requests.accepting)
        with pytest.raises(CoordinatorStopping):
            offer(b, "late")
        b.store.open_gate.set()
        await stopping
        assert all(len(t) == 1 for t in results)
        assert all(isinstance(t[0], CoordinatorStopping) or t[0][1] is True for t in results)


async def test_the_saga_runs(tmp_path):
    async with bench(tmp_path) as b:
        offer(b, "s")
        b.answer(await b.command("a"), done())
        b.answer(await b.command("b"), done())
        await b.until("s", over)
        await b.check("s")
