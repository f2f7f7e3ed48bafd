"""An engine: everything that drives the sagas of the partitions held here, put together, started and stopped.

``loop`` says how it works; the files beside it are its parts, one idea each.
"""

import asyncio
from contextlib import suppress

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import CoordinatorStopping, StoreUnavailable, SwitSagaError
from swit_saga_server.core.inputs import Answered, Input, Rejected, Wake
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.engine.admission import Admission
from swit_saga_server.engine.answers import Answers, OnResult
from swit_saga_server.engine.applying import Applying
from swit_saga_server.engine.concurrency import ConcurrencyLimiter
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.counters import Counters
from swit_saga_server.engine.deciding import Deciding
from swit_saga_server.engine.doubts import Doubts
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.failpoints import Point, reach
from swit_saga_server.engine.feed import Feed
from swit_saga_server.engine.feed_poller import FeedPoller
from swit_saga_server.engine.inbox import Inbox
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.left_to_newer import LeftToNewer
from swit_saga_server.engine.loading import Loading
from swit_saga_server.engine.loop import Loop
from swit_saga_server.engine.mailbox import Mailbox
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.outbox import Outbox
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.engine.postponed import Postponed
from swit_saga_server.engine.reading import Reading
from swit_saga_server.engine.rejecting import Rejecting
from swit_saga_server.engine.remote import Remote
from swit_saga_server.engine.requests import Requests
from swit_saga_server.engine.retention import Retention
from swit_saga_server.engine.rewinds import Rewinds
from swit_saga_server.engine.rounds import Rounds
from swit_saga_server.engine.supervisor import Supervisor
from swit_saga_server.engine.takeover import Takeover
from swit_saga_server.engine.transport import Transport
from swit_saga_server.engine.waits import Waits
from swit_saga_server.engine.wakeups import Wakeups
from swit_saga_server.engine.working_set import WorkingSet
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import Hint, InboxEntry, StateStorage

log = get_logger(__name__)


class Engine:
    """Drives every saga of the partitions it holds. One per process; all methods belong to its event loop.

    Attributes:
        store, transport, options, env: As handed in.
        context: What its parts work on.
        ownership: The partitions held.
        feed, waits: Who watches and who waits.
        reading: How sagas are.
        requests, answers: What callers ask for, and who waits for it.
        loop, wakeups, outbox, retention: Its working parts.
        supervisor: Whose their tasks are.
        counters: What was counted.
        failed: Set when ``failure`` is.
        failure: What ended the engine against its will; None while all is well.
    """

    def __init__(
        self, store: StateStorage, transport: Transport, options: EngineOptions, env: Environment | None = None
    ) -> None:
        """Hand everything in; nothing runs before ``start``. Answers of ``transport`` must be given to ``deliver``."""
        self.store = store
        self.transport = transport
        self.options = options
        self.env = env or Environment()
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None
        self._running = False
        self._put_together()

    def _put_together(self) -> None:
        store, options, env = self.store, self.options, self.env
        limited = options.max_steps is not None or options.max_steps_of
        self.supervisor = Supervisor(self._fail)
        self._commits = Supervisor(self._fail)
        """Apart from the others: when all ends, what is on its way to the store is let through."""
        self.ownership = Ownership(store, options, env)
        self.feed = Feed(options.watch_buffer)
        self.counters = Counters(started_at=env.clock.now())
        self.context = context = Context(
            store=store,
            options=options,
            env=env,
            ownership=self.ownership,
            mailbox=Mailbox(env.clock.elapsed),
            working_set=WorkingSet(options.cache),
            limiter=ConcurrencyLimiter(options.max_steps, options.max_steps_of) if limited else None,
            admission=Admission(options.max_sagas, options.max_queue, options.max_queue_wait),
            counters=self.counters,
            left_to_newer=LeftToNewer(self.ownership, self.counters),
            feed=self.feed,
            rewinds=Rewinds(self.counters, env.clock, self.feed),
        )
        self.reading = Reading(context)
        self._doubts = Doubts(context.working_set, env.clock)
        self.answers = Answers(env.clock, options.answer_timeout)
        self._remote = Remote(store, options, env, self.ownership.levels)
        self.requests = Requests(context, self.answers, self.reading, self._remote, self.supervisor)
        self._inbox = Inbox(context, self._take_message, self._refuse_message)
        self._rejecting = Rejecting(self._inbox.done, self._send_on)
        self.wakeups = Wakeups(context)
        self.outbox = Outbox(self.transport)
        self._postponed = postponed = Postponed(env.clock, context.mailbox)
        deciding = Deciding(context, self.wakeups, self._rejecting, postponed)
        applying = Applying(context, deciding, self.wakeups, self.outbox, self._inbox, self._rejecting, postponed)
        self._loading = Loading(context, applying, self.wakeups, self._inbox, self._rejecting, self.supervisor)
        self._rounds = Rounds(context, applying, self._commits)
        self.loop = Loop(context, self.transport, deciding, self._loading, self._rounds, self._rejecting)
        self.ownership.tenant = Takeover(context, applying, self.wakeups, self.outbox, self._inbox)
        self.waits = Waits(self.feed, env.clock, self.reading.at_hand, store.load)
        self._feed_poller = FeedPoller(store, options, self.ownership, self.feed)
        self.retention = Retention(store, options, env, self.ownership)

    # ---- its life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the free partitions, put back to work what a former life left, and run.

        Raises:
            StoreUnavailable: The store cannot be reached.
        """
        await self.supervisor.start()
        await self._commits.start()
        self.requests.accepting = self._running = True
        self.outbox.open()
        try:
            await self.ownership.take_share()
        except BaseException:
            self._running = False
            await self.supervisor.stop()
            await self._commits.stop()
            raise
        self._stop_listening = self.store.listen(self._on_hint)
        for part in (
            self.loop, self.wakeups, self.ownership, self._inbox, self._feed_poller, self.retention, self.waits
        ):  # fmt: skip
            self.supervisor.spawn(part.run())

    def stop_accepting(self) -> None:
        """Refuse new sagas from now on; those under way go on."""
        self.requests.accepting = False

    async def stop(self, grace_s: float) -> None:
        """Refuse new sagas, let those under way go on for at most ``grace_s``, hand over, stop. Safe to call twice.

        What is then unfinished is durable and is resumed by whoever takes the partitions next.
        """
        self.stop_accepting()
        if not self._running:
            return
        self._running = False
        await self._drain(grace_s)
        self.outbox.close()
        self._stop_listening()
        try:
            await self.transport.close()
        finally:
            await self._end()

    async def _end(self) -> None:
        self.wakeups.stop()
        self._postponed.stop()
        await self.supervisor.stop()
        # What is on its way to the store is let through, so that its callers learn the truth.
        await self._commits.wait(self.options.lease_term / 1e6)
        await self._commits.stop()
        mailbox, working_set = self.context.mailbox, self.context.working_set
        for item in (*mailbox.inputs, *mailbox.starts, *working_set.waiting_items()):
            self._rejecting.reject(item, CoordinatorStopping())
        self.answers.close()
        try:
            await self.ownership.release_all()
        except StoreUnavailable as unavailable:
            log.warning("leases_not_released", error=str(unavailable))

    async def _drain(self, grace_s: float) -> None:
        try:
            async with asyncio.timeout(grace_s * 3 / 4):
                while not (self.is_quiet or self.failure):  # noqa: ASYNC110 - nothing signals it, and it happens once
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.info("stopping_with_sagas_under_way", commands=self.transport.in_flight)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s / 4):
                    await self.ownership.tenant.leaving(list(self.ownership))

    @property
    def is_quiet(self) -> bool:
        """Nothing to decide, to commit or to wait for from participants, now."""
        context = self.context
        return not (
            context.mailbox
            or context.working_set.ready
            or self._rounds.under_way
            or self._loading.under_way
            or self.transport.in_flight
        )

    def _fail(self, error: BaseException) -> None:
        """A bug in the engine itself. A half-dead coordinator must not keep its sagas from others: nothing is renewed
        any more, so the leases lapse, and health turns bad for whoever watches over this process.
        """
        log.critical("engine_failed", exc_info=error)
        self.failure = self.failure or error
        self.stop_accepting()
        self.outbox.close()
        self.supervisor.cancel()
        self.failed.set()

    # ---- what comes in ---------------------------------------------------------------------------------------------

    def offer(self, saga: Saga, definition: Definition, on_result: OnResult) -> None:
        """See ``Requests.offer``."""
        self.requests.offer(saga, definition, on_result)

    def refusal(self, saga_id: str, queued: int = 0, wait: Span = NO_TIME) -> SwitSagaError | None:
        """See ``Requests.refusal``."""
        return self.requests.refusal(saga_id, queued, wait)

    async def ready_for_starts(self) -> None:
        """Return when all starts handed in have been taken up: who has more may hand them in."""
        await self.context.mailbox.ready_for_starts.wait()

    async def ask(self, saga_id: str, given: Input) -> Saga:
        """See ``Requests.ask``."""
        return await self.requests.ask(saga_id, given)

    def deliver(self, saga_id: str, answered: Answered) -> None:
        """A participant's answer. May come twice, late or for nothing; the machine sorts it out."""
        answer = answered.answer
        if answer.error is not None and not isinstance(answer, Rejected):
            self._doubts.note(saga_id, answered, answer.error)
        elif self._doubts.of_late:
            self._doubts.note_answer(saga_id, answered)
        reach(Point.RECEIVE_BEFORE)
        self.context.mailbox.put(Item(saga_id, answered))
        reach(Point.RECEIVE_AFTER)

    def _on_hint(self, hint: Hint) -> None:
        """Something may be new in the store by another's hand."""
        match hint.kind:
            case "inbox":
                self._inbox.schedule.name(hint.partition)
            case "due":
                self.wakeups.schedule.name(hint.partition)
            case "lease":
                self.ownership.look()

    def _take_message(self, message: InboxEntry, given: Input) -> None:
        """Another coordinator's request for a saga that is held here."""
        self.context.mailbox.put(Item(message.saga_id, given, message_id=message.entry_id))

    def _refuse_message(self, message: InboxEntry, refused: SwitSagaError) -> None:
        self._loading.answer_apart(Item(message.saga_id, Wake(), message_id=message.entry_id), refused, None)

    def _send_on(self, saga_id: str, answered: Answered) -> None:
        if self.outbox.is_open:
            self.supervisor.spawn(self._remote.send_on(saga_id, answered))

    # ---- what can be seen ------------------------------------------------------------------------------------------

    async def get(self, saga_id: str) -> Saga:
        """See ``Reading.get``."""
        return await self.reading.get(saga_id)

    async def latest(self, saga_id: str) -> Saga:
        """See ``Reading.latest``."""
        return await self.reading.latest(saga_id)

    async def stored(self, saga_id: str) -> Saga:
        """See ``Reading.stored``."""
        return await self.reading.stored(saga_id)

    @property
    def starts_waiting(self) -> int:
        """See ``Requests.starts_waiting``."""
        return self.requests.starts_waiting

    @property
    def sagas_waiting(self) -> int:
        """See ``Requests.sagas_waiting``."""
        return self.requests.sagas_waiting

    @property
    def starts_refused(self) -> int:
        """Starts refused for want of capacity."""
        return self.context.admission.refused

    @property
    def sagas_in_memory(self) -> int:
        """Sagas in the working set."""
        return len(self.context.working_set)
