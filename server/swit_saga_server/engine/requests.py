"""Requests of callers, for sagas held here and for remote ones: new sagas, and inputs for those under way.

One path for every input: for a saga held here it goes through the mailbox, for a remote one through its holder's inbox;
either way it is durable when the caller hears of it. A new kind of input needs nothing in here.
"""

import asyncio

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import CoordinatorStopping, CoordinatorUnavailable, SwitSagaError
from swit_saga_server.core.inputs import Input
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.engine.answers import Answers, OnResult, future_of
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.items import Begin, Item, NotHeld, StartResult, Waiter
from swit_saga_server.engine.reading import Reading
from swit_saga_server.engine.remote import Remote
from swit_saga_server.engine.supervisor import Supervisor
from swit_saga_server.store.contract import partition_of


class Requests:
    """Takes requests, and sees that each is answered.

    Attributes:
        accepting: Whether new sagas are taken.
    """

    def __init__(
        self, context: Context, answers: Answers, reading: Reading, remote: Remote, supervisor: Supervisor
    ) -> None:
        self._store = context.store
        self._ownership = context.ownership
        self._mailbox = context.mailbox
        self._admission = context.admission
        self._limiter = context.limiter
        self._answers = answers
        self._reading = reading
        self._remote = remote
        self._supervisor = supervisor
        self._creating = 0
        self.accepting = False

    @property
    def starts_waiting(self) -> int:
        """Starts taken, and neither decided yet nor created for another coordinator to drive."""
        return len(self._mailbox.starts) + self._creating

    @property
    def sagas_waiting(self) -> int:
        """Sagas that wait for a place for a step."""
        return self._limiter.waiting if self._limiter is not None else 0

    def refusal(self, saga_id: str, queued: int = 0, wait: Span = NO_TIME) -> SwitSagaError | None:
        """Why a start would be refused now, whatever is in it; None if it would be taken.

        Args:
            saga_id: As asked for; empty if it is still to be chosen.
            queued: Starts that wait before the engine.
            wait: How long this one would wait there.
        """
        if not self.accepting:
            return CoordinatorStopping()
        wait = max(wait, self._mailbox.longest_wait())
        return self._admission.refusal(
            saga_id,
            queued=queued,
            starts_waiting=self.starts_waiting,
            wait=wait,
            sagas_waiting=self.sagas_waiting,
        )

    def offer(self, saga: Saga, definition: Definition, on_result: OnResult) -> None:
        """Create a saga and set it going; idempotent by ``saga.id`` and ``saga.fingerprint``.

        ``on_result`` hears in time and once: the saga, durable, and whether this call created it; or
        ``SagaAlreadyExists`` (it was started by a different request), or ``CoordinatorUnavailable`` (not accepted, or
        the outcome is unknown; the same may be offered again).

        Raises:
            CoordinatorStopping, CoordinatorOverloaded: Not accepted; ``on_result`` is not called.
        """
        if (refused := self.refusal(saga.id)) is not None:
            raise refused
        self._admission.starting(saga.id)

        def settled(outcome: StartResult | Exception) -> None:
            self._admission.started(saga.id)
            on_result(outcome)

        begin = Begin(saga, definition)
        self._put(saga.id, begin, _Start(self, begin, self._answers.open(saga.id, settled)))

    async def ask(self, saga_id: str, given: Input) -> Saga:
        """Give an input to a saga, wherever it is driven; what it led to is durable when this returns.

        Raises:
            SagaNotFound, CoordinatorUnavailable, and what the machine refuses the input with.
        """
        future: asyncio.Future[StartResult] = asyncio.get_running_loop().create_future()
        pending = self._answers.open(saga_id, future_of(future))
        try:
            self._put(saga_id, given, pending)
            saga, _ = await future
        except NotHeld:
            taken_at = await self._remote.ask(saga_id, given)
            # From the store: it may be this very coordinator that holds the partition by now and took the input from
            # the inbox, and the store's answer can overtake the news that the commit was applied.
            saga = await self._reading.stored(saga_id)
            if saga.version < taken_at:
                text = f"saga {saga_id!r}: the store went back behind what it had confirmed; ask again"
                raise CoordinatorUnavailable(text) from None
        finally:
            pending.abandon()
        return saga

    def go_remote(self, begin: Begin, waiter: Waiter) -> None:
        """A start turns out to be another coordinator's."""
        self._supervisor.spawn(self._create(begin, waiter))

    def _put(self, saga_id: str, given: Input | Begin, waiter: Waiter) -> None:
        if self._ownership.holds(partition_of(saga_id, self._store.partitions)):
            self._mailbox.put(Item(saga_id, given, waiter))
        else:
            waiter.fail(NotHeld())

    async def _create(self, begin: Begin, waiter: Waiter) -> None:
        """Create it for whoever holds it."""
        self._creating += 1
        try:
            made = await self._remote.create(begin.saga, begin.definition)
        except asyncio.CancelledError:
            waiter.fail(CoordinatorStopping())
            raise
        except Exception as refused:
            waiter.fail(refused)
        else:
            if made is not None:
                waiter.succeed(made)
            else:
                # The saga was there and is gone: try again, here if the partition is held by now.
                self._put(begin.saga.id, begin, waiter)
        finally:
            self._creating -= 1


class _Start:
    """Who waits for a start: one that is not held here is created for whoever holds it. See ``items.Waiter``."""

    __slots__ = ("_begin", "_requests", "_waiter")

    def __init__(self, requests: Requests, begin: Begin, waiter: Waiter) -> None:
        self._requests = requests
        self._begin = begin
        self._waiter = waiter

    @property
    def is_done(self) -> bool:
        return self._waiter.is_done

    def succeed(self, result: StartResult) -> None:
        self._waiter.succeed(result)

    def fail(self, error: Exception) -> None:
        if isinstance(error, NotHeld) and not self._waiter.is_done:
            self._requests.go_remote(self._begin, self)
        else:
            self._waiter.fail(error)
