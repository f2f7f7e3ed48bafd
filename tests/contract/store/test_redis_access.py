"""Getting at Redis: rights, passwords, TLS, and what is said when it does not let us in."""

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from redis import Redis

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.store.redis.checks import COMMANDS, ON_A_CLUSTER, Durability
from swit_saga_server.store.redis.connection import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from tests.contract.store.rights import documented_extras, documented_rights, set_user
from tests.servers.redis import RedisServer, free_port, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis"))) as started:
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


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "unsubscribe"])
async def test_each_missing_command_is_named(server, command):
    set_user(server.port, f"-{command}")
    with pytest.raises(StoreRefused, match=re.escape(command)):
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
        set_user(server.port, "+config|get")
        await open_and_close(options, durability=Durability.FSYNC)


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
    """An authority, a server's certificate for ``localhost``, and a client's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca = str(folder / "ca.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        for name, issued in (("server", authority.issue_cert("localhost")), ("client", authority.issue_cert("c"))):
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
        assert await made.acquire(0, "me", 10_000_000) is not None
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
    with pytest.raises(StoreUnavailable, match="Redis"):
        await open_and_close(RedisOptions(url=f"rediss://localhost:{server.port}/0", ca_file=certificates.ca))
    with pytest.raises(StoreUnavailable, match="Redis"):
        await open_and_close(RedisOptions(url=f"redis://localhost:{port}/0"))


async def test_the_message_says_where(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{port}"):
        await open_and_close(RedisOptions(url=f"redis://127.0.0.1:{port}/0"))
