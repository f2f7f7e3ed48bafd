"""What is asked of a Redis before it is trusted with state."""

from enum import StrEnum

from redis.exceptions import NoScriptError

from swit_saga_server.core.errors import StoreRefused
from swit_saga_server.logs import get_logger
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.failures import missing_command
from swit_saga_server.store.redis.refusals import code_and_text

log = get_logger(__name__)

OLDEST = (6, 2)


_PROBES: tuple[tuple[object, ...], ...] = (
    ("HSET", "{k}h", "a", 1),
    ("HSETNX", "{k}h", "a", 1),
    ("HINCRBY", "{k}h", "a", 1),
    ("HGET", "{k}h", "a"),
    ("HMGET", "{k}h", "a"),
    ("HGETALL", "{k}h"),
    ("HDEL", "{k}h", "a"),
    ("SET", "{k}s", 1, "PX", 1_000),
    ("SETNX", "{k}s", 1),
    ("GET", "{k}s"),
    ("INCR", "{k}s"),
    ("INCRBY", "{k}s", 1),
    ("RPUSH", "{k}l", 1),
    ("LRANGE", "{k}l", 0, 1),
    ("ZADD", "{k}z", 1, "a"),
    ("ZCARD", "{k}z"),
    ("ZRANGE", "{k}z", 0, 1),
    ("ZRANGEBYSCORE", "{k}z", 0, 1),
    ("ZREVRANGEBYSCORE", "{k}z", 1, 0),
    ("ZRANGEBYLEX", "{k}z", "-", "+"),
    ("ZREMRANGEBYSCORE", "{k}z", 0, 1),
    ("ZREM", "{k}z", "a"),
    ("XADD", "{k}x", "*", "a", 1),
    ("XRANGE", "{k}x", "-", "+"),
    ("EXISTS", "{k}h"),
    ("EVAL", "return 1", 1, "{k}h"),
    ("EVALSHA", "0" * 40, 1, "{k}h"),
    ("TIME",),
    ("DEL", "{k}h", "{k}s", "{k}l", "{k}z", "{k}x"),
)
"""Every command that the store and its scripts use, on keys of their own that are gone afterwards."""

COMMANDS = (*sorted({str(p[0]).lower() for p in _PROBES}), "info", "publish", "subscribe")
"""What the user must be allowed to run: on keys and channels that begin with the prefix."""
BY_DURABILITY = {"replicated": ("wait",), "fsync": ("config|get", "waitaof")}
"""Beyond that, what a durability needs, or can do with."""
ON_A_CLUSTER = ("cluster|slots", "command")


class Durability(StrEnum):
    """When a write counts as done, and what a failure can take back.

    ``relaxed``: when Redis has it in memory; a crash of Redis loses what its own persistence had not written yet
    (with ``appendfsync everysec`` about a second, more on a slow disk).
    ``fsync``: when it is on the master's disk; only a failover to a replica that lags can lose it.
    ``replicated``: when ``replicas`` replicas have it in memory, too; survives a failover to one of those.
    """

    RELAXED = "relaxed"
    FSYNC = "fsync"
    REPLICATED = "replicated"


class Confirmation:
    """What is sent after a script, on its own connection, to know that its writes are as durable as asked for."""

    def __init__(self, command: tuple[object, ...], wanted: int) -> None:
        """``wanted``: what the command must answer at least."""
        self.command = command
        self.wanted = wanted


async def check_server(
    redis: RedisConnection, durability: Durability, replicas: int, timeout_s: float
) -> tuple[tuple[int, ...], Confirmation | None]:
    """Look at the server.

    Returns:
        Its version, and how writes are confirmed; None if a script's reply is enough.

    Raises:
        StoreRefused: It cannot be used; the message says what to change.
        StoreUnavailable: It cannot be reached.
    """
    info = await redis.info()
    version = tuple(int(n) for n in str(info["redis_version"]).split(".")[:2])
    if version < OLDEST:
        raise StoreRefused(f"Redis {info['redis_version']} is too old; 6.2 is the oldest that will do")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and int(info.get("maxmemory", 0)):
        raise StoreRefused(
            f"Redis may evict saga state (maxmemory-policy {policy}): set maxmemory-policy to noeviction"
        )
    has_log = bool(int(info.get("aof_enabled", 0)))
    if not has_log and not await _saves(redis):
        log.warning("redis_keeps_nothing", advice="a restart of Redis loses all sagas: set appendonly yes")
    wait_ms = int(timeout_s * 500)  # Less than a reply is waited for, so that we hear how many confirmed.
    if durability is Durability.RELAXED:
        return version, None
    if redis.is_cluster:
        raise StoreRefused(f"durability {durability.value!r} is not supported on a Cluster yet; use 'relaxed'")
    if durability is Durability.REPLICATED:
        if int(info.get("connected_slaves", 0)) < replicas:
            log.warning("replicas_missing", connected=info.get("connected_slaves", 0), wanted=replicas)
        return version, Confirmation(("WAIT", replicas, wait_ms), replicas)
    synced = await _setting(redis, "appendfsync") if has_log else None
    if synced == "always":
        return version, None
    if version >= (7, 2) and has_log:
        return version, Confirmation(("WAITAOF", 1, 0, wait_ms), 1)
    if has_log and synced is None:
        raise StoreRefused(
            f"durability 'fsync' needs to know appendfsync, and Redis at {redis.where} does not let us ask; "
            f"grant it: ACL SETUSER {redis.username} +config|get"
        )
    raise StoreRefused(
        "durability 'fsync' needs appendonly yes, and appendfsync always (or Redis 7.2, which can wait for its disk)"
    )


async def _saves(redis: RedisConnection) -> bool:
    return bool(await _setting(redis, "save"))


async def _setting(redis: RedisConnection, name: str) -> str | None:
    """A setting; None where we may not ask."""
    try:
        found = await redis.setting(name)
    except StoreRefused:
        return None
    return found


async def check_rights(
    redis: RedisConnection,
    prefix: str,
    channel: str,
    confirmation: Confirmation | None = None,
    *,
    subscribes: bool = True,
) -> None:
    """See that the user may do everything that will be asked of it, before anything depends on it.

    On a Cluster at every master, since each has rights of its own. ``subscribes`` tries that, too, which takes a
    connection of its own.

    Raises:
        StoreRefused: With what it may not, and what grants it.
        StoreUnavailable: It cannot be reached.
    """
    refused: dict[str, str] = {}
    masters = await redis.masters(prefix)
    for keys, node in masters.items():
        beyond = [("INFO",), ("PUBLISH", channel, "")]
        if confirmation is not None:
            name, *numbers = confirmation.command
            beyond.append((str(name), *("0" for _ in numbers)))
        if node is not None:
            beyond.append(("COMMAND", "INFO", "get"))
        probes = [[p.replace("{k}", keys) if isinstance(p, str) else p for p in probe] for probe in (*_PROBES, *beyond)]
        for probe, reply in zip(probes, await redis.each(probes, node), strict=True):
            if not isinstance(reply, Exception) or isinstance(reply, NoScriptError):
                continue  # Nothing has the digest 0: so it may ask.
            if code_and_text(reply)[0] != "NOPERM":
                redis.fail(reply)
            refused[str(probe[0]).lower()] = str(reply)
    if subscribes:
        try:
            async with redis.messages(channel):
                pass
        except StoreRefused as no:
            refused["subscribe"] = str(no.__cause__)
    if not refused:
        return
    of_keys = any("key" in text for text in refused.values())
    of_channels = any("channel" in text for text in refused.values())
    commands = [name for name, text in refused.items() if "key" not in text and "channel" not in text]
    rights = [f"~{prefix}*"] * of_keys + [f"&{prefix}*"] * of_channels + [f"+{name}" for name in commands]
    text = (
        f"Redis at {redis.where} does not let user {redis.username!r} do what the coordinator needs; "
        f"grant it: ACL SETUSER {redis.username} {' '.join(rights)}"
    )
    redis.fail(StoreRefused(text), "rights")


async def check(
    redis: RedisConnection, durability: Durability, replicas: int, timeout_s: float, *, prefix: str, channel: str
) -> tuple[tuple[int, ...], Confirmation | None]:
    """``check_server`` and ``check_rights``: everything before the first use.

    Raises:
        StoreRefused, StoreUnavailable.
    """
    try:
        version, confirmation = await check_server(redis, durability, replicas, timeout_s)
    except StoreRefused as refused:
        if missing_command(refused.__cause__):
            await check_rights(redis, prefix, channel)  # Names all that is missing, not only the first.
        raise
    await check_rights(redis, prefix, channel, confirmation)
    return version, confirmation
