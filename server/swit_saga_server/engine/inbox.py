"""The inboxes of the partitions held here: what other coordinators ask for.

A message leaves its inbox only in the write that answers it, so none is lost, whatever crashes.
"""

from collections.abc import Callable

from swit_saga_server.core.errors import NewerRecord, StoreUnavailable, SwitSagaError
from swit_saga_server.core.inputs import Input
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.messages import UnreadableMessage, read_input
from swit_saga_server.engine.poll_schedule import PollSchedule
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import InboxEntry

log = get_logger(__name__)

PAGE = 256


class Inbox:
    """Reads messages and hands each on once, until it is done with.

    Attributes:
        schedule: Is told where something may have come in.
    """

    def __init__(
        self,
        context: Context,
        take: Callable[[InboxEntry, Input], None],
        refuse: Callable[[InboxEntry, SwitSagaError], None],
    ) -> None:
        """``take`` is handed each input that could be read, ``refuse`` each message that never can be."""
        self._store = context.store
        self._options = context.options
        self._ownership = context.ownership
        self._codec = context.options.codec
        self._left_to_newer = context.left_to_newer
        self._take = take
        self._refuse = refuse
        self._at_work: set[str] = set()
        self._left: dict[int, set[str]] = {}
        """Of those at work, by partition: what is left to a newer coordinator."""
        self.schedule = PollSchedule()

    def done(self, message_id: str) -> None:
        """The message was answered, or cannot be here; if it is still there, it is taken again."""
        self._at_work.discard(message_id)

    def leave(self, message_id: str, partition: int) -> None:
        """It stays where it is, for a newer coordinator, and is not read again while the partition is held."""
        self._left.setdefault(partition, set()).add(message_id)

    def lost(self, partition: int) -> None:
        """The partition is another's. If it comes back, what was left and is still there is taken again."""
        self._at_work -= self._left.pop(partition, set())

    async def run(self) -> None:
        """Look for ever, on hints and every now and then. Ends by cancellation."""
        while True:
            partitions, _ = await self.schedule.next(self._ownership, self._options.inbox_poll / 1e6)
            for partition in partitions:
                try:
                    await self._read(partition)
                except StoreUnavailable as unavailable:
                    log.debug("inbox_not_read", partition=partition, error=str(unavailable))

    async def _read(self, partition: int) -> None:
        # Those at work stand first: with a page of them nothing new would ever be seen.
        for entry in await self._store.inbox(partition, PAGE + len(self._at_work)):
            if entry.entry_id in self._at_work:
                continue
            self._at_work.add(entry.entry_id)
            try:
                given = read_input(entry.body, self._codec)
            except NewerRecord as newer:
                self.leave(entry.entry_id, partition)
                self._left_to_newer.leave_message(entry.saga_id, partition, newer)
            except UnreadableMessage as unreadable:
                log.error("inbox_message_unreadable", saga_id=entry.saga_id, error=str(unreadable))
                self._refuse(entry, unreadable)
            else:
                self._take(entry, given)
