"""One stage of the loop: a write has its verdict, and only now it has effects.

Applied: commands go out, callers hear, watchers see, timers are armed. Refused (fenced, conflict): memory and store
disagree, the store is the truth; the saga leaves memory, and its inputs are put to it again if it is still ours.
"""

from swit_saga_server.core.errors import CoordinatorUnavailable, NeedsNewerLevel, SwitSagaError, UnstorableValue
from swit_saga_server.core.units import MINUTE, SECOND, Instant, Span
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.deciding import Deciding
from swit_saga_server.engine.inbox import Inbox
from swit_saga_server.engine.items import Begin, Item, NotHeld
from swit_saga_server.engine.outbox import Outbox
from swit_saga_server.engine.postponed import PAUSE, Postponed
from swit_saga_server.engine.rejecting import Rejecting
from swit_saga_server.engine.wakeups import Wakeups
from swit_saga_server.engine.working_set import Entry, Phase
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

LEFT_ALONE: Span = 10 * MINUTE
"""For so long nothing is tried with a saga of which nothing can be written."""


class Applying:
    """What follows from verdicts."""

    def __init__(
        self,
        context: Context,
        deciding: Deciding,
        wakeups: Wakeups,
        outbox: Outbox,
        inbox: Inbox,
        rejecting: Rejecting,
        postponed: Postponed,
    ) -> None:
        self._clock = context.env.clock
        self._ownership = context.ownership
        self._working_set = context.working_set
        self._limiter = context.limiter
        self._admission = context.admission
        self._mailbox = context.mailbox
        self._counters = context.counters
        self._feed = context.feed
        self._deciding = deciding
        self._wakeups = wakeups
        self._outbox = outbox
        self._inbox = inbox
        self._rejecting = rejecting
        self._postponed = postponed
        self._expected: dict[str, int] = {}
        """Versions that were applied here of sagas whose next write met a conflict."""

    def apply(self, entry: Entry) -> None:
        """The write is durable."""
        before, after, definition = entry.applied, entry.pending, entry.definition
        assert after is not None
        assert definition is not None
        events, items, on_applied = entry.events, entry.items, entry.on_applied
        entry.applied, entry.pending = after, None
        entry.events, entry.items, entry.on_applied, entry.answers = [], [], [], []
        entry.phase, entry.is_set_aside = Phase.IDLE, False
        self._counters.observe(before, after, events)
        self._admission.note(after)
        now = self._clock.now()
        self._wakeups.arm(after, entry.due_at, now)
        partition = entry.partition
        if self._ownership.holds(partition):
            epoch = self._ownership.leases[partition].epoch
            self._outbox.add(before, after, definition, partition, epoch, now, items)
        for item in items:
            if item.message_id:
                self._inbox.done(item.message_id)
        for call in on_applied:
            call(after)
        self._feed.publish(after, events)
        self.release(entry, now)

    def fenced(self, entry: Entry) -> None:
        """The partition's lease is another's."""
        self._ownership.fenced(entry.partition)
        self.forget(entry, again=True)

    def conflicted(self, entry: Entry) -> None:
        """The store has another version than memory."""
        if entry.applied is not None:
            self._expected[entry.saga_id] = entry.applied.version
        self.forget(entry, again=True)

    def unknown(self, entry: Entry) -> None:
        """There will be no verdict."""
        self.forget(entry, again=False)

    def refused(self, entry: Entry, why: NeedsNewerLevel) -> None:
        """Nothing was written: an older coordinator was met after this was decided, and could not read it.

        Each input is decided once more; that alone which leads to what is newer is refused then.
        """
        self.drop(entry)
        for item in entry.items:
            if item.waiter is not None:
                item.waiter.fail(why)
            elif item.message_id:
                self._inbox.done(item.message_id)
            else:
                self._postponed.put(item)
        for item in entry.waiting:
            self._mailbox.put(item)
        self._wakeups.arm_at(entry.saga_id, self._clock.now() + PAUSE)

    def unwritable(self, entry: Entry, error: Exception) -> None:
        """Nothing was written, nor ever will be as it is: what led to it is refused, and its saga is set aside.

        No such write is tried again. If not even that a saga is set aside can be written, it is left alone for a while.
        """
        saga, items, waiting = entry.applied, entry.items, list(entry.waiting)
        is_known = isinstance(error, SwitSagaError)
        refused = error if is_known else UnstorableValue(message=f"{type(error).__name__}: {error}")
        for item in items:
            if item.waiter is not None:
                item.waiter.fail(refused)
        may_be_written = saga is not None and entry.pending is not saga and not entry.is_set_aside
        self.drop(entry)
        if saga is None:
            log.error(
                "start_not_written", saga_id=entry.saga_id, error=str(error), exc_info=None if is_known else error
            )
            for item in items:
                self._inbox.done(item.message_id)
        elif may_be_written and self._ownership.holds(entry.partition):
            again = Entry(entry.saga_id, entry.partition, applied=saga, definition=entry.definition)
            self._working_set.pin(again)
            self._deciding.set_aside(again, error, [item for item in items if item.message_id])
        else:
            log.error("saga_left_alone", saga_id=entry.saga_id, exc_info=error)
            self._wakeups.arm_at(entry.saga_id, self._clock.now() + LEFT_ALONE)
        for item in waiting:
            self._mailbox.put(item)
        self._mailbox.turn.set()

    def done(self) -> None:
        """All of a round is applied."""
        self._outbox.send()

    def expected_version(self, saga_id: str) -> int:
        """The version that the store must have at least, if it did not go back; told once."""
        return self._expected.pop(saga_id, 0)

    def forget(self, entry: Entry, *, again: bool) -> None:
        """Memory and store disagree, or nobody knows: the store is the truth. Inputs are put to it again if asked."""
        self.drop(entry)
        for item in (*entry.items, *entry.waiting):
            if isinstance(item.given, Begin) and again:
                # The saga may exist: look before creating, or the same conflict would come for ever.
                self._look_up(item, entry.partition)
            elif again:
                self._mailbox.put(item)
            else:
                self._rejecting.reject(item, CoordinatorUnavailable("the outcome is unknown; ask again"))
        if not again:
            self._wakeups.arm_at(entry.saga_id, self._clock.now() + SECOND)
        self._feed.notify_all()

    def drop(self, entry: Entry) -> None:
        """What memory says of it is worth nothing any more."""
        self._working_set.drop(entry)
        if self._limiter is not None:
            self._limiter.forget(entry.saga_id)

    def release(self, entry: Entry, now: Instant) -> None:
        """The entry is idle: what waited for it is decided at once, while it is surely in memory."""
        held = self._ownership.holds(entry.partition)
        if entry.waiting:
            waiting = list(entry.waiting)
            entry.waiting.clear()
            for item in waiting:
                if held:
                    self._deciding.take(entry, item)
                else:
                    self._rejecting.reject(item, NotHeld())
        if not held:
            self._working_set.drop(entry)  # What memory says of another's saga grows old.
        elif entry.phase is Phase.IDLE:
            self._working_set.rest(entry, now)

    def _look_up(self, item: Item, partition: int) -> None:
        """Put a start to the saga as stored; if there is none after all, it is created."""
        if self._working_set.find(item.saga_id, self._clock.now) is not None:
            self._mailbox.put(item)
            return
        entry = Entry(item.saga_id, partition)
        entry.waiting.append(item)
        self._working_set.load(entry)
        self._mailbox.turn.set()
