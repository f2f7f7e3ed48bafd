"""Coordinators of one name on one store: one works, the other says so, and a dead one's name is free soon."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from swit_saga import SagaClientError
from swit_saga_server.cli.failures import failure_of
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.core.errors import NameTaken
from swit_saga_server.instance import is_gone, this_instance
from tests.support.logs import logged
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually

NAME_KEY = "swit-saga:{d}:name:here"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis"))) as started:
        yield started


@pytest.fixture
def admin(server: RedisServer) -> Iterator[Redis]:
    with Redis(port=server.port) as client:
        client.flushall()
        yield client


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with logged() as found:
        yield found


def config(server: RedisServer, name: str = "here") -> SagaConfig:
    overrides = {
        "coordinator": {"name": name, "lease_term": "1s"},
        "storage": {"type": "redis", "redis": {"address": f"127.0.0.1:{server.port}"}, "partitions": 4},
    }
    return SagaConfig.load(overrides=overrides)


def dead_instance() -> str:
    """Of a process of this machine that has ended."""
    code = "from swit_saga_server.instance import this_instance; print(this_instance())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()


async def test_the_second_refuses_and_the_first_is_not_disturbed(server, admin, logs):
    async with Coordinator.open(config(server)) as first:
        began = time.monotonic()
        with pytest.raises(NameTaken, match=r"name 'here' on this store \(process \d+ on .*coordinator\.name"):
            async with Coordinator.open(config(server)):
                pass
        assert 1 <= time.monotonic() - began < 5, "a term of the lease, not more"
        await first.health()
        assert not [x for x in logs if x["event"] in ("partition_fenced", "name_taken")]
        async with Coordinator.open(config(server, "there")):
            await first.health()


async def test_after_a_kill_it_is_back_at_once(server, admin):
    admin.set(NAME_KEY, dead_instance(), px=60_000)
    began = time.monotonic()
    async with Coordinator.open(config(server)) as again:
        assert time.monotonic() - began < 5, "the name was another's for a minute"
        await again.health()


async def test_of_another_machine_a_term_is_waited_out(server, admin):
    admin.set(NAME_KEY, "elsewhere/1/boot/space/1/abc", px=500)
    async with Coordinator.open(config(server)) as c:
        await c.health()


async def test_after_a_stop_the_name_is_free(server, admin):
    for _ in range(2):
        async with Coordinator.open(config(server)):
            assert admin.get(NAME_KEY)
        assert not admin.get(NAME_KEY)


async def test_one_that_lost_its_name_stands_back(server, admin, logs):
    """As after a pause longer than its term: it holds nothing, says why, and goes on when the name is free again."""
    async with Coordinator.open(config(server)) as c:
        admin.set(NAME_KEY, "elsewhere/1/boot/space/1/abc", px=1_500)

        async def says_why() -> bool:
            try:
                await c.health()
            except SagaClientError as unavailable:
                return "under the name 'here'" in str(unavailable)
            return False

        await eventually(says_why)
        said = [x for x in logs if x["event"] == "name_taken"]
        assert len(said) == 1
        assert said[0]["holder"].startswith("elsewhere/1")

        async def is_serving() -> bool:
            try:
                await c.health()
            except SagaClientError:
                return False
            return True

        await eventually(is_serving)
        assert "name_free_again" in [x["event"] for x in logs]


def test_who_is_gone():
    here = this_instance()
    assert this_instance() != here
    assert not is_gone(here)
    assert is_gone(dead_instance())
    host, pid, boot, space, born, own = here.split("/")
    assert is_gone("/".join((host, pid, boot, space, str(int(born) + 1), own))), "the PID was given again"
    for unknown in (("x", pid, boot, space), (host, pid, "x", space), (host, pid, boot, "x"), (host, "x", boot, space)):
        assert not is_gone("/".join((*unknown, "0", own))), "nobody can tell"
    for odd in ("", "/", "a/b", "a/1/2/3", "\u0661/\u0661/" * 3):
        assert not is_gone(odd)


def test_default_names_differ():
    options = [SagaConfig.load(overrides={}).engine_options() for _ in range(2)]
    assert options[0].owner != options[1].owner
    assert options[0].instance != options[1].instance


def test_the_command_ends_with_its_own_code():
    failure = failure_of(NameTaken("the name 'here' is taken"))
    assert (failure.code, failure.lines) == (2, ("the name 'here' is taken",))
