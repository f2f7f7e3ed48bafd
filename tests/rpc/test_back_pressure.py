"""Too much at once, from outside: refused quickly and in words, and nothing of what was taken suffers."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from swit_saga import AsyncSagaClient, OverloadedError, Participant, Saga, SagaClient, SagaHandle, Step, StepContext
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.rpc.server import serving
from swit_saga_server.runtime import Runtime
from tests.support.waiting import eventually, spend

WORK = Saga("work", [Step("one", "worker"), Step("two", "worker")])
both = pytest.mark.parametrize("batch", [False, True], ids=["unary", "stream"])


class Worker:
    """A participant that works when it is let, and counts how much at a time."""

    def __init__(self) -> None:
        self.participant = Participant("worker")
        self.gate = asyncio.Event()
        self.now = self.most = 0

        async def work(order: Any, step: StepContext) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            await self.gate.wait()
            self.now -= 1
            return order

        async def undo(order: Any, output: Any, step: StepContext) -> None:
            pass

        for name in ("one", "two"):
            self.participant.step(name)(work).compensate(undo)


def config(folder: Path, **limits: int) -> SagaConfig:
    return SagaConfig.load(
        overrides={
            "coordinator": {"name": "here", **limits},
            "storage": {"connection": str(folder / "saga.db")},
            "server": {"listen": "127.0.0.1:0", "drain_timeout": "1s"},
        }
    )


async def serve(stack: AsyncExitStack, folder: Path, **limits: int) -> tuple[Worker, Runtime, str]:
    made, worker = config(folder, **limits), Worker()
    runtime = Runtime(made, [worker.participant], None, None)
    await runtime.start()
    server = await stack.enter_async_context(serving(made, runtime))
    return worker, runtime, f"127.0.0.1:{server.port}"


@both
async def test_no_more_sagas_than_may(tmp_path, batch):
    async with AsyncExitStack() as stack:
        worker, _, address = await serve(stack, tmp_path, max_concurrent_sagas=5)
        client = await stack.enter_async_context(AsyncSagaClient(address, batch_starts=batch))
        await client.register(WORK)
        started = await asyncio.gather(*(client.start("work", n) for n in range(5)))
        began = time.monotonic()
        with pytest.raises(OverloadedError) as refused:
            await client.start("work")
        assert time.monotonic() - began < 1, "at once, not at the end of the client's patience"
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.reason == "COORDINATOR_OVERLOADED"
        assert refused.value.retry_after_s == 1
        assert "max_concurrent_sagas" in str(refused.value)
        assert (await client.metrics()).refused_starts == 1
        assert (await client.get(started[0].id)).state == "running", "only starts are refused"
        worker.gate.set()
        for handle in started:
            assert (await handle.wait()).state == "completed"
        assert (await (await client.start("work")).wait()).state == "completed"


@both
async def test_of_many_in_one_moment_as_many_are_taken_as_there_is_room_for(tmp_path, batch):
    async with AsyncExitStack() as stack:
        worker, runtime, address = await serve(stack, tmp_path, max_concurrent_sagas=5)
        client = await stack.enter_async_context(AsyncSagaClient(address, batch_starts=batch))
        await client.register(WORK)
        found = await asyncio.gather(*(client.start("work", n) for n in range(50)), return_exceptions=True)
        assert len([f for f in found if isinstance(f, SagaHandle)]) == 5
        assert len([f for f in found if isinstance(f, OverloadedError)]) == 45
        assert runtime.engine.starts_refused == 45
        worker.gate.set()


async def test_steps_wait_their_turn(tmp_path):
    async with AsyncExitStack() as stack:
        worker, _, address = await serve(stack, tmp_path, max_concurrent_steps=4)
        client = await stack.enter_async_context(AsyncSagaClient(address))
        await client.register(WORK)
        started = await asyncio.gather(*(client.start("work", n) for n in range(20)))
        await eventually(lambda: worker.now == 4)
        assert (await client.metrics()).queued_steps == 16
        states = [(await h.get()).state for h in started]
        assert sorted(set(states)) == ["running", "step_completed"]
        waiting = started[states.index("step_completed")]
        assert (await waiting.cancel()).state == "cancelled"
        worker.gate.set()
        for handle in started:
            assert (await handle.wait(timeout="10s")).state == ("cancelled" if handle is waiting else "completed")
        assert worker.most == 4
        assert (await client.metrics()).queued_steps == 0


async def test_the_synchronous_client_hears_it_too(tmp_path):
    async with AsyncExitStack() as stack:
        worker, _, address = await serve(stack, tmp_path, max_concurrent_sagas=1)

        def use() -> None:
            with SagaClient(address) as sagas:
                sagas.start(WORK)
                with pytest.raises(OverloadedError):
                    sagas.start(WORK)

        await asyncio.to_thread(use)
        worker.gate.set()


async def test_an_embedded_coordinator_refuses_alike(tmp_path):
    worker = Worker()
    async with Coordinator.open(config(tmp_path, max_concurrent_sagas=1), [worker.participant]) as coordinator:
        await coordinator.start(WORK)
        with pytest.raises(OverloadedError):
            await coordinator.start(WORK)
        worker.gate.set()


@both
async def test_overload_is_refused_quickly_and_the_rest_goes_on(tmp_path, batch):
    """Ten times the capacity, again and again: whatever is taken ends, whatever is not hears so at once."""
    async with AsyncExitStack() as stack:
        worker, runtime, address = await serve(
            stack, tmp_path, max_concurrent_sagas=40, max_concurrent_steps=20, max_queue_length=20
        )
        worker.gate.set()
        client = await stack.enter_async_context(AsyncSagaClient(address, batch_starts=batch))
        await client.register(WORK)
        taken: list[SagaHandle] = []
        waits: list[float] = []
        chance = Random(1)

        async def press() -> None:
            for _ in range(5):
                began = time.monotonic()
                try:
                    taken.append(await client.start("work"))
                except OverloadedError:
                    waits.append(time.monotonic() - began)
                    await spend(chance, 0.0, 0.02)

        await asyncio.gather(*(press() for _ in range(200)))
        assert len(taken) >= 40
        assert waits
        for handle in taken:
            assert (await handle.wait(timeout="10s")).state == "completed"
        assert worker.most <= 20
        assert runtime.engine.starts_refused == len(waits)
        assert len({h.id for h in taken}) == (await client.metrics()).completed_sagas
