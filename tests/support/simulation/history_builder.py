"""Histories made by hand, for tests of what reads histories: one saga of two steps, step by step.

Every method tells what a coordinator, a client or a participant that does its work well would have shown;
what a test wants to be wrong, it overrides.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Call, CompensationState, Saga, StepState
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.retry import Jitter, RetryPolicy
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState, StepStatus, StopCause
from swit_saga_server.core.units import MILLISECOND, NEVER, NO_TIME, SECOND, Instant, Span
from swit_saga_server.store.contract import InboxAnswer, Verdict, Write
from tests.support.simulation.case import Expected
from tests.support.simulation.observed import (
    Answered,
    Asked,
    Committed,
    Leased,
    Observation,
    Posted,
    Received,
    Refused,
    Remains,
    Replied,
    Rewound,
    Said,
    Unanswered,
    Waited,
    Watched,
    WatchOver,
)
from tests.support.simulation.observed import Effect as BookEntry

ID = "s0"
POLICY = RetryPolicy(max_attempts=2, jitter=Jitter.NONE)
PLAIN, BARRIER = "plain", "barrier"
DEFINITION = Definition(
    id="d",
    steps=(
        StepDefinition(id="t0", participant=PLAIN),
        StepDefinition(id="t1", participant=BARRIER),
    ),
    retry_policy=POLICY,
    compensation_retry_policy=POLICY,
)
WITHOUT_UNDO = replace(
    DEFINITION,
    steps=(replace(DEFINITION.steps[0], compensation=CompensationDefinition(disabled=True)), DEFINITION.steps[1]),
)
ERROR = SagaError(code="NO", message="no", type=ErrorType.BUSINESS)
PATIENCE = SECOND

E = tuple[str, dict[str, Any]]
"""An event: its type, and what else is not obvious."""


class HistoryBuilder:
    """One history in the making.

    Attributes:
        seen: The observations so far.
        saga: As stored; None before its creation.
        at: Now.
    """

    def __init__(self, definition: Definition = DEFINITION) -> None:
        self.definition = definition
        self.expected = Expected(definitions={ID: definition}, partitions=1, barriers=frozenset({BARRIER}))
        self.seen: list[Observation] = []
        self.saga: Saga | None = None
        self.events: tuple[SagaEvent, ...] = ()
        self.at = Instant(1_000 * SECOND)
        self.epoch = 0
        self.calls = 0
        self.writes = 0
        self.due_at = NEVER
        self.in_flight = False

    def see(self, kind: type[Any], /, **what: Any) -> None:
        """A millisecond later, this is seen."""
        self.at += MILLISECOND
        self.seen.append(kind(at=self.at, **what))

    @property
    def now(self) -> Saga:
        """The saga as stored."""
        assert self.saga is not None
        return self.saga

    # ---- the store -----------------------------------------------------------------------------------------------

    def lease(self, **other: Any) -> None:
        """A coordinator gets the partition."""
        self.epoch += 1
        self.see(Leased, **{"partition": 0, "owner": "c0", "epoch": self.epoch, "nonce": f"n{len(self.seen)}"} | other)

    def holder(self) -> tuple[int, str]:
        """Epoch and nonce of the latest lease."""
        return next((s.epoch, s.nonce) for s in reversed(self.seen) if isinstance(s, Leased))

    def create(self, variant: str = "a", **other: Any) -> None:
        """A saga is created, pending, without a lease."""
        new = Saga(
            id=ID, version=1, definition_id="d", definition_version=1, definition_digest="x", fingerprint=variant,
            initial_data=Payload("text/plain", variant), created_at=self.at, updated_at=self.at,
            steps=tuple(StepState(id=s.id, index=i) for i, s in enumerate(self.definition.steps)),
        )  # fmt: skip
        self._commit(
            new,
            (),
            {"base_version": 0, "changed_steps": (0, 1)},
            {"is_create": True, "epoch": 0, "nonce": ""} | other,
        )

    def write(
        self,
        *events: E,
        steps: Mapping[int, Mapping[str, Any]] | None = None,
        wrote: Mapping[str, Any] | None = None,
        judged: Mapping[str, Any] | None = None,
        **header: Any,
    ) -> None:
        """A transition is committed.

        Args:
            events: Its events; ``to`` is the new state, the previous one is looked up.
            steps: What changes in which steps.
            wrote: What else the write says.
            judged: What else was seen of it.
            header: What changes in the saga itself.
        """
        before = self.now
        changed = dict(steps or {})
        numbered: list[SagaEvent] = []
        for kind, more in events:
            more = dict(more)
            to = more.pop("to", "")
            index = next((i for i, s in enumerate(before.steps) if s.id == more.get("step_id")), None)
            was = before.state if index is None else before.steps[index].status
            state = {"previous_state": str(was), "new_state": to} if to else {}
            numbered.append(
                SagaEvent(sequence=before.last_sequence + len(numbered) + 1, type=kind, at=self.at, **(state | more))
            )
        usual: dict[str, Any] = {
            "version": before.version + 1,
            "updated_at": self.at,
            "last_sequence": before.last_sequence + len(numbered),
            "steps": tuple(replace(s, **changed.get(s.index, {})) for s in before.steps),
        }
        after = replace(before, **usual | header)
        self._commit(
            after,
            tuple(numbered),
            {"base_version": before.version, "changed_steps": tuple(changed)} | dict(wrote or {}),
            dict(judged or {}),
        )

    def _commit(
        self, after: Saga, events: tuple[SagaEvent, ...], wrote: dict[str, Any], judged: dict[str, Any]
    ) -> None:
        self.writes += 1
        out = any(s.call.in_flight or (s.compensation and s.compensation.call.in_flight) for s in after.steps)
        usual: dict[str, Any] = {
            "saga": after, "commit_id": f"w{self.writes}", "events": events, "in_flight": out,
            "due_at": NEVER if after.state.is_terminal else self.at + SECOND,
        }  # fmt: skip
        write = Write(**usual | wrote)
        epoch, nonce = (0, "") if judged.get("is_create") else self.holder()
        seen = {
            "write": write, "verdict": Verdict.APPLIED, "before": self.saga, "partition": 0, "epoch": epoch,
            "nonce": nonce,
        } | judged  # fmt: skip
        self.see(Committed, **seen)
        if seen["verdict"] is Verdict.APPLIED:
            self.saga, self.events = write.saga, self.events + write.events
            self.due_at, self.in_flight = write.due_at, write.in_flight

    def rewind(self, to: int, saga: Saga | None, events: int = 0) -> None:
        """The store goes back to what it held at ``to``: ``saga``, with so many events."""
        self.saga, self.events = saga, self.events[:events]
        self.see(Rewound, to=to)

    def remain(self, **other: Any) -> None:
        """The end: what is stored remains."""
        self.see(
            Remains,
            **{"saga": self.now, "events": self.events, "due_at": self.due_at, "in_flight": self.in_flight} | other,
        )

    # ---- clients -------------------------------------------------------------------------------------------------

    def ask(self, what: str, variant: str = "", **other: Any) -> int:
        """A client calls."""
        self.calls += 1
        self.see(Asked, call=self.calls, what=what, saga_id=ID, coordinator="c0", variant=variant, **other)
        return self.calls

    def answer(self, call: int, **other: Any) -> None:
        """It is answered with what is stored."""
        self.see(Answered, **{"call": call, "saga": self.saga} | other)

    def wait(self, *states: SagaState, patience: Span = NO_TIME, **other: Any) -> None:
        """A client waits, and is shown at once what is stored; ``other`` is what differs in that."""
        call = self.ask("wait", states=states, patience=patience)
        there = self.now.state in states if states else self.now.state.is_terminal
        self.see(Waited, **{"call": call, "saga": self.saga, "done": there} | other)

    def refuse(self, call: int, reason: str) -> None:
        """It is refused."""
        self.see(Refused, call=call, reason=reason)

    def lose(self, call: int) -> None:
        """It is not answered."""
        self.see(Unanswered, call=call)

    def watch(self, *sequences: int, watcher: int = 1) -> None:
        """A watcher gets these events, as stored."""
        for sequence in sequences:
            kind = self.events[sequence - 1].type
            self.see(Watched, watcher=watcher, saga_id=ID, sequence=sequence, type=kind)

    def watched(self, watcher: int = 1) -> None:
        """Its stream ends well."""
        self.see(WatchOver, watcher=watcher, saga_id=ID)

    def post(self, entry_id: str = "e1") -> tuple[InboxAnswer, ...]:
        """An entry comes into the inbox; what a write that consumes it holds."""
        self.see(Posted, entry_id=entry_id, saga_id=ID)
        return (InboxAnswer(entry_id=entry_id, answer=b"ok"),)

    def reply(self, *entry_ids: str, **other: Any) -> None:
        """The store judges answers to entries that changed nothing."""
        epoch, nonce = self.holder()
        usual = {
            "saga_id": ID, "base_version": self.saga.version if self.saga else 0, "entry_ids": entry_ids,
            "verdict": Verdict.APPLIED, "partition": 0, "epoch": epoch, "nonce": nonce,
        }  # fmt: skip
        self.see(Replied, **usual | other)

    def start(self) -> None:
        """A saga is started, and the client knows."""
        self.lease()
        call = self.ask("start", "a")
        self.create()
        self.answer(call, created=True)

    # ---- one step ------------------------------------------------------------------------------------------------

    def intended(self, index: int, **other: Any) -> dict[str, Any]:
        """The step with its next attempt on its way."""
        step = self.now.steps[index]
        call = replace(
            step.call,
            **{
                "generation": 1, "attempts": step.call.attempts + 1, "sends": step.call.sends + 1, "in_flight": True,
                "not_after": self.at + PATIENCE, "retry_at": NEVER,
                "started_at": step.call.started_at or self.at, "last_attempt_at": self.at,
            }
            | other,
        )  # fmt: skip
        effect = Effect.MAYBE if step.effect is Effect.NONE else step.effect
        return {"status": StepStatus.RUNNING, "effect": effect, "call": call}

    def settled(self, index: int, **other: Any) -> Call:
        """Its call, answered."""
        return replace(self.now.steps[index].call, **{"in_flight": False, "retry_at": NEVER} | other)

    def done(self, index: int) -> dict[str, Any]:
        """The step with its success on record."""
        return {"status": StepStatus.COMPLETED, "effect": Effect.DONE, "call": self.settled(index)}

    def undoing(self, index: int, **other: Any) -> dict[str, Any]:
        """The step with its first Compensate on its way."""
        call = Call(
            generation=1,
            attempts=1,
            sends=1,
            in_flight=True,
            started_at=self.at,
            last_attempt_at=self.at,
            not_after=self.at + SECOND,
        )
        comp = CompensationState(status=CompensationStatus.RUNNING, call=call)
        return {"status": StepStatus.COMPENSATING, "compensation": replace(comp, **other)}

    def undone(self, index: int, **other: Any) -> dict[str, Any]:
        """The step with its compensation confirmed."""
        comp = self.now.steps[index].compensation
        assert comp is not None
        usual: dict[str, Any] = {
            "status": CompensationStatus.COMPLETED,
            "call": replace(comp.call, in_flight=False),
        }
        return {
            "status": StepStatus.COMPENSATED,
            "compensation": replace(comp, **usual | other),
        }

    # ---- participants --------------------------------------------------------------------------------------------

    def receive(self, index: int, kind: Kind = Kind.EXECUTE, **other: Any) -> None:
        """The command that is on its way arrives."""
        step = self.now.steps[index]
        call = step.call if kind is Kind.EXECUTE else step.compensation.call if step.compensation else Call()
        own = f"{ID}/{step.id}"
        keys = (own, "") if kind is Kind.EXECUTE else (f"{own}/compensate", own)
        self.see(
            Received,
            **{
                "participant": self.definition.steps[index].participant, "kind": kind, "saga_id": ID,
                "step_index": index, "step_id": step.id, "attempt": call.attempts, "resend": call.resends,
                "key": keys[0], "execute_key": keys[1], "epoch": self.holder()[0], "not_after": call.not_after,
            }
            | other,
        )  # fmt: skip

    def book(self, index: int, change: int) -> None:
        """A participant's books change."""
        name = self.definition.steps[index].participant
        self.see(
            BookEntry, participant=name, saga_id=ID, step_index=index, step_id=f"t{index}", change=change,
            barrier=name == BARRIER,
        )  # fmt: skip

    def say(self, index: int, answer: str, kind: Kind = Kind.EXECUTE, attempt: int = 1) -> None:
        """A participant answers."""
        name = self.definition.steps[index].participant
        self.see(
            Said, participant=name, kind=kind, saga_id=ID, step_index=index, attempt=attempt, answer=answer
        )  # fmt: skip

    def execute(self, index: int, attempt: int = 1) -> None:
        """The Execute arrives, takes effect and is answered."""
        self.receive(index)
        self.book(index, +1)
        self.say(index, "completed", attempt=attempt)

    def reject(self, index: int, attempt: int = 1) -> None:
        """The Execute arrives and is rejected."""
        self.receive(index)
        self.say(index, "rejected", attempt=attempt)

    def compensate(self, index: int, *, had: bool = True) -> None:
        """The Compensate arrives, undoes what there is and is answered."""
        self.receive(index, Kind.COMPENSATE)
        if had:
            self.book(index, -1)
        self.say(index, "completed", Kind.COMPENSATE)

    # ---- whole stretches -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Started, and its first step on its way."""
        self.start()
        self.write(
            ("saga.started", {"to": "running"}),
            ("saga.step.started", {"step_id": "t0", "to": "running"}),
            steps={0: self.intended(0)},
            state=SagaState.RUNNING,
        )

    def first_done(self) -> None:
        """Its first step done, its second on its way."""
        self.begin()
        self.execute(0)
        self.on_to_second()

    def on_to_second(self, **other: Any) -> None:
        """The first step's success is committed, with the second's intent."""
        self.write(
            ("saga.step.completed", {"step_id": "t0", "to": "completed"}),
            ("saga.step.started", {"step_id": "t1", "to": "running"}),
            **{"steps": {0: self.done(0), 1: self.intended(1)}} | other,
        )

    def complete(self, **other: Any) -> None:
        """The second step's success completes the saga."""
        self.write(
            ("saga.step.completed", {"step_id": "t1", "to": "completed"}),
            ("saga.completed", {"to": "completed"}),
            **{"steps": {1: self.done(1)}, "state": SagaState.COMPLETED} | other,
        )

    def fail_second(self, **other: Any) -> None:
        """The second step's rejection is committed, and the first's undoing with it."""
        step = {"status": StepStatus.FAILED, "effect": Effect.NONE, "call": self.settled(1)}
        usual: dict[str, Any] = {
            "steps": {1: step, 0: self.undoing(0)},
            "state": SagaState.COMPENSATING,
            "stop_cause": StopCause.FAILURE,
            "error": ERROR,
        }
        self.write(
            ("saga.step.failed", {"step_id": "t1", "to": "failed"}),
            ("compensation.started", {"to": "compensating"}),
            ("compensation.step.started", {"step_id": "t0", "to": "compensating"}),
            **usual | other,
        )

    def end_compensated(self, **other: Any) -> None:
        """The first step is undone, and that ends it."""
        self.write(
            ("compensation.step.completed", {"step_id": "t0", "to": "compensated"}),
            ("compensation.completed", {"to": "compensated"}),
            **{"steps": {0: self.undone(0)}, "state": SagaState.COMPENSATED} | other,
        )

    def completed(self) -> None:
        """A whole saga that goes well, but for what remains."""
        self.first_done()
        self.execute(1)
        self.complete()

    def second_rejected(self) -> None:
        """Up to the second step's rejection, which is not yet on record."""
        self.first_done()
        self.reject(1)

    def compensated(self) -> None:
        """A whole saga whose second step is rejected and first one undone, but for what remains."""
        self.second_rejected()
        self.fail_second()
        self.compensate(0)
        self.end_compensated()

    def cancel_pending(self, **other: Any) -> None:
        """A pending saga is cancelled, and that ends it."""
        usual: dict[str, Any] = {"state": SagaState.CANCELLED, "stop_cause": StopCause.CANCEL, "error": ERROR}
        self.write(("saga.cancelled", {"to": "cancelled"}), **usual | other)
