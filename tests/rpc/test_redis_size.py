"""What a completed saga costs in Redis: 4 steps, 200-byte payloads, events and index entries included."""

import asyncio

from redis import Redis

from swit_saga import Participant, Saga, Step
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.redis_server import RedisServer, running

SAGAS, LIMIT = 2_000, 4_096


async def test_bytes_per_completed_saga(tmp_path, capsys):
    shop = Participant("shop")
    for name in ("order", "stock", "pay", "ship"):

        @shop.step(name)
        async def execute(order: str) -> str:
            return order

    four = Saga("four", steps=[Step(n, "shop", compensation=False) for n in ("order", "stock", "pay", "ship")])
    with running(RedisServer(tmp_path / "redis")) as redis, Redis(port=redis.port) as admin:
        overrides = {"storage": {"type": "redis", "redis": {"address": f"127.0.0.1:{redis.port}"}}}
        async with Coordinator.open(SagaConfig.load(overrides=overrides), participants=[shop]) as coordinator:
            await coordinator.register(four)

            async def run(number: int) -> None:
                await (await coordinator.start("four", "x" * 200)).wait()

            await asyncio.gather(*(run(n) for n in range(200)))
            before = admin.info("memory")["used_memory_dataset"]
            for n in range(0, SAGAS, 200):
                await asyncio.gather(*(run(n + k) for k in range(200)))
            after = admin.info("memory")["used_memory_dataset"]
    each = (after - before) / SAGAS
    with capsys.disabled():
        print(f"\nRedis: {each:.0f} bytes per completed saga of 4 steps with 200-byte payloads, events included")
    assert each <= LIMIT
