"""Timers of sagas: those of the near future in memory, all of them in the store's due index.

The index is the truth: a timer that memory loses costs a poll. So a saga may leave memory at any time, and whoever
takes its partition finds when it is due.
"""

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.inputs import Wake
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.engine.alarm import Alarm
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.poll_schedule import PollSchedule
from swit_saga_server.engine.timers import Timers
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

PAGE = 1_000


class Wakeups:
    """Puts a ``Wake`` into the mailbox when a saga is due.

    Attributes:
        schedule: Is told in which partitions something may have become due by another's hand.
    """

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._options = context.options
        self._clock = context.env.clock
        self._ownership = context.ownership
        self._working_set = context.working_set
        self._limiter = context.limiter
        self._left_to_newer = context.left_to_newer
        self._mailbox = context.mailbox
        self._timers = Timers()
        self._alarm = Alarm(self._clock.now, self._fire)
        self.schedule = PollSchedule()

    def arm(self, saga: Saga, due: Instant, now: Instant, not_before: Instant = NEVER) -> None:
        """Wake ``saga`` up at ``due``, or ``not_before`` if that is later, and at no other time; 0 is never."""
        if self._limiter is not None and self._limiter.is_waiting(saga.id):
            # Overdue until there is a place for it; its own time runs on all the same.
            self.arm_at(saga.id, saga.deadline)
        elif not due or due > now + self._options.timer_horizon:
            self._timers.disarm(saga.id)
        else:
            self.arm_at(saga.id, max(due, not_before))

    def arm_at(self, saga_id: str, at: Instant) -> None:
        """Wake a saga up at this time, whatever was armed before."""
        self._timers.arm(saga_id, at)
        self._alarm.set(self._timers.next_at)

    def disarm(self, saga_id: str) -> None:
        """Do not wake it up."""
        self._timers.disarm(saga_id)

    def stop(self) -> None:
        """Wake nobody up any more."""
        self._alarm.stop()

    async def run(self) -> None:
        """Bring near timers from the store's index into memory, for ever: of evicted sagas, and as a net under ``arm``.

        Ends by cancellation.
        """
        more = False
        while True:
            every_s = self._options.timer_poll / (10e6 if more else 1e6)
            partitions, all_of_them = await self.schedule.next(self._ownership, every_s)
            if all_of_them:
                more = False
                self._working_set.sweep(self._clock.now())
            for partition in partitions:
                try:
                    more = await self._read(partition) or more
                except StoreUnavailable as unavailable:
                    log.debug("due_poll_failed", error=str(unavailable))
            self._alarm.set(self._timers.next_at)

    async def _read(self, partition: int) -> bool:
        """One page; whether there may be more."""
        limiter = self._limiter
        until = self._clock.now() + self._options.timer_horizon
        # Those that wait for a place, or for a newer coordinator, are overdue: they must not hide the others.
        limit = PAGE + (limiter.waiting if limiter is not None else 0) + len(self._left_to_newer)
        page = await self._store.due(partition, until, limit)
        for due in page:
            if limiter is not None and limiter.is_waiting(due.saga_id):
                continue
            if due.saga_id not in self._timers and not self._working_set.is_busy(due.saga_id):
                self._timers.arm(due.saga_id, due.due_at)
        return len(page) == limit

    def _fire(self) -> None:
        for saga_id in self._timers.fired(self._clock.now()):
            self._mailbox.put(Item(saga_id, Wake()))
        self._alarm.set(self._timers.next_at)
