"""What this process counted: from applied transitions only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER, NO_TIME, Instant, Span


@dataclass(slots=True)
class Counters:
    """Counts since this process started.

    Attributes:
        events: Applied events by type.
        sagas_started: Sagas created here.
        step_retries_successful: Steps that completed on a later attempt than their first.
        saga_time, step_time: Sums of durations of finished sagas and completed steps.
        sagas_finished: Sagas that reached an outcome here.
        updated_at: Of the last applied transition.
        quarantined: Times a saga was set aside because ``decide`` failed on it, or it could not be read.
        left_to_newer: Sagas and inbox messages that were left to a newer coordinator, each once per taking of its
            partition.
        rewinds: Times the store was found behind what it had confirmed.
    """

    started_at: Instant = NEVER
    updated_at: Instant = NEVER
    events: Counter[str] = field(default_factory=Counter)
    sagas_started: int = 0
    sagas_finished: int = 0
    retries_successful: int = 0
    saga_time: Span = NO_TIME
    step_time: Span = NO_TIME
    quarantined: int = 0
    left_to_newer: int = 0
    rewinds: int = 0
    rounds: int = 0
    writes: int = 0

    def observe(self, before: Saga | None, after: Saga, events: Sequence[SagaEvent]) -> None:
        """A transition became durable."""
        self.updated_at = after.updated_at
        if before is None:
            self.sagas_started += 1
        if after.state.is_terminal and not (before is not None and before.state.is_terminal):
            self.sagas_finished += 1
            self.saga_time += after.completed_at - (after.started_at or after.created_at)
        for event in events:
            self.events[event.type] += 1
            if event.type == EventType.STEP_COMPLETED:
                self.step_time += event.duration
            if event.type in (EventType.STEP_COMPLETED, EventType.COMPENSATION_STEP_COMPLETED) and event.attempt > 1:
                self.retries_successful += 1
