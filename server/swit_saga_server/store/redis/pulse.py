"""Whether Redis still has what it had confirmed: a number that all coordinators raise, and that never goes back.

With a flush, a restart without its data, an older snapshot or a failover to a replica that lagged, it does.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from swit_saga_server.core.errors import StoreRewound, StoreUnavailable
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.scripts import Scripts

SCHEMA = 3
"""Of the keys. It changes only when adding to them is not enough; see ``store.levels``."""
DESCRIPTION = ("schema", "partitions", "born")
"""What a store says of itself. Each that is set up has another ``born``: one that was emptied is another."""
CONFIRMED_WITHIN_MS = 50
"""A beat that is not as durable as asked for by then may be lost in silence; what was acknowledged is not in doubt."""


class Pulse:
    """Compares each beat with the one before."""

    def __init__(self, redis: RedisConnection, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._last = 0
        self._born = b""

    @property
    def confirm(self) -> list[tuple[object, ...]]:
        """The command that tells whether the beat is durable, to be sent right behind it, if any is needed."""
        confirmation = self._scripts.confirmation
        return [] if confirmation is None else [(*confirmation.command[:-1], CONFIRMED_WITHIN_MS)]

    async def felt(self, beat: int, meta: Sequence[bytes | None], confirmed: Sequence[Any]) -> None:
        """Take in a beat, and what the store says of itself: see ``DESCRIPTION``.

        Raises:
            StoreRewound: The store went back since the last beat. Said once; what it has now goes.
            StoreUnavailable: It is another's store now, of another number of partitions.
        """
        before, confirmation = self._last, self._scripts.confirmation
        if confirmation is None or _number(confirmed[0]) >= confirmation.wanted or beat <= before:
            self._last = beat
        schema, partitions, born = meta
        if schema is None or partitions is None or born is None:
            # Before a coordinator that starts does, with another number of partitions.
            _, _, born = await describe(self._redis, self._keys)
        elif int(partitions) != self._keys.partitions:
            text = (
                f"Redis at {self._redis.where} was emptied and set up anew with {int(partitions)} partitions, and this"
                f" coordinator works with {self._keys.partitions}: restart it"
            )
            self._redis.fail(StoreUnavailable(text), "partitions")
        is_another, self._born = self._born not in (b"", born), born or b""
        if beat <= before or is_another:
            raise StoreRewound(
                f"Redis at {self._redis.where} went back behind what it had confirmed (flushed, restarted without its"
                f" data, restored, or failed over to a replica that lagged): at beat {before} before, at {beat} now"
            )


async def describe(redis: RedisConnection, keys: Keys) -> Sequence[bytes | None]:
    """Say of a new store what it is; of one that says so itself, nothing is changed.

    Returns:
        What it is: see ``DESCRIPTION``.
    """
    new = {"partitions": keys.partitions, "schema": SCHEMA, "born": secrets.token_hex(8)}
    *_, found = await redis.pipeline(
        [*(("HSETNX", keys.meta, name, value) for name, value in new.items()), ("HMGET", keys.meta, *DESCRIPTION)]
    )
    return list(found)


def _number(reply: Any) -> int:
    return int(reply[0] if isinstance(reply, list) else reply)
