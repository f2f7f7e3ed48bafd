"""From starts to new sagas: each finds its definition and is offered to the engine."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from swit_saga_server.core.errors import CoordinatorStopping, SwitSagaError
from swit_saga_server.core.model import Saga, Settings, TraceContext
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.record import evolve, record
from swit_saga_server.core.start import StartRequest, new_saga
from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.engine.answers import OnResult
from swit_saga_server.engine.engine import Engine
from swit_saga_server.service.definitions import Definitions
from swit_saga_server.service.limits import Limits
from swit_saga_server.store.contract import StoredDefinition, partition_of
from swit_saga_server.store.digest import digest


@record(frozen=True, slots=True)
class Start:
    """One start in the core's terms.

    Attributes:
        request: As the caller sent it.
        trace: The caller's trace: ``parent_span_id`` is its span. None begins a trace of its own.
        principal: Who asks for it.
    """

    request: StartRequest
    trace: TraceContext | None = None
    principal: Principal = ANONYMOUS


Decode: TypeAlias = Callable[[], Start]
"""Makes of what came what the core knows; it raises what is wrong with it."""


@dataclass(slots=True, eq=False)
class QueuedStart:
    """A start that waits, as it came: what is refused or given up meanwhile has cost next to nothing.

    Attributes:
        saga_id: As asked for; empty lets the coordinator choose.
        decode: Called when the start's turn has come, and not before.
        on_result: Called once, with what becomes of it.
        queued_at: Since when it waits, in plain time.
        is_wanted: False once it was cancelled.
    """

    saga_id: str
    decode: Decode
    on_result: OnResult
    queued_at: Span = NO_TIME
    is_wanted: bool = True

    def cancel(self) -> None:
        """Nobody asks for it any more: as long as it only waits it may be forgotten, and nobody is told."""
        self.is_wanted = False


class Starting:
    """Offers starts to the engine, without a task each. All methods belong to the engine's event loop."""

    def __init__(self, engine: Engine, definitions: Definitions, defaults: Settings, limits: Limits) -> None:
        """``defaults`` fill what neither a request nor its definition says."""
        self._engine = engine
        self._definitions = definitions
        self._defaults = defaults
        self._limits = limits

    async def start_many(self, batch: Sequence[QueuedStart]) -> None:
        """Set each going; returns when all are under way, or were refused at once.

        ``on_result`` of each is told, once: the saga, durable, and whether this start created it; or InvalidRequest,
        DefinitionNotFound, DefinitionDisabled, PayloadTooLarge, SagaAlreadyExists, CoordinatorOverloaded,
        CoordinatorUnavailable. A definition that many of them name is read once, after all of them came in.
        """
        read: dict[tuple[str, int], StoredDefinition | SwitSagaError] = {}
        for n, queued in enumerate(batch):
            try:
                start = queued.decode()
                self._limits.check_payload(start.request.initial_data)
                found = await self._read_once(start.request, read)
                self._engine.offer(self._new(start, found), found.definition, queued.on_result)
            except Exception as refused:
                queued.on_result(refused)
            except asyncio.CancelledError:
                for left in batch[n:]:
                    left.on_result(CoordinatorStopping())
                raise

    async def _read_once(
        self, request: StartRequest, read: dict[tuple[str, int], StoredDefinition | SwitSagaError]
    ) -> StoredDefinition:
        if request.definition is not None:
            return await self._definitions.named_by(request)
        key = (request.definition_id, request.definition_version)
        found = read.get(key)
        if found is None:
            try:
                found = await self._definitions.named_by(request)
            except SwitSagaError as refused:
                found = refused
            read[key] = found
        if isinstance(found, SwitSagaError):
            raise found
        return found

    def _new(self, start: Start, found: StoredDefinition) -> Saga:
        request, env = start.request, self._engine.env
        own_trace = start.trace or TraceContext(trace_id=env.hex(32))
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
            started_by=start.principal,
            now=env.clock.now(),
        )

    def _own_id(self) -> str:
        """An id in a partition held here, so that the start needs no other coordinator."""
        held = set(self._engine.ownership)
        while True:
            saga_id = self._engine.env.time_ordered_id()
            if not held or partition_of(saga_id, self._engine.store.partitions) in held:
                return saga_id
