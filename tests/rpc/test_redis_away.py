"""While Redis is away the coordinator stays up and says so; when it is back, everything goes on by itself."""

import asyncio
import time
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from swit_saga import AsyncSagaClient, UnavailableError
from swit_saga_server.config import SagaConfig
from swit_saga_server.rpc.server import serving
from swit_saga_server.runtime import Runtime
from tests.support.redis_server import RedisServer, running
from tests.support.rpc.serve import ORDER, Shop
from tests.support.waiting import eventually


@pytest.mark.timeout(90)
async def test_redis_goes_and_comes_back(tmp_path):
    shop = Shop()
    with running(RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")) as redis:
        where = {"address": f"127.0.0.1:{redis.port}", "durability": "fsync", "timeout": "1s"}
        overrides = {"storage": {"type": "redis", "redis": where}, "server": {"listen": "127.0.0.1:0"}}
        config = SagaConfig.load(overrides=overrides)
        runtime = Runtime(config, [shop.participant], None, None)
        await runtime.start()
        async with (
            serving(config, runtime) as server,
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
            AsyncSagaClient(channel=channel, timeout="7s") as client,
        ):
            await client.register(ORDER)
            health: Any = health_pb2_grpc.HealthStub(channel)

            async def is_serving() -> bool:
                found = await health.Check(health_pb2.HealthCheckRequest())
                return bool(found.status == health_pb2.HealthCheckResponse.SERVING)

            assert (await (await client.start("order", {})).wait()).state == "completed"
            assert await is_serving()
            redis.kill()

            async def is_not_serving() -> bool:
                return not await is_serving()

            await eventually(is_not_serving, within_s=15)
            asked = time.monotonic()
            with pytest.raises(UnavailableError):
                await client.start("order", {}, saga_id="while-away")
            assert time.monotonic() - asked < 8
            redis.start()
            await eventually(is_serving, within_s=20)
            handle = await client.start("order", {}, saga_id="while-away")
            async with asyncio.timeout(20):
                assert (await handle.wait()).state == "completed"
        await runtime.stop(1.0)
