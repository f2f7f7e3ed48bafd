"""What is asked of a Redis before it is trusted with state."""

from enum import StrEnum

import structlog
from redis.exceptions import NoScriptError, ResponseError

from swit_saga_server.core.errors import StoreRefused
from swit_saga_server.store.redis.connection import RedisConnection

log = structlog.get_logger(__name__)

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

COMMANDS = (*sorted({str(p[0]).lower() for p in _PROBES}), "info", "publish", "subscribe", "unsubscribe")
"""What the user must be allowed to run: on keys and channels that begin with the prefix."""
BY_DURABILITY = {"replicated": ("wait",), "fsync": ("config|get", "waitaof")}
"""Beyond that, what a durability needs, or can do with."""
ON_A_CLUSTER = ("cluster|slots", "cluster|shards", "command")


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
    if has_log and await _setting(redis, "appendfsync") == "always":
        return version, None
    if version >= (7, 2) and has_log:
        return version, Confirmation(("WAITAOF", 1, 0, wait_ms), 1)
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


async def check_rights(redis: RedisConnection, prefix: str, channel: str) -> None:
    """See that the user may do everything that will be asked of it, before anything depends on it.

    Raises:
        StoreRefused: With what it may not, and what grants it.
        StoreUnavailable: It cannot be reached.
    """
    refused: dict[str, str] = {}
    for probe in _PROBES:
        command = [p.replace("{k}", f"{prefix}{{acl}}:") if isinstance(p, str) else p for p in probe]
        try:
            await redis.command(*command)
        except StoreRefused as no:
            refused[str(probe[0]).lower()] = str(no)
        except ResponseError as odd:
            if not isinstance(odd, NoScriptError):  # Nothing has the digest 0: so it may ask.
                raise
    for name, ask in (("publish", redis.command("PUBLISH", channel, "")), ("subscribe", _subscribed(redis, channel))):
        try:
            await ask
        except StoreRefused as no:
            refused[name] = str(no)
    if not refused:
        return
    keys = any("key" in text for text in refused.values())
    channels = any("channel" in text for text in refused.values())
    commands = [name for name, text in refused.items() if "key" not in text and "channel" not in text]
    rights = [f"~{prefix}*"] * keys + [f"&{prefix}*"] * channels + [f"+{name}" for name in commands]
    raise StoreRefused(
        f"Redis does not let user {redis.username!r} do what the coordinator needs; "
        f"grant it: ACL SETUSER {redis.username} {' '.join(rights)}"
    )


async def _subscribed(redis: RedisConnection, channel: str) -> None:
    async with redis.messages(channel):
        pass
