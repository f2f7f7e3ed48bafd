"""A saga driven by hand, every transition checked."""

from dataclasses import dataclass, field

from swit_saga_server.core import agenda, machine
from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition
from swit_saga_server.core.effects import Command, effects
from swit_saga_server.core.errors import ErrorType, IllegalTransition, SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.inputs import Answer, Answered, Cancel, Completed, Input, Rejected, TakenOver, Unknown, Wake
from swit_saga_server.core.model import Saga, Settings, TraceContext
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.start import StartRequest, new_saga
from swit_saga_server.core.units import MILLISECOND, MINUTE, NO_TIME, SECOND, Instant, Span
from tests.support.invariants import Transition, Violated, check_transition

T0 = Instant(1_700_000_000 * SECOND)
RETRY = RetryPolicy(backoff=Backoff.FIXED, initial_delay=SECOND, max_delay=SECOND, max_attempts=3, jitter=Jitter.NONE)
SETTINGS = Settings(timeout=10 * MINUTE, step_timeout=10 * SECOND, retry_policy=RETRY, compensation_retry_policy=RETRY)
NO_UNDO = CompensationDefinition(disabled=True)


def chain(*ids: str, **changes: object) -> Definition:
    return Definition(id="d", steps=tuple(StepDefinition(id=i, participant="p", **changes) for i in ids))  # type: ignore[arg-type]


def done(text: str = "x") -> Completed:
    return Completed(Payload("text/plain", text))


def unusable(code: str = "OUTPUT_INVALID") -> Completed:
    """Done, and what it returned cannot be used; as wrong about retries as a participant can be."""
    return Completed(error=SagaError(code=code, message="too large", type=ErrorType.NETWORK, retryable=True))


def no(code: str = "NO") -> Rejected:
    return Rejected(SagaError(code=code, message="no", type=ErrorType.BUSINESS))


def lost(retryable: bool = True) -> Unknown:
    return Unknown(SagaError(code="UNAVAILABLE", message="gone", type=ErrorType.NETWORK, retryable=retryable))


def sent(attempt: int, send: int = 0) -> SendId:
    """A send of this attempt: the first one, unless said."""
    return SendId(1, attempt, send or attempt)


@dataclass
class Driven:
    """One saga, its definition and the time."""

    definition: Definition
    request: StartRequest = field(default_factory=StartRequest)
    settings: Settings = SETTINGS
    now: Instant = T0
    events: list[SagaEvent] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    checked: bool = True

    def __post_init__(self) -> None:
        self.saga: Saga = new_saga(
            self.request, self.definition, saga_id="s", version=1, digest="d", fingerprint="f",
            defaults=self.settings, trace=TraceContext(), source="test", now=self.now,
        )  # fmt: skip

    def give(self, given: Input, after: Span = NO_TIME) -> "Driven":
        self.now += after
        before = self.saga
        try:
            decision = machine.decide(before, self.definition, given, self.now, 0.5)
        except IllegalTransition as bug:
            raise Violated(f"invariant 3: {bug}") from bug
        self.saga = decision.saga
        self.events += decision.events
        self.commands += [e for e in effects(before, self.saga) if isinstance(e, Command)]
        if self.checked:
            due = agenda.due_at(self.saga)
            check_transition(Transition(given, before, self.saga, decision.events, due), self.definition)
        return self

    def start(self) -> "Driven":
        return self.give(Wake())

    def wake(self) -> "Driven":
        """Let time pass until the saga is due."""
        self.now = max(self.now, agenda.due_at(self.saga))
        return self.give(Wake())

    def ran(self, index: int, answer: Answer, attempt: int | None = None) -> "Driven":
        number = attempt or self.saga.steps[index].call.attempts
        return self.give(Answered(Kind.EXECUTE, index, sent(number), answer), MILLISECOND)

    def undid(self, index: int, answer: Answer | None = None, attempt: int | None = None) -> "Driven":
        comp = self.saga.steps[index].compensation
        number = attempt or (comp.call.attempts if comp else 1)
        return self.give(Answered(Kind.COMPENSATE, index, sent(number), answer or Completed()), MILLISECOND)

    def cancel(self) -> "Driven":
        return self.give(Cancel("enough"), MILLISECOND)

    def taken_over(self, after: Span = MILLISECOND) -> "Driven":
        return self.give(TakenOver(), after)

    @property
    def types(self) -> list[str]:
        return [f"{e.type} {e.step_id}".strip() for e in self.events]
