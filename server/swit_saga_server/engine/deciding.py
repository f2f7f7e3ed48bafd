"""One stage of the loop: an input meets its saga, and what follows is folded into the saga's one write of the round.

An exception while deciding sets that saga alone aside (``core.quarantine``).
"""

from collections.abc import Sequence
from contextlib import suppress

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.definition import Definition
from swit_saga_server.core.draft import Decision
from swit_saga_server.core.errors import (
    ErrorType,
    IllegalTransition,
    NeedsNewerLevel,
    SagaAlreadyExists,
    SagaError,
    SagaQuarantined,
    SwitSagaError,
)
from swit_saga_server.core.inputs import Input, Wake
from swit_saga_server.core.limits import MAX_TEXT_BYTES
from swit_saga_server.core.machine import decide
from swit_saga_server.core.model import Saga
from swit_saga_server.core.quarantine import quarantine
from swit_saga_server.core.texts import cut
from swit_saga_server.core.units import NEVER, SECOND, Instant
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.items import Begin, Item
from swit_saga_server.engine.messages import pack_refused, pack_taken
from swit_saga_server.engine.postponed import PAUSE, Postponed
from swit_saga_server.engine.rejecting import Rejecting
from swit_saga_server.engine.wakeups import Wakeups
from swit_saga_server.engine.working_set import Entry, Phase
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import InboxAnswer

log = get_logger(__name__)


class Deciding:
    """Decides inputs of sagas in memory, one at a time, and leaves their entries ready for the next round."""

    def __init__(self, context: Context, wakeups: Wakeups, rejecting: Rejecting, postponed: Postponed) -> None:
        self._env = context.env
        self._working_set = context.working_set
        self._limiter = context.limiter
        self._counters = context.counters
        self._levels = context.ownership.levels
        self._wakeups = wakeups
        self._postponed = postponed
        self._rejecting = rejecting

    def take(self, entry: Entry, item: Item) -> None:
        """Decide ``item`` of ``entry``, which is neither loading nor committing."""
        try:
            self._decide(entry, item)
        except SwitSagaError as refused:
            if isinstance(refused, NeedsNewerLevel) and not (item.waiter or item.message_id):
                self._postpone(item, refused)
            else:
                self._refuse(entry, item, refused)

    def set_aside(self, entry: Entry, error: Exception, messages: Sequence[Item]) -> None:
        """Of ``entry``, idle, nothing could be written of what was decided last: that is written instead.

        Args:
            entry: The saga as it was before.
            error: What writing it failed with.
            messages: Of other coordinators, folded into what could not be written: they are answered so.
        """
        before = entry.applied
        assert before is not None
        self._fold(entry, Item(entry.saga_id, Wake()), self._quarantine(before, error, "WRITE_FAILED"), created=False)
        entry.is_set_aside = True
        for item in messages:
            self._refuse(entry, item, SagaQuarantined(saga_id=entry.saga_id))

    def _decide(self, entry: Entry, item: Item) -> None:
        if isinstance(item.given, Begin):
            self._begin(entry, item, item.given)
            return
        before, definition = entry.current, entry.definition
        assert before is not None
        assert definition is not None
        now = self._env.clock.now()
        try:
            decision = self._decision(before, definition, item.given, now)
        except Exception as error:
            if isinstance(error, SwitSagaError) and not isinstance(error, IllegalTransition):
                raise
            quarantined = self._quarantine(before, error)
            self._levels.check(before, quarantined.saga, quarantined.events)
            self._fold(entry, Item(item.saga_id, Wake()), quarantined, created=False)
            raise SagaQuarantined(saga_id=item.saga_id) from error
        if decision.saga is before:
            self._nothing_changed(entry, item)
        else:
            self._fold(entry, item, decision, created=False)

    def _decision(self, before: Saga, definition: Definition, given: Input, now: Instant) -> Decision:
        chance = self._env.chance()
        limiter = self._limiter
        if limiter is None:
            decision = decide(before, definition, given, now, chance)
            self._levels.check(before, decision.saga, decision.events)
            return decision
        decision = decide(before, definition, given, now, chance, limiter.gate(before.id))
        self._levels.check(before, decision.saga, decision.events)
        limiter.note(decision.saga, definition, decision.waiting)
        return decision

    def _begin(self, entry: Entry, item: Item, begin: Begin) -> None:
        known = entry.current
        if known is not None:
            if known.fingerprint != begin.saga.fingerprint:
                raise SagaAlreadyExists(
                    f"saga {known.id!r} was started by a different request", saga_id=known.id, state=known.state
                )
            self._nothing_changed(entry, item)
            return
        self._levels.check(None, begin.saga, (), None if begin.saga.definition_version else begin.definition)
        entry.definition = begin.definition
        self._fold(entry, item, Decision(begin.saga), created=True)
        # Created it is all the same: visibly stuck, or tried again until all that live can read what comes next.
        with suppress(SagaQuarantined, NeedsNewerLevel):
            self._decide(entry, Item(item.saga_id, Wake()))

    def _fold(self, entry: Entry, item: Item, decision: Decision, *, created: bool) -> None:
        """Make the decision part of the saga's one write in the round being made."""
        entry.pending = decision.saga
        entry.events += decision.events
        self._working_set.make_ready(entry)
        self._wait_for_apply(entry, item, created=created)

    def _nothing_changed(self, entry: Entry, item: Item) -> None:
        if entry.phase is Phase.READY or item.message_id:
            self._wait_for_apply(entry, item, created=False)
            return
        saga = entry.applied
        assert saga is not None
        if item.waiter is not None:
            item.waiter.succeed((saga, False))
        # A wake-up that found nothing to do must not spin.
        now = self._env.clock.now()
        self._wakeups.arm(saga, due_at(saga), now, not_before=now + SECOND if isinstance(item.given, Wake) else NEVER)

    def _wait_for_apply(self, entry: Entry, item: Item, *, created: bool) -> None:
        entry.items.append(item)
        if (waiter := item.waiter) is not None:
            entry.on_applied.append(lambda saga: waiter.succeed((saga, created)))
        if item.message_id:
            assert entry.current is not None
            self._reply(entry, item, pack_taken(entry.current.version))

    def _reply(self, entry: Entry, item: Item, reply: bytes) -> None:
        """Answer the inbox message in the write being made; in one of its own if nothing else is to be written."""
        entry.answers.append(InboxAnswer(entry_id=item.message_id, answer=reply))
        if entry.pending is None:
            entry.pending = entry.applied
        self._working_set.make_ready(entry)

    def _refuse(self, entry: Entry, item: Item, refused: SwitSagaError) -> None:
        """Refused in view of a state in the making, it is only refused once that state is durable."""
        if item.message_id:
            self._reply(entry, item, pack_refused(refused))
        if entry.phase is not Phase.READY:
            self._rejecting.reject(item, refused)
            return
        entry.items.append(item)
        entry.on_applied.append(lambda _: self._rejecting.reject(item, refused))

    def _postpone(self, item: Item, why: NeedsNewerLevel) -> None:
        """Nobody waits for it, and it must not be lost: it is tried again, until all that live can read its outcome."""
        log.info("input_postponed", saga_id=item.saga_id, error=str(why))
        if isinstance(item.given, Wake):
            self._wakeups.arm_at(item.saga_id, self._env.clock.now() + PAUSE)
        else:
            self._postponed.put(item)

    def _quarantine(self, saga: Saga, bug: Exception, code: str = "DECIDE_FAILED") -> Decision:
        log.error("saga_quarantined", fold_by=type(bug), saga_id=saga.id, state=saga.state, exc_info=bug)
        self._counters.quarantined += 1
        now = self._env.clock.now()
        text = cut(f"{type(bug).__name__}: {bug}", MAX_TEXT_BYTES)
        error = SagaError(code=code, message=text, type=ErrorType.SYSTEM, timestamp=now)
        return quarantine(saga, error, now)
