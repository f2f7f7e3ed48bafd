"""One transition in the making: the only mutable thing in the core, and it never leaves ``decide``.

Every change of a saga goes through a draft, which holds it to the tables and numbers its events.
"""

from typing import Any

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import RETRYABLE_TYPES, ErrorType, IllegalTransition, SagaError
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.gate import Gate, Waiting
from swit_saga_server.core.graph import graph_of
from swit_saga_server.core.model import Saga, StepState
from swit_saga_server.core.record import evolve, record
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.core.table import STEP_TRANSITIONS, TRANSITIONS
from swit_saga_server.core.units import NEVER, Instant

COORDINATOR_SERVICE = "swit-saga"


@record(frozen=True, slots=True)
class Decision:
    """What ``decide`` found.

    Attributes:
        saga: The saga after; the very same object if nothing changed.
        events: Of the transition.
        waiting: Calls whose turn has come and that the gate held back.
    """

    saga: Saga
    events: tuple[SagaEvent, ...] = ()
    waiting: tuple[Waiting, ...] = ()


class Draft:
    """What becomes of ``before``.

    Attributes:
        now: The time, by the store's clock.
        chance: A uniform random number in [0, 1), for jitter.
        started_at: When the saga was set going; when it was created, before that.
        steps: As they are by now.
        state, stop_cause: As they are by now.
    """

    __slots__ = (
        "before", "chance", "definition", "events", "gate", "graph", "header", "now", "started_at", "state", "steps",
        "steps_changed", "stop_cause", "waiting",
    )  # fmt: skip

    def __init__(self, saga: Saga, definition: Definition, now: Instant, chance: float, gate: Gate) -> None:
        self.before = saga
        self.definition = definition
        self.graph = graph_of(definition)
        self.now = now
        self.chance = chance
        self.gate = gate
        self.steps = list(saga.steps)
        self.steps_changed = False
        self.header: dict[str, Any] = {}
        self.events: list[SagaEvent] = []
        self.waiting: list[Waiting] = []
        self.started_at = saga.started_at or saga.created_at
        self.state = saga.state
        self.stop_cause = saga.stop_cause

    def decision(self) -> Decision:
        """The transition, its version one higher; or that there was none."""
        waiting = tuple(self.waiting)
        if not (self.header or self.steps_changed):
            return Decision(self.before, (), waiting)
        if self.before.quarantined:
            self.release()
        after = evolve(
            self.before,
            version=self.before.version + 1,
            updated_at=self.now,
            last_sequence=self.before.last_sequence + len(self.events),
            steps=tuple(self.steps),
            **self.header,
        )
        return Decision(after, tuple(self.events), waiting)

    @property
    def deadline(self) -> Instant:
        """When the saga as a whole times out."""
        return self.started_at + self.before.settings.timeout

    @property
    def error(self) -> SagaError | None:
        """The saga's error as it is by now."""
        found: SagaError | None = self.header.get("error") or self.before.error
        return found

    def begin(self) -> None:
        """Set the saga going: its time runs from now on."""
        self.started_at = self.header["started_at"] = self.now
        self.move(SagaState.RUNNING, EventType.SAGA_STARTED)

    def release(self) -> None:
        """The saga is healthy again."""
        self.header |= {"quarantined": 0, "quarantined_until": NEVER}

    def move(self, state: SagaState, event: EventType, **more: Any) -> None:
        """Change the saga's state.

        Raises:
            IllegalTransition: The table has no such move: a bug of the machine.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"saga {self.before.id!r}: {self.state} -> {state}", saga_id=self.before.id)
        self.record(event, previous_state=self.state, new_state=state, **more)
        self.state = state
        self.header["state"] = state

    def set_step(self, index: int, **changes: Any) -> StepState:
        """Change a step, on top of what was changed in it already.

        Raises:
            IllegalTransition: The table has no such move: a bug of the machine.
        """
        current = self.steps[index]
        status = changes.get("status", current.status)
        if status is not current.status and status not in STEP_TRANSITIONS[current.status]:
            where = f"saga {self.before.id!r} step {current.id!r}"
            raise IllegalTransition(f"{where}: {current.status} -> {status}", saga_id=self.before.id)
        self.steps[index] = after = evolve(current, **changes)
        self.steps_changed = True
        return after

    def record(self, kind: EventType, *, service: str = COORDINATOR_SERVICE, **fields: Any) -> None:
        """Add an event; it takes the next number (invariant 15)."""
        sequence = self.before.last_sequence + len(self.events) + 1
        self.events.append(SagaEvent(sequence=sequence, type=kind, at=self.now, service=service, **fields))

    def record_attempt(
        self, kind: EventType, index: int, attempt: int, max_attempts: int, becomes: StepStatus, **more: Any
    ) -> None:
        """Add an event of a step's attempt, with what the step's status becomes by it."""
        step = self.steps[index]
        moves = becomes is not step.status
        self.record(
            kind,
            step_id=step.id,
            attempt=attempt,
            max_attempts=max_attempts,
            service=self.definition.steps[index].participant,
            previous_state=step.status if moves else "",
            new_state=becomes if moves else "",
            **more,
        )

    def made_up(self, code: str, message: str, kind: ErrorType, cause: SagaError | None = None) -> SagaError:
        """An error that the coordinator itself found."""
        return SagaError(
            code=code, message=message, type=kind, retryable=kind in RETRYABLE_TYPES, timestamp=self.now, cause=cause
        )

    def open_commands(self, participant: str | None = None) -> int:
        """Commands that are open by now: all, or one participant's."""
        described, found = self.definition.steps, 0
        for step in self.steps:
            comp = step.compensation
            is_open = step.call.in_flight or (comp is not None and comp.call.in_flight)
            if is_open and (participant is None or described[step.index].participant == participant):
                found += 1
        return found
