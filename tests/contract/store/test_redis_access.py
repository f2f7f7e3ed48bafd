"""Getting at Redis: rights, passwords, TLS, and what is said when it does not let us in."""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from redis import Redis

from swit_saga import Participant, Saga, Step, StepContext
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.core.units import SECOND
from swit_saga_server.store.redis.checks import COMMANDS, ON_A_CLUSTER, Durability
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.support.redis_server import RedisServer, cluster, free_port, running, sentinels
from tests.support.store.rights import documented_extras, documented_rights, set_user
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis"))) as started:
        yield started


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def store(options: RedisOptions, **more: object) -> RedisStore:
    return RedisStore(replace(options, timeout_s=2.0), prefix="t:", partitions=2, **more)  # type: ignore[arg-type]


async def open_and_close(options: RedisOptions, **more: object) -> None:
    made = store(options, **more)
    await made.open()
    await made.close()


# ---- rights ----------------------------------------------------------------------------------------------------------


def test_the_documented_rights_are_those_that_are_tried():
    assert {r.removeprefix("+") for r in documented_rights() if r.startswith("+")} == set(COMMANDS)
    assert [r.removeprefix("+") for r in documented_extras()] == list(ON_A_CLUSTER)


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_missing_command_is_named(server, command):
    set_user(server.port, f"-{command}")
    with pytest.raises(StoreRefused, match=rf"grant it: ACL SETUSER saga \+{re.escape(command)}$"):
        await open_and_close(RedisOptions(url=f"redis://saga:PASSWORD@127.0.0.1:{server.port}/0"))


async def test_what_is_named_is_what_grants_it(server):
    set_user(server.port, "resetkeys", "resetchannels", "-hset", "-zadd")
    options = RedisOptions(url=f"redis://saga:PASSWORD@127.0.0.1:{server.port}/0")
    said = ""
    for _ in range(4):  # A command that is allowed can still lack its key: that shows at the next attempt.
        try:
            await open_and_close(options)
            break
        except StoreRefused as refused:
            said = str(refused)
            with Redis(port=server.port) as admin:
                admin.execute_command(*said.partition("grant it: ")[2].split())
    else:
        pytest.fail(f"not enough: {said}")
    await open_and_close(options)


async def test_nothing_is_left_of_the_trial(server):
    with Redis(port=server.port) as admin:
        admin.flushall()
        await open_and_close(RedisOptions(url=server.url))
        assert admin.keys("*") == [b"t:{d}:meta"]


async def test_what_fsync_needs_beyond(tmp_path):
    with running(RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")) as server:
        options = RedisOptions(url=f"redis://saga:PASSWORD@127.0.0.1:{server.port}/0")
        set_user(server.port)
        with pytest.raises(StoreRefused, match=r"ACL SETUSER saga \+config\|get"):
            await open_and_close(options, durability=Durability.FSYNC)
        set_user(server.port, "+config|get")
        await open_and_close(options, durability=Durability.FSYNC)


async def test_what_replicated_needs_beyond(server):
    options = RedisOptions(url=f"redis://saga:PASSWORD@127.0.0.1:{server.port}/0")
    set_user(server.port)
    with pytest.raises(StoreRefused, match=r"grant it: ACL SETUSER saga \+wait$"):
        await open_and_close(options, durability=Durability.REPLICATED)
    set_user(server.port, "+wait")
    await open_and_close(options, durability=Durability.REPLICATED)


async def test_on_a_cluster_every_master_is_asked(nodes):
    """Each has rights of its own: one that was forgotten is found at the start, not with the first saga there."""
    options = RedisOptions(url=f"redis+cluster://saga:PASSWORD@127.0.0.1:{nodes[0].port}")
    for forgotten in nodes:
        for node in nodes:
            set_user(node.port, *documented_extras(), *(["-hset"] if node is forgotten else []))
        with pytest.raises(StoreRefused, match=r"grant it: ACL SETUSER saga \+hset$"):
            await open_and_close(options)


async def test_each_right_that_a_cluster_needs_beyond(nodes):
    options = RedisOptions(url=f"redis+cluster://saga:PASSWORD@127.0.0.1:{nodes[0].port}")
    extras = documented_extras()
    for missing in extras:
        for node in nodes:
            set_user(node.port, *(extra for extra in extras if extra != missing))
        with pytest.raises(StoreRefused, match=re.escape(f"ACL SETUSER saga {missing}") + "$"):
            await open_and_close(options)
    for node in nodes:
        set_user(node.port, *extras)
    await open_and_close(options)


# ---- another Redis than we were told ---------------------------------------------------------------------------------


async def test_no_such_database(server):
    with pytest.raises(StoreRefused, match=r"no database of that number.*storage\.redis\.db"):
        await open_and_close(RedisOptions(url=f"redis://127.0.0.1:{server.port}/99"))


@pytest.mark.parametrize("url", ["redis://u:secret@h:1/abc", "redis://u:secret@h:x/0", "http://u:secret@h:1/0"])
def test_a_url_that_is_wrong_is_told_without_its_password(url):
    with pytest.raises(ValueError, match=r"abc|HOST:PORT|http") as wrong:
        store(RedisOptions(url=url))
    assert "secret" not in str(wrong.value)


async def test_a_replica(server, tmp_path):
    replica = RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port))
    said = rf"127\.0\.0\.1:{replica.port} is a read-only replica"
    with running(replica), pytest.raises(StoreUnavailable, match=said):
        await open_and_close(RedisOptions(url=replica.url))


async def test_a_cluster_and_none(server, nodes):
    with pytest.raises(StoreRefused, match=r"is a Cluster: use redis\+cluster://"):
        await open_and_close(RedisOptions(url=nodes[0].url))
    with pytest.raises(StoreRefused, match=r"is not a Cluster \(then use redis://\)"):
        await open_and_close(RedisOptions(url=f"redis+cluster://127.0.0.1:{server.port}"))


async def test_a_cluster_and_sentinels_that_are_away():
    where = f"127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnavailable, match=rf"Redis at {re.escape(where)}"):
        await open_and_close(RedisOptions(url=f"redis+cluster://{where}"))
    with pytest.raises(StoreUnavailable, match=rf"no sentinel at {re.escape(where)} .* called 'main'$"):
        await open_and_close(RedisOptions(url=f"redis+sentinel://{where}/main"))


async def test_a_cluster_that_goes_away_and_comes_back(tmp_path):
    """It is a store that cannot be reached, for as long as it takes; not an error that ends the coordinator."""
    with cluster(tmp_path) as servers:
        made = store(RedisOptions(url=f"redis+cluster://127.0.0.1:{servers[0].port}"))
        await made.open()
        for server in servers:
            server.kill()
        for partition in (0, 1, 0, 1):
            with pytest.raises(StoreUnavailable):
                await made.acquire(partition, "me", 10 * SECOND)
        for server in servers:
            server.start()

        async def goes_on() -> bool:
            try:
                return await made.acquire(0, "me", 10 * SECOND) is not None
            except StoreUnavailable:
                return False

        await eventually(goes_on, within_s=15)
        await made.close()


# ---- passwords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["saga:wrong@", "nobody:PASSWORD@"])
async def test_wrong_login(server, login):
    set_user(server.port)
    with pytest.raises(StoreRefused, match=r"does not let us.*(WRONGPASS|invalid username-password)"):
        await open_and_close(RedisOptions(url=f"redis://{login}127.0.0.1:{server.port}/0"))


async def test_no_login_where_one_is_needed(tmp_path):
    with running(RedisServer(tmp_path / "redis")) as server:
        with Redis(port=server.port) as admin:
            admin.config_set("requirepass", "secret")
        with pytest.raises(StoreRefused, match="wants a password"):
            await open_and_close(RedisOptions(url=server.url))
        await open_and_close(RedisOptions(url=f"redis://:secret@127.0.0.1:{server.port}/0"))


# ---- TLS -------------------------------------------------------------------------------------------------------------


class Certificates:
    """An authority, a server's certificate, and a client's."""

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        folder.mkdir()
        self.ca = str(folder / "ca.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        for name, issued in (("server", authority.issue_cert(host)), ("client", authority.issue_cert("c"))):
            issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
            issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        self.server = (str(folder / "server.pem"), str(folder / "server.key"))
        self.client = (str(folder / "client.pem"), str(folder / "client.key"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[tuple[RedisServer, int]]:
    """A server that wants to know its clients, and its encrypted port."""
    port = free_port()
    pem, key = certificates.server
    options = ["--tls-port", str(port), "--tls-cert-file", pem, "--tls-key-file", key]
    options += ["--tls-ca-cert-file", certificates.ca, "--tls-auth-clients", "yes"]
    with running(RedisServer(tmp_path_factory.mktemp("guarded"), *options)) as started:
        yield started, port


async def test_encrypted_and_known(guarded, certificates):
    server, port = guarded
    set_user(server.port)
    pem, key = certificates.client
    url = f"rediss://saga:PASSWORD@localhost:{port}/0"
    made = store(RedisOptions(url=url, ca_file=certificates.ca, cert_file=pem, key_file=key))
    await made.open()
    try:
        assert await made.acquire(0, "me", 10 * SECOND) is not None
    finally:
        await made.close()


async def test_a_client_that_is_not_known(guarded, certificates):
    _, port = guarded
    with pytest.raises(StoreUnavailable, match="Redis"):
        await open_and_close(RedisOptions(url=f"rediss://localhost:{port}/0", ca_file=certificates.ca))


async def test_a_server_by_another_name(guarded, certificates):
    _, port = guarded
    pem, key = certificates.client
    options = RedisOptions(url=f"rediss://127.0.0.1:{port}/0", ca_file=certificates.ca, cert_file=pem, key_file=key)
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate.*127\.0\.0\.1"):
        await open_and_close(options)


async def test_a_server_nobody_vouches_for(guarded, tmp_path):
    _, port = guarded
    others = Certificates(tmp_path / "others")
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate verify failed"):
        await open_and_close(RedisOptions(url=f"rediss://localhost:{port}/0", ca_file=others.ca))


async def test_encrypted_to_a_plain_port_and_plain_to_an_encrypted_one(guarded, certificates):
    server, port = guarded
    with pytest.raises(StoreUnavailable, match="if it does not speak TLS: redis://"):
        await open_and_close(RedisOptions(url=f"rediss://localhost:{server.port}/0", ca_file=certificates.ca))
    with pytest.raises(StoreUnavailable, match="if it speaks TLS: "):
        await open_and_close(RedisOptions(url=f"redis://localhost:{port}/0"))


async def test_certificates_that_cannot_be_used(guarded, certificates, tmp_path):
    url = f"rediss://localhost:{guarded[1]}/0"
    for wrong in (
        RedisOptions(url=url, ca_file=str(tmp_path / "none.pem")),
        RedisOptions(url=url, ca_file=certificates.client[1]),
        RedisOptions(url=url, cert_file=certificates.client[0], key_file=certificates.server[1]),
    ):
        with pytest.raises(StoreRefused, match=r"storage\.redis: the certificates cannot be used \(c.*\.(pem|key)'"):
            await open_and_close(wrong)


async def test_encrypted_by_sentinels(tmp_path):
    """The way to the sentinels, and from what they say to the master."""
    made = Certificates(tmp_path / "certificates", "127.0.0.1")
    pem, key = made.server
    port, sentinel_port = free_port(), free_port()
    settings = {"tls-cert-file": pem, "tls-key-file": key, "tls-ca-cert-file": made.ca}
    settings |= {"tls-auth-clients": "no", "tls-replication": "yes"}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    with running(RedisServer(tmp_path / "master", "--tls-port", str(port), *options)) as master:
        set_user(master.port)
        lines = [f"tls-port {sentinel_port}", *(f"{name} {value}" for name, value in settings.items())]
        with sentinels(tmp_path, master, 1, lines, master_port=port):
            url = f"rediss+sentinel://saga:PASSWORD@127.0.0.1:{sentinel_port}/main/0"
            reached = store(RedisOptions(url=url, ca_file=made.ca))
            await reached.open()
            assert await reached.acquire(0, "me", 10 * SECOND) is not None
            await reached.close()
            with pytest.raises(StoreUnavailable, match="no sentinel at"):
                await open_and_close(RedisOptions(url=url))


async def test_the_message_says_where(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{port}"):
        await open_and_close(RedisOptions(url=f"redis://127.0.0.1:{port}/0"))


# ---- a saga ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["standalone", "cluster"])
async def test_a_saga_with_no_more_rights_than_documented(kind, server, nodes):
    """From its start to its end, with everything a coordinator does beside."""
    if kind == "cluster":
        for node in nodes:
            set_user(node.port, *documented_extras())
        url = f"redis+cluster://saga:PASSWORD@127.0.0.1:{nodes[0].port}"
    else:
        set_user(server.port)
        url = f"redis://saga:PASSWORD@127.0.0.1:{server.port}/0"
    shop = Participant("shop")

    @shop.step("buy")
    async def buy(order: str, step: StepContext) -> str:
        return f"{order}, bought"

    @buy.compensate
    async def give_back(order: str, bought: str | None, step: StepContext) -> None:
        pytest.fail("nothing is wrong")

    storage = {"type": "redis", "connection": url, "key_prefix": "t:saga:", "partitions": 4}
    config = SagaConfig.model_validate({"storage": storage})
    async with Coordinator.open(config, participants=[shop]) as coordinator:
        await coordinator.register(Saga("order", [Step("buy", "shop")]))
        handle = await coordinator.start("order", "tea")
        assert await handle.result(str) == "tea, bought"
