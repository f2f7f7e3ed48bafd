"""What is asked of a Redis before it is trusted with state."""

from enum import StrEnum

import structlog

from swit_saga_server.core.errors import StoreRefused
from swit_saga_server.store.redis.connection import RedisConnection

log = structlog.get_logger(__name__)

OLDEST = (6, 2)


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
