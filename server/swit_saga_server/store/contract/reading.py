"""Reading: sagas, their events, and what a partition's holder has to look at."""

from collections.abc import Sequence
from typing import Protocol

from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import record
from swit_saga_server.core.units import Instant


@record(frozen=True, slots=True)
class Due:
    """A saga and when it needs attention."""

    saga_id: str
    due_at: Instant


@record(frozen=True, slots=True)
class FeedItem:
    """One event in a partition's feed. ``position`` grows with every event of the partition, gaps allowed."""

    position: int
    saga_id: str
    event: SagaEvent


class Reading(Protocol):
    """Reads; none of them needs a lease."""

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """The sagas, whole, in order; None for those that do not exist.

        Raises:
            NewerRecord: A newer version wrote one of them, which its ``saga_id`` names. The others are read by
                themselves.
        """
        ...

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """A saga's events with ``sequence > after``, in order. Never trimmed while the saga exists.

        Raises:
            NewerRecord: A newer version wrote one of them.
        """
        ...

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """Sagas due at or before ``until``, earliest first."""
        ...

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """Ids of sagas with a command out, in id order, those greater than ``after`` only (for paging)."""
        ...

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """The partition's events with ``position > after``, in order of commit.

        Raises:
            NewerRecord: A newer version wrote one of them.
            CursorOutOfRange: They were trimmed, and ``oldest`` says after which position the feed begins; or ``after``
                lies beyond the feed's end, which ``oldest`` names: the store went back.
        """
        ...

    async def feed_end(self, partition: int) -> int:
        """Where the partition's feed ends now: none of its events lies beyond, and all that is committed later does."""
        ...
