"""The bare pipe leaves in Redis what the coordinator leaves there."""

import re
from typing import Any

import pytest
from redis.asyncio import Redis

from bench.contestants import Pipe, Swit

pytestmark = pytest.mark.e2e
SOURCE = "host-1234"
"""The coordinator's name in the templates."""
ALIKE = 0.05
"""What numbers and names may differ by in size, of it all. More: record the pipe anew, or say why not."""

Kept = dict[str, dict[str, int]]


async def after_one_saga(contestant: Swit | Pipe) -> Kept:
    """By key, with its partition and the saga's id left out: what is in it, and how many bytes that has."""
    try:
        await contestant.start()
        found = await contestant.ask({"workload": "success4", "rate": 1, "seconds": 1}, 60)
        assert found["sagas"] == 1
        assert contestant.redis is not None
        async with Redis(port=contestant.redis.port) as redis:
            return await kept_in(redis)
    finally:
        await contestant.stop()


async def kept_in(redis: Any) -> Kept:
    names = [key.decode() for key in await redis.keys("*") if b"{d}" not in key and b":lease" not in key]
    (saga_id,) = {name.rsplit(":", 1)[1] for name in names if ":saga:" in name}
    return {re.sub(r"{\d+}", "{}", name.replace(saga_id, "ID")): await parts(redis, name) for name in names}


async def parts(redis: Any, key: str) -> dict[str, int]:
    match await redis.type(key):
        case b"hash":
            return {field.decode(): len(value) for field, value in (await redis.hgetall(key)).items()}
        case b"list":
            return {str(n): len(value) for n, value in enumerate(await redis.lrange(key, 0, -1))}
        case b"zset":
            found = await redis.zrange(key, 0, -1, withscores=True)
            return {str(n): len(member) + len(str(score)) for n, (member, score) in enumerate(found)}
        case b"stream":
            return {at.decode(): len(str(entry)) for at, entry in await redis.xrange(key)}
        case _:
            return {"": len(await redis.get(key))}


async def test_the_same_keys_with_as_much_in_them():
    ours = await after_one_saga(Swit("everysec", "", limits={"coordinator": {"name": SOURCE}}))
    pipes = await after_one_saga(Pipe())
    assert len(ours) == 9
    assert {key: set(kept) for key, kept in pipes.items()} == {key: set(kept) for key, kept in ours.items()}
    for key, kept in ours.items():
        assert sum(pipes[key].values()) == pytest.approx(sum(kept.values()), rel=ALIKE), key
