"""What is asked of a Redis before it is trusted, what its failures mean, and what the durability knob waits for."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.core.units import Instant
from swit_saga_server.store.conformance.backend import hold_all
from swit_saga_server.store.conformance.samples import applied, change, definition, start
from swit_saga_server.store.contract import Hint, SagaFilter, SagaOrder, Verdict
from swit_saga_server.store.redis.checks import Durability
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.redis_server import RedisServer, free_port, is_linked, running, sentinels
from tests.support.waiting import eventually, turn


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis"))) as started:
        yield started


@pytest.fixture
def admin(server: RedisServer) -> Iterator[Redis]:
    with Redis(port=server.port) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


def store_on(url: str, timeout_s: float = 1.0, **options: object) -> RedisStore:
    return RedisStore(RedisOptions(url=url, timeout_s=timeout_s), partitions=2, **options)  # type: ignore[arg-type]


async def test_unreachable():
    with pytest.raises(StoreUnavailable, match="Redis"):
        await store_on(f"redis://127.0.0.1:{free_port()}").open()


async def test_a_server_that_does_not_answer():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(StoreUnavailable):
            await store_on(f"redis://127.0.0.1:{deaf.getsockname()[1]}", timeout_s=0.3).open()


async def test_one_that_may_evict_is_refused(server, admin):
    admin.config_set("maxmemory", 100 << 20)
    admin.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreRefused, match="set maxmemory-policy to noeviction"):
        await store_on(server.url).open()


@pytest.mark.parametrize(
    ("schema", "what_to_do"),
    [("99", "schema 99, of a newer version.*use that version"), ("2", "schema 2, of before the first.*another prefix")],
)
async def test_another_schema_is_refused(server, admin, schema, what_to_do):
    admin.hset("swit-saga:{d}:meta", mapping={"schema": schema, "partitions": 2})
    with pytest.raises(StoreRefused, match=what_to_do):
        await store_on(server.url).open()


async def test_the_number_of_partitions_stays(server, admin):
    store = store_on(server.url)
    await store.open()
    await store.close()
    again = RedisStore(RedisOptions(url=server.url), partitions=99)
    await again.open()
    assert again.partitions == 2
    await again.close()


async def test_scripts_that_redis_forgot_are_sent_again(server, admin):
    store = store_on(server.url)
    await store.open()
    leases = await hold_all(store, "me")
    (saga,) = await applied(store, leases, start())
    admin.script_flush()
    await applied(store, leases, change(saga))
    await store.close()


async def test_a_version_that_redis_forgot_and_gave_to_another_content(server, admin):
    """The newest version is guessed from what it was; what it says is read each time."""
    store, other = store_on(server.url), store_on(server.url)
    await store.open()
    await other.open()
    first, second = definition(), definition(description="changed")
    for d in (first, second):
        stored, _ = await store.register(d, d.description, Instant(1))
        assert await store.definition("order", 0, "") == stored
    admin.delete("swit-saga:{d}:def:order")
    assert await store.definition("order", 0, "") is None
    for version, d in enumerate((second, first), 1):
        stored, _ = await other.register(d, d.description, Instant(2))
        assert stored.version == version
        assert await store.definition("order", 0, "") == stored
    await store.close()
    await other.close()


async def test_full_memory_takes_no_half_round(server, admin):
    """The whole script is refused, before its first write; afterwards all goes on."""
    store = store_on(server.url)
    await store.open()
    leases = await hold_all(store, "me")
    (saga,) = await applied(store, leases, start())
    admin.config_set("maxmemory", 1)
    write = change(saga)
    with pytest.raises(StoreUnavailable, match="OutOfMemoryError"):
        await store.commit([write], leases)
    admin.config_set("maxmemory", 0)
    assert list(await store.load([saga.id])) == [saga]
    assert await store.commit([write], leases) == [Verdict.APPLIED]
    await store.close()


async def test_away_and_back(tmp_path):
    """While Redis is away every call says so; afterwards the same store object goes on, and hints come again."""
    redis = RedisServer(tmp_path / "r", "--appendonly", "yes", "--appendfsync", "always")
    with running(redis):
        store = store_on(redis.url)
        await store.open()
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        redis.kill()
        write = change(saga)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.commit([write], leases)
        redis.start()
        assert await store.commit([write], leases) == [Verdict.APPLIED]
        hints: list[str] = []
        store.listen(lambda hint: hints.append(hint.kind))

        async def has_hints() -> list[str]:
            await store.release([])
            await store.create(start())
            return hints

        assert await eventually(has_hints) is hints
        await store.close()


async def test_hints_go_on_whatever_else_is_published(server, admin):
    """As by another coordinator that starts: it tries whether it may publish."""
    store, other = store_on(server.url), store_on(server.url)
    await store.open()
    hints: list[str] = []
    store.listen(lambda hint: hints.append(hint.kind))

    async def has_hints(by: RedisStore) -> bool:
        await by.create(start())
        return bool(hints)

    assert await eventually(lambda: has_hints(store))
    await other.open()
    (channel,) = admin.pubsub_channels()
    for nonsense in ("", "due", "due:", "due:x", ":", b"\xff:\xfe", "due:-1", "due:\u0661"):
        admin.publish(channel, nonsense)
    hints.clear()
    assert await eventually(lambda: has_hints(other))
    await store.close()
    await other.close()


async def test_a_listener_that_fails_does_not_end_the_hints(server, admin, monkeypatch):
    monkeypatch.setattr("swit_saga_server.store.redis.hints.LISTEN_AGAIN_S", 0.01)
    store = store_on(server.url)
    await store.open()
    hints: list[str] = []

    def listener(hint: Hint) -> None:
        hints.append(hint.kind)
        if len(hints) == 1:
            raise RuntimeError("a bug")

    store.listen(listener)

    async def has_hints() -> bool:
        await store.create(start())
        return len(hints) > 1

    assert await eventually(has_hints)
    await store.close()


async def test_fsync_needs_a_log_that_is_synced(server, admin, tmp_path):
    with pytest.raises(StoreRefused, match="appendonly yes"):
        await store_on(server.url, durability=Durability.FSYNC).open()
    with running(RedisServer(tmp_path / "always", "--appendonly", "yes", "--appendfsync", "always")) as always:
        store = store_on(always.url, durability=Durability.FSYNC)
        await store.open()
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        always.kill()
        always.start()

        async def found() -> bool:
            try:
                return list(await store.load([saga.id])) == [saga]
            except StoreUnavailable:  # The old connections.
                return False

        await eventually(found)
        await store.close()


async def test_replicated_waits_for_the_replica(server, admin, tmp_path: Path):
    """Without it in time the outcome is unknown; the same write again, once it is back, has been applied already."""
    replica = RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port))
    with running(replica):
        await eventually(lambda: is_linked(replica, server), within_s=30)
        # Whatever the machine does meanwhile: with a second it once was too late.
        store = store_on(server.url, timeout_s=5.0, durability=Durability.REPLICATED)
        await store.open()
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        with Redis(port=replica.port) as r:
            assert r.exists(f"swit-saga:{{{leases[0].partition}}}:lease")
        replica.kill()
        await turn()
        write = change(saga)
        with pytest.raises(StoreUnavailable, match="confirmed 0 times of 1"):
            await store.commit([write], leases)
        replica.start()
        await eventually(lambda: is_linked(replica, server), within_s=30)
        assert await store.commit([write], leases) == [Verdict.ALREADY_APPLIED]
        await store.close()


@pytest.mark.timeout(90)
async def test_sentinels_lead_to_the_new_master(tmp_path):
    """The master dies, its replica is made master, and the same store object goes on with all that was replicated."""
    master = RedisServer(tmp_path / "master")
    with running(master):
        replica = RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port))
        with running(replica), sentinels(tmp_path, master) as ports:
            url = "redis+sentinel://" + ",".join(f"127.0.0.1:{p}" for p in ports) + "/main/0"
            store = store_on(url, durability=Durability.REPLICATED)

            async def opened() -> bool:
                try:
                    await store.open()
                except StoreUnavailable:
                    return False
                return True

            await eventually(lambda: is_linked(replica, master), within_s=30)
            await eventually(opened, within_s=20)
            leases = await hold_all(store, "me")
            (saga,) = await applied(store, leases, start())
            master.kill()

            async def found() -> bool:
                try:
                    return list(await store.load([saga.id])) == [saga]
                except StoreUnavailable:
                    return False

            await eventually(found, within_s=40)
            # Nobody confirms a write to a master that has no replica left: it stays unknown.
            with pytest.raises(StoreUnavailable, match="confirmed 0 times of 1"):
                await store.commit([change(saga)], leases)
            await store.close()


async def test_a_list_by_many_definitions_asks_no_more_than_one_of_all(server, admin):
    """An index per definition and partition would be read; past some thousands all sagas are looked through instead."""
    store = RedisStore(RedisOptions(url=server.url), partitions=64)
    await store.open()
    leases = await hold_all(store, "here")
    wanted = await applied(store, leases, *(start(definition_id=f"d-{n % 5}") for n in range(20)))
    await applied(store, leases, *(start(definition_id="another") for _ in range(5)))
    ids = frozenset(f"d-{n}" for n in range(1_000))
    admin.config_resetstat()
    page = await store.list_sagas(SagaFilter(definition_ids=ids), SagaOrder.CREATED_ASC, 100, "")
    assert {s.id for s in page.sagas} == {s.id for s in wanted}
    asked = admin.info("commandstats")
    assert asked["cmdstat_zrangebyscore"]["calls"] <= 2_048
    await store.close()
