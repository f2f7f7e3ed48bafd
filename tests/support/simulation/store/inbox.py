"""Inboxes of the simulated store."""

from collections.abc import Sequence

from swit_saga_server.store.contract import InboxEntry
from tests.support.simulation.observed import Posted
from tests.support.simulation.store.data import Memory, Message
from tests.support.simulation.store.hints import SimHints


class SimInbox:
    """``Inbox`` in memory."""

    def __init__(self, memory: Memory, hints: SimHints) -> None:
        self._memory = memory
        self._hints = hints

    async def post(self, entry: InboxEntry) -> None:
        if entry.entry_id not in self._memory.data.inbox:
            self._memory.data.inbox[entry.entry_id] = Message(entry)
            self._memory.saw(Posted(at=self._memory.true_time(), entry_id=entry.entry_id, saga_id=entry.saga_id))
        self._hints.give("inbox", self._memory.part(entry.saga_id))

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        waiting = [x.entry for x in self._memory.data.inbox.values() if x.answer is None]
        return [e for e in waiting if self._memory.part(e.saga_id) == partition][:limit]

    async def answer(self, entry: InboxEntry) -> bytes | None:
        message = self._memory.data.inbox.get(entry.entry_id)
        return message.answer if message is not None else None
