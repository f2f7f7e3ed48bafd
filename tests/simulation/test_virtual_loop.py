"""The virtual loop: order, time, death and pause."""

import asyncio

import pytest

from tests.support.simulation.virtual_loop import Deadlock, Process, VirtualLoop, virtual_loop


@pytest.fixture
def loop():
    made = virtual_loop()
    yield made
    made.close()


def run(loop: VirtualLoop, *steps: tuple[str, float], process: Process | None = None) -> list[tuple[str, float]]:
    """What tasks that sleep so long see, and when."""
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            seen.append((name, loop.time()))
        finally:
            seen.append((f"{name} ends", loop.time()))

    for name, seconds in steps:
        loop.create_task(sleeper(name, seconds), context=process.context if process else None)
    return seen


def test_time_jumps_and_order_is_kept(loop):
    seen = run(loop, ("late", 3600.0), ("soon", 0.5), ("soon too", 0.5))
    loop.run_until_complete(asyncio.sleep(4000.0))
    assert [s for s in seen if "ends" not in s[0]] == [("soon", 0.5), ("soon too", 0.5), ("late", 3600.0)]
    assert loop.time() == 4000.0


def test_timeouts_and_gather_work(loop):
    async def late() -> str:
        try:
            async with asyncio.timeout(1.0):
                await asyncio.sleep(5.0)
        except TimeoutError:
            return "timed out"
        return "slept"

    async def both() -> list[str]:
        return list(await asyncio.gather(late(), asyncio.wait_for(late(), 3.0)))

    assert loop.run_until_complete(both()) == ["timed out", "timed out"]
    assert loop.time() == 1.0


def test_what_can_never_come_is_a_deadlock(loop):
    async def forever() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock):
        loop.run_until_complete(forever())


def test_a_killed_process_runs_no_finally(loop):
    process = Process("victim")
    seen = run(loop, ("a", 1.0), process=process)

    async def kill() -> None:
        await asyncio.sleep(0.5)
        loop.kill(process)
        await asyncio.sleep(10.0)

    loop.run_until_complete(kill())
    assert seen == []


def test_a_process_is_killed_before_its_nth_callback(loop):
    process = Process("victim")
    turns: list[int] = []

    async def busy() -> None:
        for n in range(100):
            turns.append(n)
            await asyncio.sleep(0)

    process.fuse, process.blown = 7, lambda: loop.kill(process)
    loop.create_task(busy(), context=process.context)
    loop.run_until_complete(asyncio.sleep(1.0))
    assert turns == [0, 1, 2, 3, 4, 5]


def test_a_paused_process_runs_late(loop):
    process = Process("sleeper")
    seen = run(loop, ("a", 1.0), ("b", 2.0), process=process)

    async def hold() -> None:
        loop.pause(process)
        await asyncio.sleep(5.0)
        assert seen == []
        loop.resume(process)
        await asyncio.sleep(0.5)

    loop.run_until_complete(hold())
    assert [s for s in seen if "ends" not in s[0]] == [("a", 5.0), ("b", 5.0)]


def test_a_bug_in_a_task_is_seen_at_the_end(loop):
    async def bug() -> None:
        raise RuntimeError("unseen")

    loop.create_task(bug())
    loop.run_until_complete(asyncio.sleep(1.0))
    loop.close()
    assert [str(e) for e in loop.broken] == ["unseen"]
