"""Sagas from what Redis holds of them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from swit_saga_server.core.errors import NewerRecord
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.keys import Keys

SagaRow: TypeAlias = Mapping[bytes, bytes]
"""The fields of a saga's hash."""


async def read_sagas(
    redis: RedisConnection, keys: Keys, codec: Codec, saga_ids: Sequence[str]
) -> list[tuple[Saga | None, Instant]]:
    """Sagas with their due times, in order.

    Raises:
        NewerRecord: A newer version wrote one of them.
    """
    rows = await read_rows(redis, keys, saga_ids)
    return [decode_saga(codec, i, row) for i, row in zip(saga_ids, rows, strict=True)]


async def read_rows(redis: RedisConnection, keys: Keys, saga_ids: Sequence[str]) -> list[SagaRow]:
    """What is held of sagas, in order; empty of those that do not exist."""
    rows = await redis.pipeline([("HGETALL", f"{keys.of_saga(i)}saga:{i}") for i in saga_ids])
    return [row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True)) for row in rows]


def decode_saga(codec: Codec, saga_id: str, fields: SagaRow) -> tuple[Saga | None, Instant]:
    """The saga, and when it is due; None for an empty row.

    Raises:
        NewerRecord: A newer version wrote it.
    """
    if not fields:
        return None, NEVER
    progress, due_at, number = _mutable(fields[b"m"])
    try:
        steps = tuple([codec.unpack_step(fields[b"s%d" % i]) for i in range(number)])
        return codec.unpack_saga(fields[b"o"], progress, steps), due_at
    except NewerRecord as newer:
        raise NewerRecord(f"saga {saga_id!r}: {newer}", saga_id=saga_id) from newer


def _mutable(field: bytes) -> tuple[bytes, Instant, int]:
    """The progress, when the saga is due, and how many steps it has."""
    line, _, progress = field.partition(b"\n")
    words = line.split(b" ")
    return progress, Instant(words[4]), int(words[7])


def scored(replies: Sequence[Any]) -> list[tuple[str, int]]:
    """Members and scores, from replies of RESP 2 (flat) or RESP 3 (pairs)."""
    found: list[tuple[str, int]] = []
    for reply in replies:
        pairs = reply if reply and isinstance(reply[0], list | tuple) else zip(reply[::2], reply[1::2], strict=True)
        found += [(member.decode(), int(float(score))) for member, score in pairs]
    return found
