"""The inboxes of the partitions held here: what other coordinators ask for. An entry leaves its inbox only in the write
that answers it, so none is lost, whatever crashes.
"""

from collections.abc import Callable

import structlog

from swit_saga_server.core.errors import StoreUnavailable, SwitSagaError
from swit_saga_server.engine.letters import Letter, UnreadableLetter, read_letter
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.engine.rota import Rota
from swit_saga_server.store.contract import InboxEntry, StateStorage

log = structlog.get_logger(__name__)

PAGE = 256


class Inbox:
    """Reads entries and hands each on once, until it is done with.

    Attributes:
        rota: Is told where something may have come in.
    """

    def __init__(
        self,
        store: StateStorage,
        options: EngineOptions,
        ownership: Ownership,
        take: Callable[[InboxEntry, Letter], None],
        refuse: Callable[[InboxEntry, SwitSagaError], None],
    ) -> None:
        self._store = store
        self._options = options
        self._ownership = ownership
        self._take = take
        self._refuse = refuse
        self._at_work: set[str] = set()
        self.rota = Rota()

    def done(self, entry_id: str) -> None:
        """The entry was answered, or cannot be here; if it is still there, it is taken again."""
        self._at_work.discard(entry_id)

    async def keep(self) -> None:
        """Look for ever, on hints and every now and then. Ends by cancellation."""
        while True:
            partitions, _ = await self.rota.next(self._ownership, self._options.inbox_poll / 1e6)
            for partition in partitions:
                try:
                    await self._read(partition)
                except StoreUnavailable as unavailable:
                    log.warning("inbox_not_read", partition=partition, error=str(unavailable))

    async def _read(self, partition: int) -> None:
        # Those at work stand first: with a page of them nothing new would ever be seen.
        for entry in await self._store.inbox(partition, PAGE + len(self._at_work)):
            if entry.entry_id in self._at_work:
                continue
            self._at_work.add(entry.entry_id)
            try:
                letter = read_letter(entry.body)
            except UnreadableLetter as unreadable:
                log.error("letter_unreadable", saga_id=entry.saga_id, error=str(unreadable))
                self._refuse(entry, unreadable)
            else:
                self._take(entry, letter)
