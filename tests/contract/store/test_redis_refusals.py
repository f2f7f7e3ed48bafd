"""Every error reply that Redis can give, at every call of the store: none is taken for another, none escapes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from swit_saga_server.core.errors import StoreFault, StoreRefused, StoreUnavailable, UnstorableValue
from swit_saga_server.store.conformance.backend import LONG
from swit_saga_server.store.conformance.samples import FAR, answers_to, definition, ids_in, start
from swit_saga_server.store.contract import InboxEntry, Lease, SagaFilter, SagaOrder
from swit_saga_server.store.redis.checks import Durability
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.refusals import CODES, Meaning
from swit_saga_server.store.redis.store import RedisStore
from tests.support.link import linked
from tests.support.redis_server import RedisServer, running
from tests.support.refusing_redis import RefusingLink, everything, only

OUTAGE = (
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
    "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN The cluster is down",
    "ASK 3999 127.0.0.1:6381",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "NOSCRIPT No matching script. Please use EVAL.",
    "EXECABORT Transaction discarded because of previous errors.",
    "UNKILLABLE Sorry the script already executed write commands against the dataset.",
    "NOTBUSY No scripts in execution right now.",
    "INPROG Failover already in progress",
    "NOGOODSLAVE No suitable replica to promote",
    "NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
    "ERR WAIT cannot be used with replica instances.",
    "ERR Error running script (call to f_1): @user_script:30: @user_script: 30: -MISCONF Redis is configured to save",
    "ERR Error running script (call to f_1): @user_script:30: -OOM command not allowed when used memory > 'maxmemory'",
    "ERR Error running script (call to f_1): @user_script:3: Script killed by user with SCRIPT KILL...",
    "MISCONF Redis is configured to save RDB snapshots script: 19ba48, on @user_script:2.",
    "-MISCONF Redis is configured to save RDB snapshots",
)
SETTING = (
    "NOAUTH Authentication required.",
    "NOAUTH HELLO must be called with the client already authenticated",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOPERM this user has no permissions to run the 'xadd' command script: 19ba48, on @user_script:2.",
    "NOPERM this user has no permissions to access one of the keys used as arguments",
    "NOPERM ACL failure in script: User saga has no permissions to run the 'xadd' command",
    "ERR The user executing the script can't run this command or subcommand script: 19ba48, on @user_script:2.",
    "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
    "ERR Error running script (call to f_1): @user_script:30: -NOPERM this user has no permissions to run 'xadd'",
    "ERR unknown command 'EVALSHA', with args beginning with: 'a' '1'",
    "ERR unknown command `XADD`, with args beginning with: ",
    "ERR Unknown Redis command called from script script: 8298a8, on @user_script:2.",
    "ERR Invalid command passed to redis.acl_check_cmd() script: f32c7b, on @user_script:2.",
    "ERR DB index is out of range",
    "MOVED 3999 127.0.0.1:6381",
    "DENIED Redis is running in protected mode because protected mode is enabled",
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
)
VALUE = (
    "ERR value is not an integer or out of range",
    "ERR value is not a valid float script: 4655dd, on @user_script:2.",
    "ERR user_script:2: too many results to unpack script: b43944, on @user_script:2.",
    "ERR increment or decrement would overflow",
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
    "ERR Protocol error: invalid bulk length",
)
FAULT = (
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR syntax error",
    "ERR something that nobody has heard of",
    "BRANDNEW a code of next year",
    "lower case, and no code at all",
    "ERR",
)
EXPECTED = (
    [(error, StoreUnavailable) for error in OUTAGE + SETTING]
    + [(error, UnstorableValue) for error in VALUE]
    + [(error, StoreFault) for error in FAULT]
)
LEASE = Lease(0, 1, "nonce", FAR)
IN_0 = next(ids_in(0, 2))
"""A saga of partition 0."""
ENTRY = InboxEntry(entry_id="e", saga_id="s", body=b"")

READS: dict[str, Callable[[RedisStore], Awaitable[object]]] = {
    "now": lambda s: s.now(),
    "acquire": lambda s: s.acquire(0, "me", LONG),
    "renew": lambda s: s.renew([LEASE], LONG),
    "release": lambda s: s.release([LEASE]),
    "heartbeat": lambda s: s.heartbeat("me", LONG, 1),
    "deregister": lambda s: s.deregister("me"),
    "inbox": lambda s: s.inbox(0, 10),
    "answer": lambda s: s.answer(ENTRY),
    "load": lambda s: s.load(["a", "b"]),
    "events": lambda s: s.events("a", 0, 10),
    "due": lambda s: s.due(0, FAR, 10),
    "in_flight": lambda s: s.in_flight(0, "", 10),
    "feed": lambda s: s.feed(0, 0, 10),
    "feed_end": lambda s: s.feed_end(0),
    "list_sagas": lambda s: s.list_sagas(SagaFilter(), SagaOrder.CREATED_DESC, 10, ""),
    "count": lambda s: s.count(),
    "delete": lambda s: s.delete(IN_0, LEASE),
    "expired": lambda s: s.expired(0, FAR, 10),
    "definition": lambda s: s.definition("order", 0, ""),
    "an inline definition": lambda s: s.definition("order", 0, "digest"),
    "list_definitions": lambda s: s.list_definitions("", True, 10, ""),
    "disable_definition": lambda s: s.disable_definition("order", 1, True),
}
WRITES: dict[str, Callable[[RedisStore], Awaitable[object]]] = {
    "commit": lambda s: s.commit([start()], {0: LEASE}),
    "create": lambda s: s.create(start(events=0)),
    "reply": lambda s: s.reply(IN_0, 1, answers_to("e"), LEASE),
    "post": lambda s: s.post(ENTRY),
    "register": lambda s: s.register(definition(), "digest", FAR),
}
"""Those that bring a caller's values: what is refused for its value is that value's fault."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis"))) as started:
        yield started


@asynccontextmanager
async def refusing(server: RedisServer, **more: object) -> AsyncIterator[tuple[RedisStore, RefusingLink]]:
    with Redis(port=server.port) as admin:
        admin.flushall()
    async with linked(RefusingLink(server.port)) as link:
        options = RedisOptions(url=f"redis://127.0.0.1:{link.port}/0", timeout_s=5.0)
        store = RedisStore(options, partitions=2, **more)  # type: ignore[arg-type]
        await store.open()
        try:
            yield store, link
        finally:
            await store.close()


ONE_BY_ONE = frozenset({"renew", "release"})
"""Calls about several leases at once, each answered for itself."""


def test_every_code_is_tried():
    assert {e.split()[0].removeprefix("-") for e, _ in EXPECTED} >= {
        c for c in CODES if CODES[c][0] is Meaning.OUTAGE
    } - {
        "NOMASTERLINK",
        "IOERR",
    }


@pytest.mark.parametrize("protocol", [2, 3])
async def test_every_reply_at_every_call(server, protocol):
    async with refusing(server) as (store, link):
        for error, kind in EXPECTED:
            link.refuse = everything(error)
            for name, call in (READS | WRITES).items():
                expected = StoreFault if kind is UnstorableValue and name in READS else kind
                if name in ONE_BY_ONE and kind in (StoreFault, UnstorableValue):
                    assert (await call(store) or [None]) == [None], "it costs that lease alone: it is not held"
                    continue
                with pytest.raises((StoreUnavailable, StoreRefused, UnstorableValue)) as raised:
                    await call(store)
                assert type(raised.value) is expected, f"{name}: {error}: {raised.value!r}"
        assert link.refused.total() > len(EXPECTED) * len(READS)


async def test_every_reply_where_a_write_is_confirmed(server):
    """The refusal of the script and that of the command which answers for its durability, each in a pipeline."""
    async with refusing(server, durability=Durability.REPLICATED) as (store, link):
        for error, kind in EXPECTED:
            for refused in (("EVALSHA", "EVAL", "WAIT"), ("WAIT",)):
                link.refuse = only(error, *refused)
                with pytest.raises((StoreUnavailable, StoreRefused, UnstorableValue)) as raised:
                    await store.commit([start()], {0: LEASE})
                assert type(raised.value) is kind, f"{refused}: {error}: {raised.value!r}"


async def test_every_reply_at_the_start(server):
    """In words, whatever it is; what a person must mend ends it, and the rest is tried again."""
    async with linked(RefusingLink(server.port)) as link:
        options = RedisOptions(url=f"redis://127.0.0.1:{link.port}/0", timeout_s=5.0)
        for error, kind in EXPECTED:
            for login in (True, False):
                link.refuse = everything(error, login=login)
                store = RedisStore(options, partitions=2)
                with pytest.raises((StoreUnavailable, StoreRefused)) as raised:
                    await store.open()
                assert f"127.0.0.1:{link.port}" in str(raised.value)
                assert isinstance(raised.value, StoreRefused) == (error in SETTING), f"{error}: {raised.value!r}"
                await store.close()
                assert kind is not None
