"""What a coordinator counted."""

from swit_saga_server.core.events import EventType
from swit_saga_server.core.record import record
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant, Span
from swit_saga_server.engine.engine import Engine


@record(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Sagas are counted by the store for all coordinators, the rest by this process.

    ``protos/swit_saga/v1/metrics.proto`` says what each is.
    """

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
    uncompensatable_actions: int
    store_rewinds: int


async def metrics_of(engine: Engine, queued_starts: int, uncompensatable_actions: int) -> Metrics:
    """What was counted so far.

    Args:
        engine: Counts what it drives.
        queued_starts: Starts that wait before the engine.
        uncompensatable_actions: See ``Catalogue.uncompensatable``.

    Raises:
        StoreUnavailable.
    """
    counters, per_state = engine.counters, await engine.store.count()
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
        working_set_size=engine.sagas_in_memory,
        commands_in_flight=engine.transport.in_flight,
        rounds=counters.rounds,
        writes=counters.writes,
        refused_starts=engine.starts_refused,
        queued_starts=queued_starts + engine.starts_waiting,
        queued_steps=engine.sagas_waiting,
        uncompensatable_actions=uncompensatable_actions,
        store_rewinds=counters.rewinds,
    )
