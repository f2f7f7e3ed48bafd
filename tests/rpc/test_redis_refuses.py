"""Whatever Redis answers while a coordinator runs: it waits, says so once, and goes on by itself afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from swit_saga import Participant, Saga, SagaClientError, Step, fixed
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.logs import folding
from swit_saga_server.store import troubles
from tests.contract.store.test_redis_refusals import FAULT, OUTAGE, SETTING, VALUE
from tests.support.link import linked
from tests.support.logs import logged
from tests.support.redis_server import RedisServer, running
from tests.support.refusing_redis import RefusingLink, everything, nothing, only
from tests.support.store.rights import set_user
from tests.support.waiting import eventually, turn

ORDER = Saga("order", retry=fixed("50ms", max_attempts=20), steps=[Step("a", "shop"), Step("b", "shop")])


def shop() -> Participant:
    made = Participant("shop")
    for name in ("a", "b"):

        async def execute(order: int) -> int:
            return order

        async def undo(order: int) -> None:
            """Nothing is to be put back."""

        made.step(name)(execute).compensate(undo)
    return made


@dataclass
class Under:
    """A coordinator under load, and what lies between it and Redis."""

    coordinator: Coordinator
    link: RefusingLink
    logs: list[Any]
    admin: Redis
    completed: int = 0
    load: asyncio.Task[None] | None = None

    async def customers(self) -> None:
        number = 0
        while True:
            number += 1
            try:
                handle = await self.coordinator.start("order", number, saga_id=f"o-{number}")
                async with asyncio.timeout(1):
                    self.completed += (await handle.wait()).state == "completed"
            except TimeoutError:
                continue  # Its answer was refused for its value, or so Redis said: it is tried again later.
            except SagaClientError:
                number -= 1
                await asyncio.sleep(0.02)  # noqa: TID251 # As a customer does.

    async def is_serving(self) -> bool:
        try:
            await self.coordinator.health()
        except SagaClientError:
            return False
        return True

    async def goes_on(self) -> None:
        await eventually(self.is_serving, within_s=15)
        before = self.completed
        await eventually(lambda: self.completed > before, within_s=15)


@asynccontextmanager
async def under_load(folder: Path) -> AsyncIterator[Under]:
    with ExitStack() as stack:
        server = stack.enter_context(running(RedisServer(folder / "redis", "--enable-debug-command", "yes")))
        logs = stack.enter_context(logged())
        async with linked(RefusingLink(server.port)) as link:
            set_user(server.port)
            admin = stack.enter_context(Redis(port=server.port))
            where = {"address": f"127.0.0.1:{link.port}", "timeout": "1s", "username": "saga", "password": "PASSWORD"}
            overrides = {
                "coordinator": {"lease_term": "1s", "recovery_interval": "1s"},
                "storage": {"type": "redis", "redis": where, "key_prefix": "t", "partitions": 4},
            }
            config = SagaConfig.load(overrides=overrides)
            async with Coordinator.open(config, participants=[shop()]) as coordinator:
                await coordinator.register(ORDER)
                under = Under(coordinator, link, logs, admin)
                under.load = asyncio.create_task(under.customers())
                await under.goes_on()
                try:
                    yield under
                finally:
                    under.load.cancel()
                    await asyncio.gather(under.load, return_exceptions=True)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for before a trouble is said to be over, cut short."""
    monkeypatch.setattr(troubles, "QUIET_S", 0.1)
    monkeypatch.setattr(troubles, "EVERY_S", 0.1)
    monkeypatch.setattr(troubles, "TROUBLED_EVERY_S", 0.02)
    monkeypatch.setattr(folding, "FREE_LINES", 10_000)


def said(logs: list[Any], event: str) -> list[str]:
    return [str(line.get("error", "")) for line in logs if line["event"] == event]


@pytest.mark.timeout(120)
async def test_every_refusal_of_everything(tmp_path, hasty):
    """Of every kind, of all commands at once and of the scripts alone: not serving meanwhile, one line each way."""
    async with under_load(tmp_path) as under:
        for error in (*OUTAGE[:3], OUTAGE[5], OUTAGE[-2], *SETTING[:4], SETTING[10], SETTING[-1]):
            for refuse in (everything(error), only(error, "EVALSHA", "EVAL")):
                under.logs.clear()
                under.link.refuse = refuse

                async def is_not_serving() -> bool:
                    return not await under.is_serving()

                await eventually(is_not_serving)
                under.link.refuse = nothing
                await under.goes_on()
                assert len(said(under.logs, "store_unavailable")) <= 2, under.logs
                assert said(under.logs, "store_available_again")
                assert not [x for x in under.logs if x["event"] == "engine_failed" or x.get("exception")], error


@pytest.mark.timeout(120)
@pytest.mark.parametrize("error", [*FAULT[:1], *FAULT[3:4], *VALUE[:2]])
async def test_what_should_not_be_ends_nothing(tmp_path, hasty, error):
    async with under_load(tmp_path) as under:
        faults: list[str] = []
        for refuse in (everything(error), only(error, "ZRANGE", "ZRANGEBYSCORE"), only(error, "HGETALL", "ZADD")):
            under.logs.clear()
            refused = under.link.refused.total()
            under.link.refuse = refuse

            def is_refused(before: int = refused) -> bool:
                return under.link.refused.total() > before + 20

            await eventually(is_refused)
            under.link.refuse = nothing
            await under.goes_on()
            assert not [x for x in under.logs if x["event"] == "engine_failed"]
            faults += said(under.logs, "store_fault")
        assert 1 <= len(faults) <= 2, "each is said, and not over and over"


COMMANDS = (
    "EVALSHA HDEL HGET HGETALL HMGET HSET INFO LRANGE PUBLISH TIME XRANGE ZADD ZCARD ZRANGE ZRANGEBYLEX ZRANGEBYSCORE"
    " ZREM ZREMRANGEBYSCORE"
)

BY_HAND: dict[str, tuple[str, str, str]] = {
    "too few replicas": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
    "memory full": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "maxmemory"),
    "user off": ("ACL SETUSER saga off", "ACL SETUSER saga on", "as user 'saga'"),
    "another password": ("ACL SETUSER saga resetpass >NEW", "ACL SETUSER saga >PASSWORD", "as user 'saga'"),
    "-evalsha": ("ACL SETUSER saga -evalsha", "ACL SETUSER saga +evalsha", "ACL SETUSER saga +evalsha"),
    "-xadd -time": ("ACL SETUSER saga -xadd -time", "ACL SETUSER saga +xadd +time", "ACL SETUSER saga +xadd +time"),
    "no keys": ("ACL SETUSER saga resetkeys", "ACL SETUSER saga ~t*", "ACL SETUSER saga ~t*"),
    "a replica": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read-only replica"),
    "too many clients": ("CONFIG SET maxclients 1", "CONFIG SET maxclients 1000", "maxclients"),
}


@pytest.mark.timeout(120)
async def test_what_an_operator_does_to_redis(tmp_path, hasty):
    """On the real one, under load: what is missing is named; nothing is torn, lost or doubled, and all goes on."""
    async with under_load(tmp_path) as under:
        for what, (wrong, right, named) in BY_HAND.items():
            under.logs.clear()
            under.admin.execute_command(*wrong.split())
            if what in ("user off", "another password", "too many clients"):  # Who is in, stays in.
                under.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                under.link.cut()

            def is_named(text: str = named) -> bool:
                return any(text in said_so for said_so in said(under.logs, "store_unavailable"))

            await eventually(is_named)
            assert not await under.is_serving(), what
            under.admin.execute_command(*right.split())
            await under.goes_on()
            assert not [x for x in under.logs if x["event"] == "engine_failed" or x.get("exception")], what
        await check_stored(under)


@pytest.mark.timeout(120)
async def test_what_passes_by_itself(tmp_path):
    """Scripts forgotten, connections killed, a server that stands still for a moment: not worth a word."""
    async with under_load(tmp_path) as under:
        for command in (
            "SCRIPT FLUSH",
            "CLIENT KILL TYPE normal SKIPME yes",
            "CLIENT KILL TYPE pubsub",
            "DEBUG SLEEP 0.3",
        ):
            under.logs.clear()
            under.admin.execute_command(*command.split())

            def is_going_on(before: int = under.completed) -> bool:
                return under.completed > before + 3

            await eventually(is_going_on)
            assert await under.is_serving()
            assert not said(under.logs, "store_unavailable"), command
        await check_stored(under)


async def check_stored(under: Under) -> None:
    """Every saga has its events without a gap, and each index names it once."""
    await turn()
    for saga in [s async for s in under.coordinator.list()]:
        events = [e async for e in under.coordinator.watch(saga.id)]
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))
        assert events[-1].type == "saga.completed"


@pytest.mark.timeout(120)
async def test_each_command_refused_by_itself(tmp_path, hasty):
    """As when one right is taken away: it is named, with what grants it, and nothing is left to do when it is back."""
    async with under_load(tmp_path) as under:
        for command in COMMANDS.split():
            under.logs.clear()
            error = f"NOPERM this user has no permissions to run the '{command.lower()}' command"
            under.link.refuse = only(error, command, *(["EVAL"] if command == "EVALSHA" else []))

            def is_named(grant: str = f"ACL SETUSER saga +{command.lower()}") -> bool:
                return any(grant in text for text in said(under.logs, "store_unavailable"))

            await eventually(is_named)
            under.link.refuse = nothing
            await under.goes_on()
            assert not [x for x in under.logs if x["event"] == "engine_failed" or x.get("exception")], command
