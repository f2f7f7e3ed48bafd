"""Ids that sort by time, so that stores append rather than scatter."""

import secrets
import time
import zlib
from collections.abc import Collection


def new_saga_id() -> str:
    """Unique: 11 hex digits of milliseconds since the epoch, 21 random ones."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.randbits(84):021x}"


class SagaIds:
    """Ids of sagas that the coordinator at the other end drives itself, as far as it has said which those are.

    It takes any; those of others go through the store, and cost it and both coordinators more.
    """

    def __init__(self) -> None:
        self._total = 1
        self._held: frozenset[int] = frozenset((0,))

    def learn(self, total: int, held: Collection[int]) -> None:
        """What it drives: the ids whose CRC-32 modulo ``total`` is ``held``; if that is none, any will do."""
        self._total, self._held = (total, frozenset(held)) if total and held else (1, frozenset((0,)))

    def new(self) -> str:
        """As ``new_saga_id``."""
        while True:
            saga_id = new_saga_id()
            if zlib.crc32(saga_id.encode()) % self._total in self._held:
                return saga_id
