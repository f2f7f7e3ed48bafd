"""What happened, in order: the event types and the event record. ``sequence`` is contiguous from 1 per saga."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.model import Saga
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.record import evolve, record
from swit_saga_server.core.units import NO_TIME, Instant, Span

SCHEMA_VERSION = "1.0"
"""Version of the event's shape (the specification's ``version``)."""


class EventType(StrEnum):
    """The specification's 17 types; below the line, what this project adds."""

    SAGA_STARTED = "saga.started"
    STEP_STARTED = "saga.step.started"
    STEP_COMPLETED = "saga.step.completed"
    STEP_FAILED = "saga.step.failed"
    SAGA_COMPLETED = "saga.completed"
    SAGA_FAILED = "saga.failed"
    SAGA_CANCELLED = "saga.cancelled"
    SAGA_TIMED_OUT = "saga.timed_out"
    COMPENSATION_STARTED = "compensation.started"
    COMPENSATION_STEP_STARTED = "compensation.step.started"
    COMPENSATION_STEP_COMPLETED = "compensation.step.completed"
    COMPENSATION_STEP_FAILED = "compensation.step.failed"
    COMPENSATION_COMPLETED = "compensation.completed"
    COMPENSATION_FAILED = "compensation.failed"
    RETRY_ATTEMPTED = "retry.attempted"
    RETRY_EXHAUSTED = "retry.exhausted"
    STATE_CHANGED = "state.changed"
    # ----
    STEP_SKIPPED = "saga.step.skipped"
    SAGA_STUCK = "saga.stuck"


@record(frozen=True, slots=True, kw_only=True)
class SagaEvent:
    """One thing that happened to one saga. What the saga itself already says is not repeated here.

    ``with_data`` fills the data, ``wire.saga.event`` the remaining fields (id, definition, trace, source).

    Attributes:
        sequence: From 1, without gaps, per saga (invariant 15).
        type: A string because choreography's types are open.
        at: When it was decided, by the store's clock.
        step_id: Empty for events of the saga as a whole.
        data: Of a type of one's own. None where the saga has it: see ``with_data``.
        previous_state, new_state: Of the step for step events, of the saga else; empty if unchanged.
        error: What went wrong.
        duration: Of the attempt, the step or the saga that ended with this event; 0 if nothing ended.
        attempt, max_attempts: Of the step or compensation; 0 for events of the saga.
        service: Who did it: the participant's name, or ``swit-saga``.
        metadata: More about this event, for example ``{"delay_ms": 1000}``.
        principal: Who caused it, of what a person or a program asked for.
    """

    sequence: int
    type: str
    at: Instant
    step_id: str = ""
    data: Payload | None = None
    previous_state: str = ""
    new_state: str = ""
    error: SagaError | None = None
    duration: Span = NO_TIME
    attempt: int = 0
    max_attempts: int = 0
    service: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    principal: Principal = ANONYMOUS


def with_data(event: SagaEvent, saga: Saga) -> SagaEvent:
    """The event with the data that its saga holds: the initial data on its start, a step's output on its completion.

    Args:
        event: As stored.
        saga: At the event's transition or later; neither of the two ever changes.
    """
    if event.data is None and event.type == EventType.SAGA_STARTED:
        return evolve(event, data=saga.initial_data)
    if event.data is None and event.type == EventType.STEP_COMPLETED:
        return evolve(event, data=next(s.output for s in saga.steps if s.id == event.step_id))
    return event
