"""What this coordinator cannot read because a newer version wrote it: left where it is, for a newer one to take.

It is not damage: nothing is quarantined, dropped or answered, and nothing is tried over and over (``store.levels``).
"""

from collections.abc import Set as AbstractSet

from swit_saga_server.core.errors import NewerRecord
from swit_saga_server.core.units import MINUTE, Span
from swit_saga_server.engine.counters import Counters
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

LOOK_AGAIN: Span = MINUTE
"""After which a saga that could not be read is looked at again, if its partition is still held."""


class LeftToNewer:
    """The sagas of the partitions held here that are newer; its length is how many."""

    def __init__(self, ownership: Ownership, counters: Counters) -> None:
        self._ownership = ownership
        self._counters = counters
        self._sagas: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._sagas.values()))

    def leave_saga(self, saga_id: str, partition: int, newer: NewerRecord) -> None:
        """A saga cannot be read. Said aloud and counted once, for as long as the partition is held."""
        known = self._sagas.setdefault(partition, set())
        if saga_id not in known:
            known.add(saga_id)
            self._counters.left_to_newer += 1
            log.warning("saga_left_to_newer", saga_id=saga_id, partition=partition, error=str(newer))
        self._ownership.decline(partition)

    def leave_message(self, saga_id: str, partition: int, newer: NewerRecord) -> None:
        """An inbox message cannot be read."""
        self._counters.left_to_newer += 1
        log.warning("inbox_message_left_to_newer", saga_id=saga_id, partition=partition, error=str(newer))
        self._ownership.decline(partition)

    def lost(self, partition: int) -> AbstractSet[str]:
        """The partition is another's: the sagas in it that were left are forgotten, and returned."""
        return self._sagas.pop(partition, set())
