"""Redis keeps the contract: standalone with both protocols, and as a Cluster; with no more rights than documented."""

import secrets
from collections.abc import Iterator

import pytest

from swit_saga_server.core.units import Span
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.conformance import StateStorageConformance
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.redis_server import RedisServer, cluster, running
from tests.support.store.rights import documented_extras, set_user
from tests.support.waiting import eventually


class RedisBackend:
    """One prefix of a running Redis; its clock cannot be turned."""

    is_shared = True
    time_is_free = False

    def __init__(self, url: str, partitions: int, protocol: int = 3) -> None:
        self._options = RedisOptions(url=url, protocol=protocol)
        self._partitions = partitions
        self._prefix = f"t{secrets.token_hex(4)}:"

    def handle(self, codec: Codec = PRESENT) -> StateStorage:
        return RedisStore(self._options, prefix=self._prefix, partitions=self._partitions, codec=codec)

    async def pass_time(self, span: Span) -> None:
        store = self.handle()
        await store.open()
        try:
            end = await store.now() + span

            async def is_over() -> bool:
                return await store.now() >= end

            await eventually(is_over, within_s=span / 1e6 + 10)
        finally:
            await store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis"))) as started:
        set_user(started.port)
        yield started


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        for server in servers:
            set_user(server.port, *documented_extras())
        yield "redis+cluster://saga:PASSWORD@" + ",".join(f"127.0.0.1:{s.port}" for s in servers)


class TestOnePartition(StateStorageConformance):
    @pytest.fixture
    def backend(self, server: RedisServer) -> RedisBackend:
        return RedisBackend(f"redis://saga:PASSWORD@127.0.0.1:{server.port}/0", 1, protocol=2)


class TestEightPartitions(StateStorageConformance):
    @pytest.fixture
    def backend(self, server: RedisServer) -> RedisBackend:
        return RedisBackend(server.url, 8, protocol=3)


class TestCluster(StateStorageConformance):
    @pytest.fixture
    def backend(self, nodes: str) -> RedisBackend:
        return RedisBackend(nodes, 8)
