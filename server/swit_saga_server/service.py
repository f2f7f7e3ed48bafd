"""What can be asked of a coordinator, in the core's terms: servicers and the embedding facade both call this.

It resolves definitions, checks sizes and knows who may be asked for what; everything about how a saga goes on is the
engine's and the machine's.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from cachetools import LRUCache

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import (
    CoordinatorUnavailable,
    CursorOutOfRange,
    DefinitionDisabled,
    DefinitionNotFound,
    InvalidDefinition,
    InvalidRequest,
    PayloadTooLarge,
    SagaNotFound,
    SwitSagaError,
    Violation,
)
from swit_saga_server.core.events import EventType, SagaEvent, with_data
from swit_saga_server.core.inputs import Cancel
from swit_saga_server.core.model import Saga, Settings, TraceContext
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import evolve, record
from swit_saga_server.core.start import StartRequest, new_saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant, Span
from swit_saga_server.engine.answers import OnResult, future_of
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.feed import Subscription
from swit_saga_server.engine.items import StartResult
from swit_saga_server.engine.waits import OnWaitResult, Wait, WaitResult
from swit_saga_server.store.codec import pack_definition
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage, StoredDefinition, partition_of
from swit_saga_server.store.digest import digest

DEFINITIONS_KEPT = 1_000
HISTORY_PAGE = 500


@record(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes: ``payload`` of one payload, ``definition`` of one encoded definition."""

    payload: int = 1 << 20
    definition: int = 1 << 20


@record(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The seed's CoordinatorMetrics. Sagas are counted by the store for all coordinators, the rest by this process."""

    total_sagas: int
    active_sagas: int
    completed_sagas: int
    compensated_sagas: int
    failed_sagas: int
    cancelled_sagas: int
    timed_out_sagas: int
    total_steps: int
    completed_steps: int
    failed_steps: int
    total_retries: int
    successful_retries: int
    total_compensations: int
    successful_compensations: int
    average_saga_duration: Span | None
    average_step_duration: Span | None
    start_time: Instant
    last_update_time: Instant
    started_sagas: int
    parked_sagas: int
    working_set_size: int
    commands_in_flight: int
    rounds: int
    writes: int
    refused_starts: int
    queued_starts: int
    queued_steps: int


@record(frozen=True, slots=True)
class Start:
    """One of many starts.

    Attributes:
        request: As the caller sent it.
        trace: The caller's trace; None begins one of its own.
        told: Hears once what ``SagaService.start`` would have returned or raised.
    """

    request: StartRequest
    trace: TraceContext | None
    told: OnResult


class SagaService:
    """One coordinator's operations. All methods belong to the engine's event loop."""

    def __init__(self, engine: Engine, defaults: Settings, limits: Limits) -> None:
        """Serve what ``engine`` drives; ``defaults`` fill what neither request nor definition says."""
        self._engine = engine
        self._store = engine.store
        self._defaults = defaults
        self._limits = limits
        self._definitions: LRUCache[tuple[str, int, str], StoredDefinition] = LRUCache(DEFINITIONS_KEPT)

    # ---- sagas ---------------------------------------------------------------------------------------------------

    async def start(self, request: StartRequest, trace: TraceContext | None = None) -> tuple[Saga, bool]:
        """Start a saga; it is durable when this returns.

        Args:
            request: As the caller sent it.
            trace: The caller's trace: ``parent_span_id`` is its span. None begins a trace of its own.

        Returns:
            The saga and whether this call created it; the same request again gets the same saga.

        Raises:
            InvalidRequest, DefinitionNotFound, DefinitionDisabled, PayloadTooLarge, SagaAlreadyExists,
            CoordinatorOverloaded, CoordinatorUnavailable.
        """
        self._check_payload(request.initial_data)
        found = await self._definition_for(request)
        future: asyncio.Future[StartResult] = asyncio.get_running_loop().create_future()
        self._engine.offer(self._new(request, trace, found), found.definition, future_of(future))
        return await future

    def refusal(self, saga_id: str, queued: int = 0, wait: Span = 0) -> SwitSagaError | None:
        """Why ``start`` would refuse now whatever is asked, by the id alone (empty: none chosen yet). Cheap.

        To be asked before anything else is done with a start. ``queued`` wait before the engine, and this one would
        wait there for ``wait``.
        """
        return self._engine.refusal(saga_id, queued, wait)

    async def wants_starts(self) -> None:
        """Return when the engine has taken up all starts handed in."""
        await self._engine.ready_for_starts()

    def partitions(self) -> tuple[int, tuple[int, ...]]:
        """How many there are, and those whose sagas are driven here, ascending."""
        return self._store.partitions, tuple(sorted(self._engine.ownership))

    @property
    def answer_timeout(self) -> Span:
        """How long a start may wait for its answer."""
        return self._engine.options.answer_timeout

    async def start_many(self, starts: Sequence[Start]) -> None:
        """``start`` for each, without a task each. Returns when all are under way, or were refused at once.

        A definition that many of them name is read once, after all of them came in.
        """
        read: dict[tuple[str, int], StoredDefinition | SwitSagaError] = {}
        for start in starts:
            try:
                self._check_payload(start.request.initial_data)
                found = await self._read_once(start.request, read)
                self._engine.offer(self._new(start.request, start.trace, found), found.definition, start.told)
            except Exception as refused:
                start.told(refused)

    async def get(self, saga_id: str) -> Saga:
        """The saga as it is durably.

        Raises:
            SagaNotFound, StoreUnavailable.
        """
        return await self._engine.latest(saga_id)

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """A page of sagas; see ``StateStorage.list_sagas``."""
        return await self._store.list_sagas(wanted, order, page_size, page_token)

    async def cancel(self, saga_id: str, reason: str) -> Saga:
        """Stop and undo; durable when this returns; idempotent. Compensations may be still under way.

        Raises:
            SagaNotFound, SagaAlreadyFinished, CoordinatorUnavailable.
        """
        return await self._engine.ask(saga_id, Cancel(reason))

    async def wait(self, saga_id: str, states: frozenset[SagaState], timeout_s: float) -> tuple[Saga, bool]:
        """Until the saga is in one of ``states`` (any outcome, if empty), or the time is up.

        Returns:
            The saga, and whether it got there. A saga at another outcome than asked for ends the wait, too.

        Raises:
            SagaNotFound, StoreUnavailable, CoordinatorStopping.
        """
        answered: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()

        def heard(outcome: WaitResult | Exception) -> None:
            if answered.done():
                return  # Its caller is gone.
            if isinstance(outcome, Exception):
                answered.set_exception(outcome)
            else:
                answered.set_result(outcome)

        wait = self.wait_for(saga_id, states, timeout_s, heard)
        try:
            return await answered
        finally:
            wait.cancel()

    def wait_for(self, saga_id: str, states: frozenset[SagaState], timeout_s: float, heard: OnWaitResult) -> Wait:
        """``wait`` without a task: ``heard`` is told once what ``wait`` would have returned or raised.

        It may be called before this returns. Withdraw what is no longer waited for.
        """
        return self._engine.waits.add(saga_id, states, timeout_s, heard)

    def end_waits(self) -> None:
        """Nothing comes any more that anybody could wait for: say so to whoever still does. Safe to call twice."""
        self._engine.waits.close()

    async def watch(
        self, saga_id: str, after: int, *, follow: bool, idle_s: float
    ) -> tuple[Saga, AsyncIterator[SagaEvent | None]]:
        """A saga's events after sequence ``after``: history, then live, no gap and no duplicate (invariant 15).

        Returns:
            The saga as it is now, and an iterator that gives None when nothing came for ``idle_s`` and ends after the
            outcome's last event unless ``follow``. Close it (``aclose``) when done early.

        Raises:
            SagaNotFound: There is no such saga.
            CursorOutOfRange: ``after`` lies beyond the saga's latest event.
        """
        subscription = self._engine.feed.subscribe(saga_id)
        try:
            saga = await self._engine.get(saga_id)
            if after > saga.last_sequence:
                # The watcher may have read, here or elsewhere, what this coordinator has not heard of yet.
                saga = await self._engine.stored(saga_id)
            if after > saga.last_sequence:
                raise CursorOutOfRange(
                    f"saga {saga_id!r} has no event {after}; its latest is {saga.last_sequence}",
                    saga_id=saga_id,
                    oldest=1,
                    latest=saga.last_sequence,
                )
        except BaseException:
            self._engine.feed.unsubscribe(saga_id, subscription)
            raise
        return saga, self._follow(saga, subscription, after, follow=follow, idle_s=idle_s)

    async def _follow(
        self, saga: Saga, subscription: Subscription, after: int, *, follow: bool, idle_s: float
    ) -> AsyncIterator[SagaEvent | None]:
        try:
            subscription.overflowed = True  # The history comes first.
            while True:
                if subscription.overflowed:
                    subscription.overflowed = False
                    while page := await self._store.events(saga.id, after, HISTORY_PAGE):
                        if page[-1].sequence > saga.last_sequence:
                            saga = await self._engine.stored(saga.id)
                        for event in page:
                            after = event.sequence
                            yield with_data(event, saga)
                    saga = await self._engine.get(saga.id)
                if subscription.saga is not None and subscription.saga.version > saga.version:
                    saga = subscription.saga
                for event in subscription.take():
                    if event.sequence == after + 1:
                        after = event.sequence
                        yield with_data(event, saga)
                    elif event.sequence > after:
                        subscription.overflowed = True  # A gap: the history has it.
                        break
                if saga.state.is_terminal and after >= saga.last_sequence and not follow:
                    return
                if not subscription.overflowed and not await subscription.wait(idle_s):
                    yield None
        except SagaNotFound:
            return  # Deleted while watched: there is nothing more to come.
        finally:
            self._engine.feed.unsubscribe(saga.id, subscription)

    # ---- definitions -----------------------------------------------------------------------------------------------

    def validate(self, definition: Definition) -> None:
        """Check a definition, its participants and, where they are known, their actions.

        Raises:
            InvalidDefinition: With everything wrong, at once.
            PayloadTooLarge: Encoded, it exceeds the limit.
        """
        definition.validate()
        found = []
        for i, step in enumerate(definition.steps):
            wrong = self._engine.transport.knows(step.participant, step.action_name)
            if wrong:
                found.append(Violation(f"steps[{i}].participant", wrong))
        if found:
            raise InvalidDefinition(tuple(found))
        size = len(pack_definition(definition))
        if size > self._limits.definition:
            raise PayloadTooLarge(
                f"the definition has {size} bytes; at most {self._limits.definition}", limit=self._limits.definition
            )

    async def register(self, definition: Definition) -> tuple[StoredDefinition, bool]:
        """Give the definition its version; the same content keeps its version.

        Raises:
            InvalidDefinition, PayloadTooLarge, StoreUnavailable.
        """
        self.validate(definition)
        return await self._store.register(definition, digest(definition), self._engine.env.clock.now())

    async def get_definition(self, definition_id: str, version: int) -> StoredDefinition:
        """One version; 0 is the latest not disabled.

        Raises:
            DefinitionNotFound.
        """
        found = await self._store.definition(definition_id, version, "")
        if found is None:
            raise self._no_definition(definition_id, version)
        return found

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> tuple[list[StoredDefinition], str]:
        """A page of definitions; see ``StateStorage.list_definitions``."""
        page, token = await self._store.list_definitions(definition_id, include_disabled, page_size, page_token)
        return list(page), token

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition:
        """Take no new sagas with one version, or take them again. Running sagas are not touched.

        Raises:
            DefinitionNotFound.
        """
        found = await self._store.disable_definition(definition_id, version, disabled)
        if found is None:
            raise self._no_definition(definition_id, version)
        return found

    async def definition_of(self, saga: Saga) -> Definition:
        """The very version a saga is pinned to."""
        key = (saga.definition_id, saga.definition_version, saga.definition_digest)
        found = self._definitions.get(key)
        if found is None:
            found = await self._store.definition(*key)
            if found is None:
                raise self._no_definition(saga.definition_id, saga.definition_version)
            self._definitions[key] = found
        return found.definition

    # ---- the coordinator itself ------------------------------------------------------------------------------------

    def now(self) -> Instant:
        """The time by the store's clock."""
        return self._engine.env.clock.now()

    def elapsed(self) -> Span:
        """Plain time, at an even pace."""
        return self._engine.env.clock.elapsed()

    async def metrics(self) -> Metrics:
        """What was counted, see ``Metrics``."""
        counters, per_state = self._engine.counters, await self._store.count()
        total = sum(per_state.values())
        over = sum(n for state, n in per_state.items() if state.is_terminal)
        events = counters.events
        steps_done = events[EventType.STEP_COMPLETED]
        return Metrics(
            total_sagas=total,
            active_sagas=total - over,
            completed_sagas=per_state.get(SagaState.COMPLETED, 0),
            compensated_sagas=per_state.get(SagaState.COMPENSATED, 0),
            failed_sagas=per_state.get(SagaState.FAILED, 0),
            cancelled_sagas=per_state.get(SagaState.CANCELLED, 0),
            timed_out_sagas=per_state.get(SagaState.TIMED_OUT, 0),
            total_steps=events[EventType.STEP_STARTED],
            completed_steps=steps_done,
            failed_steps=events[EventType.STEP_FAILED],
            total_retries=events[EventType.RETRY_ATTEMPTED],
            successful_retries=counters.retries_successful,
            total_compensations=events[EventType.COMPENSATION_STEP_STARTED],
            successful_compensations=events[EventType.COMPENSATION_STEP_COMPLETED],
            average_saga_duration=(counters.saga_time // counters.sagas_finished if counters.sagas_finished else None),
            average_step_duration=counters.step_time // steps_done if steps_done else None,
            start_time=counters.started_at,
            last_update_time=counters.updated_at,
            started_sagas=counters.sagas_started,
            parked_sagas=counters.quarantined,
            working_set_size=self._engine.sagas_in_memory,
            commands_in_flight=self._engine.transport.in_flight,
            rounds=counters.rounds,
            writes=counters.writes,
            refused_starts=self._engine.starts_refused,
            queued_starts=self._engine.starts_waiting,
            queued_steps=self._engine.sagas_waiting,
        )

    async def health(self) -> None:
        """Return if the coordinator can take and drive sagas.

        Raises:
            CoordinatorUnavailable: It cannot, and why.
        """
        if self._engine.failure is not None:
            raise CoordinatorUnavailable(f"the engine failed: {self._engine.failure!r}")
        await self._store.now()
        if not any(self._engine.ownership.holds(p) for p in range(self._store.partitions)):
            raise CoordinatorUnavailable("no partition is held by this coordinator")

    def begin_stop(self) -> None:
        """Refuse new sagas from now on; those under way go on."""
        self._engine.stop_accepting()

    # ---- within ------------------------------------------------------------------------------------------------------

    async def _read_once(
        self, request: StartRequest, read: dict[tuple[str, int], StoredDefinition | SwitSagaError]
    ) -> StoredDefinition:
        if request.definition is not None:
            return await self._definition_for(request)
        key = (request.definition_id, request.definition_version)
        if key not in read:
            try:
                read[key] = await self._definition_for(request)
            except SwitSagaError as refused:
                read[key] = refused
        found = read[key]
        if isinstance(found, SwitSagaError):
            raise found
        return found

    def _new(self, request: StartRequest, trace: TraceContext | None, found: StoredDefinition) -> Saga:
        env = self._engine.env
        own_trace = trace or TraceContext(trace_id=env.hex(32))
        return new_saga(
            request,
            found.definition,
            saga_id=request.saga_id or self._own_id(),
            version=found.version,
            digest=found.digest,
            fingerprint=digest(request),
            defaults=self._defaults,
            trace=evolve(own_trace, span_id=env.hex(16)),
            source=self._engine.options.owner,
            now=env.clock.now(),
        )

    async def _definition_for(self, request: StartRequest) -> StoredDefinition:
        if request.definition is None:
            if not request.definition_id:
                raise InvalidRequest((Violation("definition_id", "give one, or an inline definition"),))
            found = await self.get_definition(request.definition_id, request.definition_version)
            if found.disabled:
                raise DefinitionDisabled(
                    f"definition {request.definition_id!r} version {found.version} is disabled",
                    definition_id=request.definition_id,
                    version=found.version,
                )
            return found
        if request.definition_id or request.definition_version:
            raise InvalidRequest((Violation("definition", "give a definition_id or an inline definition, not both"),))
        inline, key = request.definition, (request.definition.id, 0, digest(request.definition))
        if key not in self._definitions:
            self.validate(inline)
            now = self._engine.env.clock.now()
            self._definitions[key] = StoredDefinition(definition=inline, version=0, digest=key[2], registered_at=now)
        return self._definitions[key]

    def _own_id(self) -> str:
        """An id in a partition held here, so that the start needs no other coordinator."""
        held = set(self._engine.ownership)
        while True:
            saga_id = self._engine.env.time_ordered_id()
            if not held or partition_of(saga_id, self._store.partitions) in held:
                return saga_id

    def _check_payload(self, payload: Payload | None) -> None:
        if payload is not None and payload.size > self._limits.payload:
            raise PayloadTooLarge(
                f"initial_data has {payload.size} bytes; at most {self._limits.payload}", limit=self._limits.payload
            )

    def _no_definition(self, definition_id: str, version: int) -> DefinitionNotFound:
        which = f"version {version} of definition" if version else "definition"
        return DefinitionNotFound(
            f"there is no {which} {definition_id!r}; register it first", definition_id=definition_id, version=version
        )
