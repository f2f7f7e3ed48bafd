"""Single sagas: the nine storage operations of the specification, as thin forms over the fenced commit.

The engine does not use them; it commits in rounds. They are for tools, migrations and tests that want to read or set
one saga, and they keep what the contract promises: nothing is written without a current lease on the saga's partition,
nothing over somebody else's change, and state, steps and indexes together.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.errors import CoordinatorUnavailable, IllegalInput, SagaNotFound
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.model import Saga, StepState, is_in_flight
from swit_saga_server.core.states import ACTIVE_STATES, TERMINAL_STATES, SagaState
from swit_saga_server.core.table import TRANSITIONS
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.store.contract import (
    Lease,
    SagaFilter,
    SagaOrder,
    StateStorage,
    Verdict,
    Write,
    partition_of,
)

PAGE = 200
BATCH = 500


class SagaRecords:
    """Reads and writes single sagas.

    Every method may raise ``StoreUnavailable``: of a write it is then unknown whether it happened; read the saga again.
    A write raises ``CoordinatorUnavailable`` if the lease on the saga's partition is missing or no longer current, and
    ``IllegalInput`` if the saga changed meanwhile; then nothing was written.
    """

    def __init__(self, store: StateStorage, leases: Mapping[int, Lease]) -> None:
        """Hand in what to work on.

        Args:
            store: Open.
            leases: By partition; looked at when something is written, so it may be the owner's live mapping.
        """
        self._store = store
        self._leases = leases

    async def save_saga(self, saga: Saga) -> Saga:
        """The specification's ``SaveSaga``: create the saga, or replace it with one made from what ``get_saga`` gave.

        Args:
            saga: At the version it was read at; a new one at version 0 or 1. Its events cannot be changed.

        Returns:
            The saga as stored, its version one higher (1 for a new one).

        Raises:
            IllegalInput: The stored saga is not at the version given.
        """
        stored = await self._find(saga.id)
        if stored is None:
            return await self._commit(None, replace(saga, version=1, last_sequence=0))
        if saga.version != stored.version:
            raise self._changed(saga.id)
        return await self._commit(stored, replace(saga, version=stored.version + 1, last_sequence=stored.last_sequence))

    async def get_saga(self, saga_id: str) -> Saga:
        """The specification's ``GetSaga``.

        Raises:
            SagaNotFound.
        """
        saga = await self._find(saga_id)
        if saga is None:
            raise SagaNotFound(f"there is no saga {saga_id!r}", saga_id=saga_id)
        return saga

    async def update_saga_state(
        self, saga_id: str, state: SagaState, metadata: Mapping[str, Any] | None = None
    ) -> Saga:
        """The specification's ``UpdateSagaState``: move a saga along the transition table, with an event.

        Args:
            saga_id: Which.
            state: The new state; the present one changes only the metadata.
            metadata: Merged into the saga's, key by key; None leaves it.

        Raises:
            SagaNotFound.
            IllegalInput: The table has no such move (invariant 3).
        """
        saga = await self.get_saga(saga_id)
        now = max(await self._store.now(), saga.updated_at)
        after = replace(saga, version=saga.version + 1, updated_at=now, metadata={**saga.metadata, **(metadata or {})})
        if state is saga.state:
            return await self._commit(saga, after)
        if state not in TRANSITIONS[saga.state]:
            raise IllegalInput(f"saga {saga_id!r} cannot go from {saga.state} to {state}", saga_id=saga_id)
        event = SagaEvent(
            sequence=saga.last_sequence + 1,
            type=EventType.STATE_CHANGED,
            at=now,
            previous_state=saga.state,
            new_state=state,
        )
        after = replace(
            after,
            state=state,
            last_sequence=event.sequence,
            started_at=saga.started_at or (now if state is SagaState.RUNNING else NEVER),
            completed_at=now if state.is_terminal else NEVER,
            timed_out_at=now if state is SagaState.TIMED_OUT else saga.timed_out_at,
        )
        return await self._commit(saga, after, event)

    async def delete_saga(self, saga_id: str) -> None:
        """The specification's ``DeleteSaga``: remove a saga that has its outcome, with its events.

        Raises:
            SagaNotFound.
            IllegalInput: It has no outcome yet; cancel it first.
        """
        saga = await self.get_saga(saga_id)
        if not saga.state.is_terminal:
            raise IllegalInput(
                f"saga {saga_id!r} is {saga.state}; only one with an outcome is deleted", saga_id=saga_id
            )
        if not await self._store.delete(saga_id, self._lease(saga_id)) and await self._find(saga_id) is not None:
            raise self._not_held(saga_id)

    async def get_active_sagas(
        self, wanted: SagaFilter | None = None, order: SagaOrder = SagaOrder.CREATED_ASC
    ) -> AsyncIterator[Saga]:
        """The specification's ``GetActiveSagas``: those running, step_completed or compensating that match a filter.

        Read page by page while it is iterated, so that any number of sagas fits in memory.
        """
        wanted = wanted or SagaFilter()
        states = wanted.states & ACTIVE_STATES if wanted.states else ACTIVE_STATES
        if not states:
            return
        async for saga in self._every(replace(wanted, states=states), order):
            yield saga

    async def get_timeout_sagas(self, before: Instant) -> AsyncIterator[Saga]:
        """The specification's ``GetTimeoutSagas``: sagas still going forward whose deadline lies before ``before``.

        One that is being undone is not given: whatever stopped it, its deadline no longer counts.
        """
        states = frozenset(SagaState) - TERMINAL_STATES - {SagaState.COMPENSATING}
        # Going forward, a saga is due by its deadline at the latest, so the due time leaves few to look at. One that is
        # quarantined is due when it is tried again, and is looked for by itself.
        overdue = SagaFilter(states=states, overdue_at=before)
        quarantined = SagaFilter(states=states, stuck=True)
        async for saga in self._every(overdue, SagaOrder.CREATED_ASC):
            if saga.deadline < before:
                yield saga
        async for saga in self._every(quarantined, SagaOrder.CREATED_ASC):
            if saga.deadline < before <= due_at(saga):
                yield saga

    async def save_step_state(self, saga_id: str, step: StepState) -> Saga:
        """The specification's ``SaveStepState``: replace one step of a saga.

        Raises:
            SagaNotFound.
            IllegalInput: The saga has no such step at ``step.index``.
        """
        saga = await self.get_saga(saga_id)
        if not (0 <= step.index < len(saga.steps) and saga.steps[step.index].id == step.id):
            raise IllegalInput(f"saga {saga_id!r} has no step {step.id!r} at {step.index}", saga_id=saga_id)
        steps = (*saga.steps[: step.index], step, *saga.steps[step.index + 1 :])
        now = max(await self._store.now(), saga.updated_at)
        return await self._commit(saga, replace(saga, version=saga.version + 1, updated_at=now, steps=steps))

    async def get_step_states(self, saga_id: str) -> Sequence[StepState]:
        """The specification's ``GetStepStates``: the steps in definition order.

        Raises:
            SagaNotFound.
        """
        return (await self.get_saga(saga_id)).steps

    async def cleanup_expired_sagas(self, older_than: Instant) -> int:
        """The specification's ``CleanupExpiredSagas``: delete sagas that completed before ``older_than``, in batches.

        Only in the partitions leased; ``failed`` sagas stay until an operator resolves them (invariant 16). Safe to
        break off and to call again.

        Returns:
            How many were deleted.
        """
        deleted = 0
        for partition, lease in list(self._leases.items()):
            while batch := await self._store.expired(partition, older_than, BATCH):
                gone = [await self._store.delete(saga_id, lease) for saga_id in batch]
                deleted += sum(gone)
                if not any(gone):
                    break  # The lease was lost: the new holder cleans up.
        return deleted

    # ---- how -------------------------------------------------------------------------------------------------------

    async def _find(self, saga_id: str) -> Saga | None:
        (saga,) = await self._store.load([saga_id])
        return saga

    async def _every(self, wanted: SagaFilter, order: SagaOrder) -> AsyncIterator[Saga]:
        token = ""
        while True:
            page = await self._store.list_sagas(wanted, order, PAGE, token)
            for saga in page.sagas:
                yield saga
            if not (token := page.next_token):
                return

    async def _commit(self, before: Saga | None, after: Saga, *events: SagaEvent) -> Saga:
        old = before.steps if before is not None else ()
        write = Write(
            saga=after,
            base_version=before.version if before is not None else 0,
            commit_id=secrets.token_hex(16),
            changed_steps=tuple(i for i, step in enumerate(after.steps) if i >= len(old) or step != old[i]),
            events=events,
            due_at=due_at(after),
            in_flight=is_in_flight(after),
        )
        (verdict,) = await self._store.commit(
            [write], {partition_of(after.id, self._store.partitions): self._lease(after.id)}
        )
        match verdict:
            case Verdict.APPLIED | Verdict.ALREADY_APPLIED:
                return after
            case Verdict.FENCED:
                raise self._not_held(after.id)
            case Verdict.CONFLICT:
                raise self._changed(after.id)

    def _lease(self, saga_id: str) -> Lease:
        lease = self._leases.get(partition_of(saga_id, self._store.partitions))
        if lease is None:
            raise self._not_held(saga_id)
        return lease

    def _not_held(self, saga_id: str) -> CoordinatorUnavailable:
        return CoordinatorUnavailable(f"the partition of saga {saga_id!r} is not held by this coordinator")

    def _changed(self, saga_id: str) -> IllegalInput:
        return IllegalInput(f"saga {saga_id!r} changed since it was read; read it again", saga_id=saga_id)
