"""Inboxes: what coordinators ask of each other, through the store."""

from collections.abc import Sequence
from typing import Protocol

from swit_saga_server.core.record import record


@record(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """A request for a saga owned by another coordinator. ``body`` is opaque to the store.

    Attributes:
        entry_id: Chosen by the writer; posting it twice posts it once.
        saga_id: Says which partition's inbox.
    """

    entry_id: str
    saga_id: str
    body: bytes


class Inbox(Protocol):
    """An inbox per partition; its holder reads and answers."""

    async def post(self, entry: InboxEntry) -> None:
        """Put an entry in its partition's inbox, durably, once per ``entry_id``.

        What is consumed stays so for as long as its answer is kept; later the same id is a new entry.
        """
        ...

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """The oldest entries not yet consumed, in the order they were posted."""
        ...

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """The answer the consuming write stored; None while there is none. Kept for at least 10 minutes."""
        ...
