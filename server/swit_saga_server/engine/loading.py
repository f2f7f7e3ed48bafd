"""One stage of the loop: sagas that something happened to and that are not in memory are read, many in one go."""

from collections.abc import Sequence

from swit_saga_server.core.errors import NewerRecord, SagaNotFound, SagaQuarantined, StoreUnavailable, SwitSagaError
from swit_saga_server.core.model import Saga
from swit_saga_server.engine.applying import Applying
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.definitions import Definitions
from swit_saga_server.engine.inbox import Inbox
from swit_saga_server.engine.items import Begin, Item, NotHeld
from swit_saga_server.engine.left_to_newer import LOOK_AGAIN
from swit_saga_server.engine.messages import pack_refused
from swit_saga_server.engine.patience import until_answered
from swit_saga_server.engine.rejecting import Rejecting
from swit_saga_server.engine.supervisor import Supervisor
from swit_saga_server.engine.wakeups import Wakeups
from swit_saga_server.engine.working_set import Entry, Phase
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import InboxAnswer, partition_of

log = get_logger(__name__)


class Loading:
    """Reads what is to be loaded, one batch at a time.

    Attributes:
        under_way: A batch is being read.
    """

    def __init__(
        self,
        context: Context,
        applying: Applying,
        wakeups: Wakeups,
        inbox: Inbox,
        rejecting: Rejecting,
        supervisor: Supervisor,
    ) -> None:
        self._store = context.store
        self._options = context.options
        self._env = context.env
        self._ownership = context.ownership
        self._working_set = context.working_set
        self._counters = context.counters
        self._rewinds = context.rewinds
        self._mailbox = context.mailbox
        self._definitions = Definitions(context.store)
        self._left_to_newer = context.left_to_newer
        self._applying = applying
        self._wakeups = wakeups
        self._inbox = inbox
        self._rejecting = rejecting
        self._supervisor = supervisor
        self.under_way = False

    def begin(self) -> None:
        """Begin with what is to be loaded, unless that is under way."""
        if self._working_set.to_load and not self.under_way:
            self.under_way = True
            self._supervisor.spawn(self._load())

    def answer_apart(self, item: Item, refused: SwitSagaError, base_version: int | None) -> None:
        """Refuse an inbox message that no saga is written for.

        Args:
            item: What the message brought.
            refused: Why.
            base_version: What the refusal rests on: 0, that there is no such saga; None, nothing about the saga.
        """
        self._supervisor.spawn(self._answer_apart(item, refused, base_version))

    async def _load(self) -> None:
        to_load = self._working_set.to_load
        batch = [to_load.pop(saga_id) for saga_id in list(to_load)[: self._options.load_batch]]
        try:
            for entry, found in zip(batch, await self._read(batch), strict=True):
                if entry.phase is Phase.LOADING:  # Else it was dropped meanwhile.
                    self._take_in(entry, found)
        finally:
            self.under_way = False
            self._mailbox.turn.set()

    def _take_in(self, entry: Entry, found: Saga | Exception | None) -> None:
        expected = self._applying.expected_version(entry.saga_id)
        if isinstance(found, Exception):
            self._unreadable(entry, found)
        elif expected > (found.version if found is not None else 0):
            self._rewound(entry, expected)
        elif found is None:
            self._missing(entry)
        else:
            entry.applied, entry.phase = found, Phase.IDLE
            self._applying.release(entry, self._env.clock.now())

    async def _read(self, batch: Sequence[Entry]) -> Sequence[Saga | Exception | None]:
        """The sagas with their definitions, set on the entries; an exception in place of one that cannot be read."""
        try:
            sagas = await until_answered(lambda: self._store.load([e.saga_id for e in batch]))
            for entry, saga in zip(batch, sagas, strict=True):
                if saga is not None:
                    entry.definition = await self._definitions.of(saga)
            return sagas
        except Exception as unreadable:
            if len(batch) == 1:
                return [unreadable]
            # One bad record must not hold up the others: each on its own.
            return [saga for entry in batch for saga in await self._read([entry])]

    def _rewound(self, entry: Entry, expected: int) -> None:
        """The store went back behind what it had confirmed. It is the truth: all of the partition is read anew."""
        text = f"of saga {entry.saga_id!r}, version {expected} was confirmed and is not there"
        self._rewinds.found(text, saga_id=entry.saga_id, partition=entry.partition, expected_version=expected)
        self._applying.drop(entry)
        self._ownership.fenced(entry.partition)
        for item in entry.waiting:
            self._mailbox.put(item)

    def _unreadable(self, entry: Entry, error: Exception) -> None:
        if isinstance(error, NewerRecord):
            self._leave(entry, error)
            return
        log.error("saga_unreadable", fold_by=type(error), saga_id=entry.saga_id, exc_info=error)
        self._counters.quarantined += 1
        self._applying.drop(entry)
        text = f"saga {entry.saga_id!r} cannot be read: {error}"
        for item in entry.waiting:
            self._rejecting.reject(item, SagaQuarantined(text, saga_id=entry.saga_id))

    def _leave(self, entry: Entry, newer: NewerRecord) -> None:
        """A newer coordinator must drive it: nothing that came for it is lost, and nothing is tried over and over."""
        self._applying.drop(entry)
        self._left_to_newer.leave_saga(entry.saga_id, entry.partition, newer)
        self._wakeups.arm_at(entry.saga_id, self._env.clock.now() + LOOK_AGAIN)
        for item in entry.waiting:
            if item.message_id:
                self._inbox.leave(item.message_id, entry.partition)
            elif item.waiter is not None:
                item.waiter.fail(newer)
            else:
                self._rejecting.reject(item, NotHeld())  # So that a participant's answer goes to the inbox.

    def _missing(self, entry: Entry) -> None:
        self._applying.drop(entry)
        for item in entry.waiting:
            if isinstance(item.given, Begin):
                self._mailbox.put(item)
                continue
            refused = SagaNotFound(f"there is no saga {entry.saga_id!r}", saga_id=entry.saga_id)
            if item.message_id:
                self.answer_apart(item, refused, 0)
            else:
                self._rejecting.reject(item, refused)

    async def _answer_apart(self, item: Item, refused: SwitSagaError, base_version: int | None) -> None:
        lease = self._ownership.leases.get(partition_of(item.saga_id, self._store.partitions))
        answer = InboxAnswer(entry_id=item.message_id, answer=pack_refused(refused))
        try:
            if lease is not None:
                await self._store.reply(item.saga_id, base_version, (answer,), lease)
        except StoreUnavailable as unknown:
            log.warning("reply_not_written", saga_id=item.saga_id, error=str(unknown))
        finally:
            self._inbox.done(item.message_id)  # If it was not answered, it comes again.
