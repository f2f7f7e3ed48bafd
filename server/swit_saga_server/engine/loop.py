"""The one loop: inbox -> decide -> commit -> effects.

Inputs of all sagas wait in one inbox. A turn of the loop takes them all, lets the pure machine decide each, and folds
what follows for one saga into one write. The writes of many sagas form a *round*, committed in one go; while rounds
commit, the next one is decided (of other sagas: inputs of a saga whose write is under way wait). Only when a write is
applied do its effects happen: commands, answers to callers, events to watchers, timers. So nothing is sent without its
durable intent (invariant 6), and nobody hears of what is not durable.

If the outcome of a commit is unknown, the identical round is committed again until there is a verdict or the lease
ends; meanwhile its sagas stand still. A refused write (fenced, conflict) drops the saga from memory; the store is the
truth, and the inputs are put to it again if it is still ours to drive.

An exception while deciding parks that saga alone (``core.machine.park``).

Any coordinator takes any request: what concerns a saga of a partition that is not held here goes through the store
(``foreign``), and what others ask for comes in by the partitions' inboxes (``inbox``), each entry answered in the same
write as what it led to.

What if the process dies right here? Before the commit: nothing happened. After it: a takeover finds the saga in the
in-flight index and sends again what may not have been sent, under the same key.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import structlog
from cachetools import LRUCache

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.definition import Definition
from swit_saga_server.core.draft import Decision
from swit_saga_server.core.effects import CancelCommand, Command, effects
from swit_saga_server.core.errors import (
    CoordinatorStopping,
    CoordinatorUnavailable,
    ErrorType,
    IllegalTransition,
    SagaAlreadyExists,
    SagaError,
    SagaNotFound,
    SagaQuarantined,
    StoreUnavailable,
    SwitSagaError,
)
from swit_saga_server.core.inputs import Answered, Cancel, Input, TakenOver, Unknown, Wake
from swit_saga_server.core.machine import decide
from swit_saga_server.core.model import Saga, is_in_flight, same_origin
from swit_saga_server.core.quarantine import quarantine
from swit_saga_server.core.record import record
from swit_saga_server.core.units import SECOND, Instant, Span
from swit_saga_server.engine.admission import Admission
from swit_saga_server.engine.commands import ParticipantCommand, cancelled_id, fill
from swit_saga_server.engine.concurrency import ConcurrencyLimiter
from swit_saga_server.engine.counters import Counters
from swit_saga_server.engine.failpoints import Point, reach
from swit_saga_server.engine.feed import Feed
from swit_saga_server.engine.foreign import Foreign
from swit_saga_server.engine.gathering import WAIT, Gathering
from swit_saga_server.engine.inbox import Inbox
from swit_saga_server.engine.letters import Letter, pack_reply
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.engine.retention import Retention
from swit_saga_server.engine.rota import Rota
from swit_saga_server.engine.starts import Answer, Made, NotHeld, Starts, Told
from swit_saga_server.engine.surroundings import Surroundings
from swit_saga_server.engine.tail import Tail
from swit_saga_server.engine.timers import Timers
from swit_saga_server.engine.transport import Transport
from swit_saga_server.engine.waits import Waits
from swit_saga_server.engine.working_set import Entry, Phase, WorkingSet
from swit_saga_server.store.contract import (
    Hint,
    InboxAnswer,
    InboxEntry,
    Lease,
    StateStorage,
    Verdict,
    Write,
    partition_of,
)
from swit_saga_server.tasks import end

log = structlog.get_logger(__name__)

RESUBMIT_FIRST_S, RESUBMIT_MAX_S = 0.05, 1.0
TIMER_GRAIN: Span = 1_000
PAGE = 1_000
FOR_EVER: Instant = 2**62
BREATH = 64
"""Sagas decided or applied without a pause: everybody else on the event loop waits for as long as that takes."""
DEFINITIONS_KEPT = 1_000

T = TypeVar("T")


@record(frozen=True, slots=True)
class Begin:
    """A new saga in its first state, with its definition. Not an input of the machine: there is no saga yet."""

    saga: Saga
    definition: Definition


@dataclass(slots=True)
class Item:
    """One thing in the inbox; whoever waits for it hears once what it led to is durable.

    Attributes:
        answer: Of a caller in this process.
        entry_id: Of the inbox entry that brought it from another coordinator; empty if it came from here.
        put_at: When it was put in the inbox, in plain time; of starts only.
    """

    saga_id: str
    given: Input | Begin
    answer: Answer | None = None
    entry_id: str = ""
    put_at: Span = 0


class Engine:
    """Drives every saga of the partitions it holds. One per process; all methods belong to its event loop.

    Attributes:
        hungry: Set while all starts handed in have been taken up: who has more may hand them in.
    """

    def __init__(
        self, store: StateStorage, transport: Transport, options: EngineOptions, around: Surroundings | None = None
    ) -> None:
        """Hand everything in; nothing runs before ``start``. Answers of ``transport`` must be given to ``deliver``."""
        self.store = store
        self.transport = transport
        self.options = options
        self.around = around or Surroundings()
        self.feed = Feed(options.watch_buffer)
        self.counters = Counters(started_at=self.around.clock.now())
        self.working_set = WorkingSet(options.cache)
        self.ownership = Ownership(store, options, self.around, self._taken, self._leave, self._lost)
        self._foreign = Foreign(store, options, self.around)
        self._letters = Inbox(store, options, self.ownership, self._letter, self._unreadable_letter)
        self._tail = Tail(store, options, self.ownership, self.feed)
        self.waits = Waits(self.feed, self.around.clock, self.at_hand, store.load)
        self._retention = Retention(store, options, self.around, self.ownership)
        self._starts = Starts(self.around.clock, options.answer_timeout, self._begin_admitted, self._spawn)
        self._timers = Timers()
        self._inbox: deque[Item] = deque()
        self._new: deque[Item] = deque()
        self.hungry = asyncio.Event()
        self.hungry.set()
        self._creating = 0
        limited = options.max_steps is not None or options.max_steps_of
        self._slots = ConcurrencyLimiter(options.max_steps, options.max_steps_of) if limited else None
        self._admission = Admission(options.max_sagas, options.max_queue, options.max_queue_wait)
        self._ready: dict[str, Entry] = {}
        self._to_load: dict[str, Entry] = {}
        self._definitions: LRUCache[tuple[str, int, str], Definition] = LRUCache(DEFINITIONS_KEPT)
        self._outbox: list[ParticipantCommand] = []
        self._ahead: dict[str, int] = {}
        self._leaving: dict[int, set[str]] = {}
        self._turn = asyncio.Event()
        self._gathering = Gathering(self.around.worked, self.around.clock.elapsed)
        self._due = Rota()
        self._stop_listening: Callable[[], None] = lambda: None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        self._loading: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Instant = 0
        self._accepting = False
        self._sending = False
        self._running = False
        self._failure: BaseException | None = None
        self.failed = asyncio.Event()

    # ---- what others call ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the free partitions, put back to work what a former life left, and run.

        Raises:
            StoreUnavailable: The store cannot be reached.
        """
        self._accepting = self._sending = self._running = True
        await self.ownership.take_share()
        self._stop_listening = self.store.listen(self._heard)
        self._spawn(self._run())
        self._spawn(self._poll_due())
        for part in (self.ownership, self._letters, self._tail, self._retention, self.waits):
            self._spawn(part.keep())

    def stop_accepting(self) -> None:
        """Refuse new sagas from now on; those under way go on."""
        self._accepting = False

    async def stop(self, grace_s: float) -> None:
        """Refuse new sagas, let those under way go on for at most ``grace_s``, hand over, stop. Safe to call twice.

        What is then unfinished is durable and is resumed by whoever takes the partitions next.
        """
        self._accepting = False
        if not self._running:
            return
        self._running = False
        try:
            async with asyncio.timeout(grace_s * 3 / 4):
                while not (self.is_quiet or self._failure):  # noqa: ASYNC110 - nothing signals it, and it happens once
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.info("stopping_with_sagas_under_way", commands=self.transport.in_flight)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s / 4):
                    await self._leave(list(self.ownership))
        self._sending = False
        self._stop_listening()
        await self.transport.close()
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._tasks, *([self._loading] if self._loading else [])]
        self._tasks.clear()
        await end(tasks)
        if rounds := list(self._rounds):
            # What is on its way to the store is let through, so that its callers learn the truth.
            await asyncio.wait(rounds, timeout=self.options.lease_term / 1e6)
            await end(rounds)
        for item in self._unanswered_items():
            self._turn_away(item, CoordinatorStopping())
        self._starts.close()
        try:
            await self.ownership.release_all()
        except StoreUnavailable as unavailable:
            log.warning("leases_not_released", error=str(unavailable))

    @property
    def is_quiet(self) -> bool:
        """Nothing to decide, to commit or to wait for from participants, now."""
        return not (
            self._inbox or self._new or self._ready or self._rounds or self._loading or self.transport.in_flight
        )

    @property
    def starts_waiting(self) -> int:
        """Starts taken, and neither decided yet nor created for another coordinator to drive."""
        return len(self._new) + self._creating

    @property
    def starts_refused(self) -> int:
        """Starts refused for want of room."""
        return self._admission.refused

    @property
    def sagas_waiting(self) -> int:
        """Sagas that wait for room for a step."""
        return self._slots.waiting if self._slots is not None else 0

    @property
    def failure(self) -> BaseException | None:
        """What ended the loop against its will; None while all is well."""
        return self._failure

    async def begin(self, saga: Saga, definition: Definition) -> tuple[Saga, bool]:
        """Create and set going; idempotent by ``saga.id`` and ``saga.fingerprint``.

        Returns:
            The saga, durable, and whether this call created it.

        Raises:
            SagaAlreadyExists: It was started by a different request.
            CoordinatorOverloaded: Not accepted: there is no room for more.
            CoordinatorUnavailable: Not accepted, or the outcome is unknown; the same call may be made again.
        """
        self._admit(saga.id)
        self._admission.starting(saga.id)
        try:
            return await self._begin_admitted(saga, definition)
        finally:
            self._admission.started(saga.id)

    def offer(self, saga: Saga, definition: Definition, told: Told) -> None:
        """``begin`` without waiting: ``told`` hears what it would have returned or raised, in time and once.

        Raises:
            CoordinatorStopping, CoordinatorOverloaded: Not accepted; ``told`` is not called.
        """
        self._admit(saga.id)
        self._admission.starting(saga.id)

        def settled(outcome: Made | Exception) -> None:
            self._admission.started(saga.id)
            told(outcome)

        self._put(Item(saga.id, Begin(saga, definition), self._starts.new(saga, definition, settled)))

    def refusal(self, saga_id: str, queued: int = 0, wait: Span = 0) -> SwitSagaError | None:
        """Why a start would be refused now, whatever is in it; None if it would be taken.

        Args:
            saga_id: As asked for; empty if it is still to be chosen.
            queued: Starts that wait before the engine.
            wait: How long this one would wait there.
        """
        if not self._accepting:
            return CoordinatorStopping()
        while self._new and (first := self._new[0].answer) is not None and first.done():
            self._new.popleft()  # Its caller is gone.
        if self._new:
            wait = max(wait, self.around.clock.elapsed() - self._new[0].put_at)
        return self._admission.refusal(
            saga_id,
            queued=queued,
            starts_waiting=self.starts_waiting,
            wait=wait,
            sagas_waiting=self.sagas_waiting,
        )

    async def cancel(self, saga_id: str, reason: str) -> Saga:
        """Stop and undo; durable when this returns; idempotent.

        Raises:
            SagaNotFound, SagaAlreadyFinished, CoordinatorUnavailable.
        """
        cancel = Cancel(reason)
        try:
            saga, _ = await self._ask(saga_id, cancel)
        except NotHeld:
            await self._foreign.ask(saga_id, cancel)
            # From the store: it may be this very coordinator that holds the partition by now and took the cancel from
            # the inbox, and the store's answer can overtake the news that the commit was applied.
            saga = await self.stored(saga_id)
        return saga

    async def get(self, saga_id: str) -> Saga:
        """The state last known here to be applied.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        return self.at_hand(saga_id) or await self.stored(saga_id)

    def at_hand(self, saga_id: str) -> Saga | None:
        """What ``get`` returns if it need not read the store for it; None if it must."""
        entry = self._known(saga_id)
        return entry.applied if entry is not None else None

    async def latest(self, saga_id: str) -> Saga:
        """No older than what anybody was shown: of a saga that is being written, others may have seen more than
        ``get`` knows.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        entry = self._known(saga_id)
        if entry is not None and entry.applied is not None and entry.phase is not Phase.COMMITTING:
            return entry.applied
        return await self.stored(saga_id)

    def _known(self, saga_id: str) -> Entry | None:
        if self.ownership.holds(partition_of(saga_id, self.store.partitions)):
            return self.working_set.find(saga_id, self.around.clock.now)
        return None

    async def stored(self, saga_id: str) -> Saga:
        """The state in the store: while a commit's reply is under way it is ahead of what ``get`` knows.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        (saga,) = await self.store.load([saga_id])
        if saga is None:
            raise SagaNotFound(f"there is no saga {saga_id!r}", saga_id=saga_id)
        return saga

    def deliver(self, saga_id: str, answered: Answered) -> None:
        """A participant's answer. May come twice, late or for nothing; the machine sorts it out."""
        if isinstance(answered.answer, Unknown):
            error = answered.answer.error
            log.warning(
                "step_in_doubt",
                saga_id=saga_id,
                step=answered.step_index,
                attempt=answered.send_id.attempt,
                kind=answered.kind.value,
                code=error.code,
                error=error.message,
            )
        reach(Point.RECEIVE_BEFORE)
        self._put(Item(saga_id, answered))
        reach(Point.RECEIVE_AFTER)

    # ---- starts --------------------------------------------------------------------------------------------------

    def _admit(self, saga_id: str) -> None:
        if (refused := self.refusal(saga_id)) is not None:
            raise refused

    async def _begin_admitted(self, saga: Saga, definition: Definition) -> Made:
        while True:
            try:
                return await self._ask(saga.id, Begin(saga, definition))
            except NotHeld:
                self._creating += 1
                try:
                    made = await self._foreign.create(saga, definition)
                finally:
                    self._creating -= 1
                if made is not None:
                    return made

    # ---- inbox ---------------------------------------------------------------------------------------------------

    def _put(self, item: Item) -> None:
        if isinstance(item.given, Begin):
            item.put_at = self.around.clock.elapsed()
            self._new.append(item)
            self.hungry.clear()
        else:
            self._inbox.append(item)
        self._turn.set()

    async def _ask(self, saga_id: str, given: Input | Begin) -> tuple[Saga, bool]:
        if not self.ownership.holds(partition_of(saga_id, self.store.partitions)):
            raise NotHeld
        future: asyncio.Future[tuple[Saga, bool]] = asyncio.get_running_loop().create_future()
        self._put(Item(saga_id, given, future))
        try:
            async with asyncio.timeout(self.options.answer_timeout / 1e6):
                return await future
        except TimeoutError:
            raise CoordinatorUnavailable(f"saga {saga_id!r}: no outcome in time, it is unknown; ask again") from None

    def _letter(self, entry: InboxEntry, letter: Letter) -> None:
        """Another coordinator's request for a saga that is held here."""
        self._put(Item(entry.saga_id, letter, entry_id=entry.entry_id))

    def _unreadable_letter(self, entry: InboxEntry, refused: SwitSagaError) -> None:
        self._spawn(self._answer_apart(Item(entry.saga_id, Wake(), entry_id=entry.entry_id), refused))

    def _heard(self, hint: Hint) -> None:
        """Something may be new in the store by another's hand."""
        match hint.kind:
            case "inbox":
                self._letters.rota.name(hint.partition)
            case "due":
                self._due.name(hint.partition)
            case "lease":
                self.ownership.look()

    async def _run(self) -> None:
        while True:
            await self._turn.wait()
            await self._gather()
            self._turn.clear()
            taken = 0
            while self._inbox:
                self._take(self._inbox.popleft())
                if (taken := taken + 1) % BREATH == 0:
                    await asyncio.sleep(0)
            while self._slots is not None and (called := self._slots.call()) is not None:
                self._take(Item(called, Wake()))
            # What is new only fills up the rounds: what was begun never queues behind it.
            while self._new and len(self._ready) < self.options.round_size:
                self._take(self._new.popleft())
                if (taken := taken + 1) % BREATH == 0:
                    await asyncio.sleep(0)
            if not self._new:
                self.hungry.set()
            if self._to_load and self._loading is None:
                self._loading = asyncio.create_task(self._load())
                self._loading.add_done_callback(self._ended)
            self._begin_rounds()
            if self._new and len(self._ready) < self.options.round_size:
                self._turn.set()  # The rounds just begun made room.

    async def _gather(self) -> None:
        """Wait for more inputs, if there is room for them in a round and it costs nothing."""
        at_hand = len(self._inbox) + len(self._new) + len(self._ready)
        if at_hand < self.options.round_size and self._gathering.begin(self.transport.in_flight):
            await asyncio.sleep(WAIT / 1e6)
            self._gathering.end()

    def _take(self, item: Item) -> None:
        if item.answer is not None and item.answer.done():
            return  # The caller is gone; an unacknowledged request may be forgotten.
        partition = partition_of(item.saga_id, self.store.partitions)
        if not self.ownership.holds(partition):
            self._turn_away(item, NotHeld())
            return
        entry = self.working_set.find(item.saga_id, self.around.clock.now)
        if entry is None:
            entry = Entry(item.saga_id, partition)
            if not isinstance(item.given, Begin):
                entry.phase = Phase.LOADING
                self._to_load[item.saga_id] = entry
        self.working_set.pin(entry)
        if entry.phase in (Phase.LOADING, Phase.COMMITTING):
            entry.waiting.append(item)
            return
        self._try(entry, item)
        if entry.phase is Phase.IDLE:
            self.working_set.rest(entry, self.around.clock.now())

    def _try(self, entry: Entry, item: Item) -> None:
        try:
            self._decide(entry, item)
        except SwitSagaError as refused:
            self._refuse(entry, item, refused)

    # ---- decide --------------------------------------------------------------------------------------------------

    def _decide(self, entry: Entry, item: Item) -> None:
        if isinstance(item.given, Begin):
            self._begin(entry, item, item.given)
            return
        before, definition = entry.current, entry.definition
        assert before is not None
        assert definition is not None
        now = self.around.clock.now()
        try:
            decision = self._decided(before, definition, item.given, now)
        except Exception as error:
            if isinstance(error, SwitSagaError) and not isinstance(error, IllegalTransition):
                raise
            self._fold(entry, Item(item.saga_id, Wake()), self._quarantined(before, error), created=False)
            raise SagaQuarantined(saga_id=item.saga_id) from error
        if decision.saga is before:
            self._nothing_changed(entry, item)
        else:
            self._fold(entry, item, decision, created=False)

    def _decided(self, before: Saga, definition: Definition, given: Input, now: Instant) -> Decision:
        chance = self.around.chance()
        if (limiter := self._slots) is None:
            return decide(before, definition, given, now, chance)
        decision = decide(before, definition, given, now, chance, limiter.gate(before.id))
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
        entry.definition = begin.definition
        self._fold(entry, item, Decision(begin.saga), created=True)
        with suppress(SagaQuarantined):  # Created it is all the same, and visibly stuck.
            self._decide(entry, Item(item.saga_id, Wake()))

    def _fold(self, entry: Entry, item: Item, decision: Decision, *, created: bool) -> None:
        """Make the decision part of the saga's one write in the round being made."""
        entry.pending = decision.saga
        entry.events += decision.events
        self._make_ready(entry)
        self._wait_for_apply(entry, item, created=created)

    def _make_ready(self, entry: Entry) -> None:
        entry.phase = Phase.READY
        self._ready[entry.saga_id] = entry

    def _nothing_changed(self, entry: Entry, item: Item) -> None:
        if entry.phase is Phase.READY or item.entry_id:
            self._wait_for_apply(entry, item, created=False)
            return
        saga = entry.applied
        assert saga is not None
        self._resolve(item, saga, created=False)
        # A wake-up that found nothing to do must not spin.
        now = self.around.clock.now()
        self._arm(saga, due_at(saga), now, not_before=now + SECOND if isinstance(item.given, Wake) else 0)

    def _wait_for_apply(self, entry: Entry, item: Item, *, created: bool) -> None:
        entry.items.append(item)
        if item.answer is not None:
            entry.notify.append(lambda saga: self._resolve(item, saga, created=created))
        if item.entry_id:
            self._reply(entry, item, None)

    def _reply(self, entry: Entry, item: Item, refused: SwitSagaError | None) -> None:
        """Answer the inbox entry in the write being made; in one of its own if nothing else is to be written."""
        entry.answers.append(InboxAnswer(entry_id=item.entry_id, answer=pack_reply(refused)))
        if entry.pending is None:
            entry.pending = entry.applied
        self._make_ready(entry)

    def _refuse(self, entry: Entry, item: Item, refused: SwitSagaError) -> None:
        """Refused in view of a state in the making, it is only refused once that state is durable."""
        if item.entry_id:
            self._reply(entry, item, refused)
        if entry.phase is not Phase.READY:
            self._turn_away(item, refused)
            return
        entry.items.append(item)
        entry.notify.append(lambda _: self._turn_away(item, refused))

    def _quarantined(self, saga: Saga, bug: Exception) -> Decision:
        log.error("saga_quarantined", saga_id=saga.id, state=saga.state, exc_info=bug)
        self.counters.parked += 1
        text = f"{type(bug).__name__}: {bug}"
        now = self.around.clock.now()
        error = SagaError(code="DECIDE_FAILED", message=text, type=ErrorType.SYSTEM, timestamp=now)
        return quarantine(saga, error, now)

    # ---- commit --------------------------------------------------------------------------------------------------

    def _begin_rounds(self) -> None:
        """Commit what is ready: a round of any size if none is under way, full ones beside those that are."""
        size, most = self.options.round_size, self.options.rounds
        while self._ready and (not self._rounds or (len(self._ready) >= size and len(self._rounds) < most)):
            entries = [self._ready.pop(i) for i in list(islice(self._ready, size))]
            writes = [self._write(entry) for entry in entries]
            begun = asyncio.create_task(self._commit(entries, writes))
            self._rounds.add(begun)
            begun.add_done_callback(self._ended)

    async def _commit(self, entries: Sequence[Entry], writes: Sequence[Write]) -> None:
        try:
            for n, (entry, verdict) in enumerate(zip(entries, await self._verdicts(writes), strict=True), 1):
                if n % BREATH == 0:
                    await asyncio.sleep(0)
                match verdict:
                    case Verdict.APPLIED | Verdict.ALREADY_APPLIED:
                        self._apply(entry)
                    case Verdict.FENCED:
                        self.ownership.fenced(entry.partition)
                        self._forget(entry, again=True)
                    case Verdict.CONFLICT:
                        if entry.applied is not None:
                            self._ahead[entry.saga_id] = entry.applied.version
                        self._forget(entry, again=True)
                    case None:
                        self._forget(entry, again=False)
            self._send()
        finally:
            self._rounds -= {asyncio.current_task()}
            self._turn.set()

    def _write(self, entry: Entry) -> Write:
        after, before = entry.pending, entry.applied
        assert after is not None
        entry.phase = Phase.COMMITTING
        entry.commit_id = self.around.hex(16)
        entry.due_at = due_at(after)
        old = before.steps if before is not None else ()
        return Write(
            saga=after,
            base_version=before.version if before is not None else 0,
            commit_id=entry.commit_id,
            changed_steps=tuple([i for i, s in enumerate(after.steps) if i >= len(old) or old[i] is not s]),
            events=tuple(entry.events),
            due_at=entry.due_at,
            in_flight=is_in_flight(after),
            changed_origin=before is None or not same_origin(before, after),
            definition=entry.definition if before is None and not after.definition_version else None,
            answers=tuple(entry.answers),
        )

    async def _verdicts(self, writes: Sequence[Write]) -> Sequence[Verdict | None]:
        """The store's verdicts; None where there is none: its lease ended first, or the store cannot take the write."""
        leases: Mapping[int, Lease] = dict(self.ownership.leases)
        wait_s = RESUBMIT_FIRST_S
        while True:
            try:
                reach(Point.COMMIT_BEFORE)
                verdicts = await self.store.commit(writes, leases)
                reach(Point.COMMIT_AFTER)
                self.counters.rounds += 1
                self.counters.writes += len(writes)
                return verdicts
            except StoreUnavailable as unknown:
                held = [self.ownership.holds(partition_of(w.saga.id, self.store.partitions)) for w in writes]
                log.warning("commit_outcome_unknown", writes=len(writes), held=sum(held), error=str(unknown))
                if not any(held):
                    return [None] * len(writes)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RESUBMIT_MAX_S)
            except Exception:
                if len(writes) == 1:
                    log.exception("write_failed", saga_id=writes[0].saga.id)
                    return [None]
                # One bad write must not hold up the others: each on its own.
                return [v for write in writes for v in await self._verdicts([write])]

    def _apply(self, entry: Entry) -> None:
        before, after, definition = entry.applied, entry.pending, entry.definition
        assert after is not None
        assert definition is not None
        events, items, notify = entry.events, entry.items, entry.notify
        entry.applied, entry.pending = after, None
        entry.events, entry.items, entry.notify, entry.answers = [], [], [], []
        entry.phase = Phase.IDLE
        self.counters.observe(before, after, events)
        self._admission.note(after)
        now = self.around.clock.now()
        self._arm(after, entry.due_at, now)
        if self.ownership.holds(entry.partition):
            self._take_effect(before, after, definition, entry.partition, now, items)
        for item in items:
            self._letters.done(item.entry_id)
        for call in notify:
            call(after)
        self.feed.publish(after, events)
        self._release(entry, now)

    def _forget(self, entry: Entry, *, again: bool) -> None:
        """Memory and store disagree, or nobody knows: the store is the truth. Inputs are put to it again if asked."""
        self._drop(entry)
        items = [*entry.items, *entry.waiting]
        for item in items:
            if isinstance(item.given, Begin) and again:
                # It may exist: look before creating, or the same conflict would come for ever.
                self._look_up(item)
            elif again:
                self._put(item)
            else:
                self._turn_away(item, CoordinatorUnavailable("the outcome is unknown; ask again"))
        if not again:
            self._timers.arm(entry.saga_id, self.around.clock.now() + SECOND)
        self.feed.poke_all()

    def _drop(self, entry: Entry) -> None:
        """What memory says of it is worth nothing any more."""
        self.working_set.drop(entry)
        if self._slots is not None:
            self._slots.forget(entry.saga_id)

    def _look_up(self, item: Item) -> None:
        """Put a start to the saga as stored; if there is none after all, it is created."""
        if self.working_set.find(item.saga_id, self.around.clock.now) is not None:
            self._put(item)
            return
        entry = Entry(item.saga_id, partition_of(item.saga_id, self.store.partitions), phase=Phase.LOADING)
        entry.waiting.append(item)
        self._to_load[item.saga_id] = entry
        self.working_set.pin(entry)
        self._turn.set()

    def _release(self, entry: Entry, now: Instant) -> None:
        """The entry is idle: what waited for it is decided at once, while it is surely in memory."""
        waiting = list(entry.waiting)
        entry.waiting.clear()
        held = self.ownership.holds(entry.partition)
        for item in waiting:
            if held:
                self._try(entry, item)
            else:
                self._turn_away(item, NotHeld())
        if not held:
            self.working_set.drop(entry)  # What memory says of another's saga grows old.
        elif entry.phase is Phase.IDLE:
            self.working_set.rest(entry, now)

    # ---- effects -------------------------------------------------------------------------------------------------

    def _take_effect(
        self,
        before: Saga | None,
        after: Saga,
        definition: Definition,
        partition: int,
        now: Instant,
        items: Sequence[Item],
    ) -> None:
        epoch = self.ownership.leases[partition].epoch
        withdrawn = []
        awaited = self._leaving.get(partition)
        if awaited is not None:
            awaited.discard(after.id)
        for effect in effects(before, after):
            if not isinstance(effect, Command):
                if not any(_answers(item.given, effect) for item in items):
                    withdrawn.append(cancelled_id(after, effect))
            elif awaited is None:  # Else whoever takes the partition finds it in flight, and sends it.
                self._outbox.append(fill(after, definition, effect, epoch, now))
        if withdrawn:
            self.transport.cancel(withdrawn)

    def _send(self) -> None:
        """All commands of the round in one go, so that they can share messages."""
        commands, self._outbox = self._outbox, []
        if commands and self._sending:
            reach(Point.SEND_BEFORE)
            self.transport.send(commands)
            reach(Point.SEND_AFTER)

    def _resolve(self, item: Item, saga: Saga, *, created: bool) -> None:
        if item.answer is not None and not item.answer.done():
            item.answer.set_result((saga, created))

    def _turn_away(self, item: Item, error: SwitSagaError | NotHeld) -> None:
        """It did not happen here. A caller hears so; an inbox entry stays where it is, for whoever holds the saga."""
        self._letters.done(item.entry_id)
        if item.answer is not None:
            if not item.answer.done():
                item.answer.set_exception(error)
        elif isinstance(error, NotHeld) and not item.entry_id:
            self._send_on(item.saga_id, item.given)

    def _send_on(self, saga_id: str, given: Input | Begin) -> None:
        """A certain answer of a participant counts, whoever holds the saga now."""
        if isinstance(given, Answered) and not isinstance(given.answer, Unknown) and self._sending:
            self._spawn(self._foreign.send_on(saga_id, given))

    # ---- loading ---------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        batch = [self._to_load.pop(i) for i in list(self._to_load)[: self.options.load_batch]]
        try:
            for entry, saga in zip(batch, await self._read(batch), strict=True):
                if entry.phase is not Phase.LOADING:
                    continue  # Dropped meanwhile.
                expected = self._ahead.pop(entry.saga_id, 0)
                if expected > (saga.version if isinstance(saga, Saga) else 0) and not isinstance(saga, Exception):
                    self._rewound(entry, expected)
                elif saga is None:
                    self._missing(entry)
                elif isinstance(saga, Exception):
                    self._unreadable(entry, saga)
                else:
                    entry.applied, entry.phase = saga, Phase.IDLE
                    self._release(entry, self.around.clock.now())
        finally:
            self._loading = None
            self._turn.set()

    async def _read(self, batch: Sequence[Entry]) -> Sequence[Saga | Exception | None]:
        """The sagas with their definitions, set on the entries; an exception in place of one that cannot be read."""
        try:
            sagas = await self._stubbornly(lambda: self.store.load([e.saga_id for e in batch]))
            for entry, saga in zip(batch, sagas, strict=True):
                if saga is not None:
                    entry.definition = await self._definition_of(saga)
            return sagas
        except Exception as unreadable:
            if len(batch) == 1:
                return [unreadable]
            # One bad record must not hold up the others: each on its own.
            return [saga for entry in batch for saga in await self._read([entry])]

    def _rewound(self, entry: Entry, expected: int) -> None:
        """The store went back behind what it had confirmed. It is the truth: all of the partition is read anew."""
        log.critical("store_rewound", saga_id=entry.saga_id, partition=entry.partition, expected_version=expected)
        self.counters.rewinds += 1
        self._drop(entry)
        self.ownership.fenced(entry.partition)
        for item in entry.waiting:
            self._put(item)

    def _unreadable(self, entry: Entry, error: Exception) -> None:
        log.error("saga_unreadable", saga_id=entry.saga_id, exc_info=error)
        self.counters.parked += 1
        self._drop(entry)
        text = f"saga {entry.saga_id!r} cannot be read: {error}"
        for item in entry.waiting:
            self._turn_away(item, SagaQuarantined(text, saga_id=entry.saga_id))

    def _missing(self, entry: Entry) -> None:
        self._drop(entry)
        for item in entry.waiting:
            if isinstance(item.given, Begin):
                self._put(item)
                continue
            refused = SagaNotFound(f"there is no saga {entry.saga_id!r}", saga_id=entry.saga_id)
            if item.entry_id:
                self._spawn(self._answer_apart(item, refused))
            else:
                self._turn_away(item, refused)

    async def _answer_apart(self, item: Item, refused: SwitSagaError) -> None:
        """Answer an inbox entry that no saga is written for."""
        nobody = Saga(id=item.saga_id, definition_id="", steps=(), created_at=0, updated_at=0)
        write = Write(
            saga=nobody,
            base_version=0,
            commit_id=self.around.hex(16),
            changed_steps=(),
            events=(),
            due_at=0,
            in_flight=False,
            answers=(InboxAnswer(entry_id=item.entry_id, answer=pack_reply(refused)),),
        )
        try:
            await self.store.commit([write], dict(self.ownership.leases))
        except StoreUnavailable as unknown:
            log.warning("reply_not_written", saga_id=item.saga_id, error=str(unknown))
        finally:
            self._letters.done(item.entry_id)  # If it was not answered, it comes again.

    async def _definition_of(self, saga: Saga) -> Definition:
        key = (saga.definition_id, saga.definition_version, saga.definition_digest)
        found = self._definitions.get(key)
        if found is None:
            stored = await self._stubbornly(lambda: self.store.definition(*key))
            if stored is None:
                raise LookupError(f"saga {saga.id!r} is pinned to definition {key}, which the store does not have")
            found = self._definitions[key] = stored.definition
        return found

    async def _stubbornly(self, read: Callable[[], Awaitable[T]]) -> T:
        """A read that is tried until the store answers; the callers have deadlines of their own."""
        wait_s = RESUBMIT_FIRST_S
        while True:
            try:
                return await read()
            except StoreUnavailable as unavailable:
                log.warning("read_failed", error=str(unavailable))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RESUBMIT_MAX_S)

    # ---- time ------------------------------------------------------------------------------------------------------

    def _arm(self, saga: Saga, due: Instant, now: Instant, not_before: Instant = 0) -> None:
        if self._slots is not None and self._slots.is_waiting(saga.id):
            self._timers.arm(saga.id, saga.deadline)  # Overdue until there is room; its time runs on all the same.
            self._set_timer()
            return
        if not due or due > now + self.options.timer_horizon:
            self._timers.disarm(saga.id)
            return
        self._timers.arm(saga.id, max(due, not_before))
        self._set_timer()

    def _set_timer(self) -> None:
        """See that we are woken up for the earliest timer. Woken up too early, for one disarmed since, does no harm."""
        at = self._timers.next_at
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        # A clock that is ahead of the store's runs slower than the loop's: not woken up for every microsecond.
        wait_s = max(at - self.around.clock.now(), TIMER_GRAIN) / 1e6
        self._timer, self._timer_at = asyncio.get_running_loop().call_later(wait_s, self._fire), at

    def _fire(self) -> None:
        self._timer = None
        for saga_id in self._timers.fired(self.around.clock.now()):
            self._put(Item(saga_id, Wake()))
        self._set_timer()

    async def _poll_due(self) -> None:
        """Bring near timers from the store's due index into memory, for evicted sagas and as a net under ``_arm``."""
        more = False
        while True:
            partitions, all_of_them = await self._due.next(
                self.ownership, self.options.timer_poll / (10e6 if more else 1e6)
            )
            if all_of_them:
                more = False
                self.working_set.sweep(self.around.clock.now())
            for partition in partitions:
                try:
                    until = self.around.clock.now() + self.options.timer_horizon
                    # Those that wait for room are overdue: a page of them must not hide the others.
                    most = PAGE + self.sagas_waiting
                    page = await self.store.due(partition, until, most)
                    more = more or len(page) == most
                    for due in page:
                        if self._slots is not None and self._slots.is_waiting(due.saga_id):
                            continue
                        if due.saga_id not in self._timers and not self.working_set.is_busy(due.saga_id):
                            self._timers.arm(due.saga_id, due.due_at)
                except StoreUnavailable as unavailable:
                    log.warning("due_poll_failed", error=str(unavailable))
            self._set_timer()

    # ---- partitions --------------------------------------------------------------------------------------------------

    async def _taken(self, lease: Lease) -> Callable[[], None]:
        """Find everything of the partition that may be in flight; the call returned has it sent again."""
        ids: list[str] = []
        while True:
            page = await self.store.in_flight(lease.partition, ids[-1] if ids else "", PAGE)
            ids += page
            if len(page) < PAGE:
                break
        if most := self._admission.most_to_read:
            self._admission.found(due.saga_id for due in await self.store.due(lease.partition, FOR_EVER, most))
        log.info("partition_taken", partition=lease.partition, epoch=lease.epoch, in_flight=len(ids))

        def resume() -> None:
            for saga_id in ids:
                self._put(Item(saga_id, TakenOver()))
            # What the former holder did last, watchers may not have seen; what it left waiting is due or in the inbox.
            self.feed.poke_all()
            self._due.name_all()
            self._letters.rota.name_all()

        return resume

    async def _leave(self, partitions: Collection[int]) -> None:
        """Send no more for these; wait a while for the answers to what is out, or who comes next would ask again."""
        for partition in partitions:
            entries = self.working_set.of_partition(partition)
            self._leaving[partition] = {e.saga_id for e in entries if e.applied is not None and is_in_flight(e.applied)}
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.lease_term / 5e6):
                while any(self._leaving.get(p) for p in partitions):  # noqa: ASYNC110 - it happens once in a while
                    await asyncio.sleep(0.01)

    def _lost(self, partition: int) -> None:
        """Nothing of this partition is ours any more. Rounds under way are settled by their verdicts."""
        self._leaving.pop(partition, None)
        self._admission.lost(partition, self.store.partitions)
        if self._slots is not None:
            for saga_id in [i for i in self._slots.known() if partition_of(i, self.store.partitions) == partition]:
                self._slots.forget(saga_id)
        for entry in self.working_set.of_partition(partition):
            self._timers.disarm(entry.saga_id)
            if entry.phase is Phase.COMMITTING:
                continue
            self._ready.pop(entry.saga_id, None)
            self._to_load.pop(entry.saga_id, None)
            entry.phase = Phase.IDLE
            self._forget(entry, again=True)

    # ---- endings -----------------------------------------------------------------------------------------------------

    def _unanswered_items(self) -> list[Item]:
        entries = [e for p in range(self.store.partitions) for e in self.working_set.of_partition(p)]
        return [*self._inbox, *self._new, *(item for e in entries for item in (*e.items, *e.waiting))]

    def _spawn(self, body: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(body)
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug in the loop itself. A half-dead coordinator must not keep its sagas from others: nothing is renewed
            # any more, so the leases lapse, and health turns bad for whoever watches over this process.
            log.critical("engine_failed", exc_info=error)
            self._failure = self._failure or error
            self._accepting = self._sending = False
            for other in self._tasks:
                other.cancel()
            self.failed.set()


def _answers(given: Input | Begin, to: CancelCommand) -> bool:
    """Whether it is the answer to what would be withdrawn: its transport has no use for hearing so."""
    return (
        isinstance(given, Answered)
        and given.step_index == to.step_index
        and given.send_id.attempt == to.send_id.attempt
        and given.kind is to.kind
    )
