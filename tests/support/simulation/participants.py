"""Participants that do as their scripts say, keep books, and are idempotent by key. Their clocks are a little off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Completed, Rejected, Unknown
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.units import MILLISECOND, SECOND, Span
from swit_saga_server.engine.commands import ParticipantCommand
from tests.support.simulation.observed import Effect, Received, Said
from tests.support.simulation.scene import Scene


class Doing(StrEnum):
    """How a participant takes an Execute."""

    COMPLETES = "completes"
    REJECTS = "rejects"
    LAST_ITEM = "last_item"
    """The first one takes the last item and its reply is lost; all later ones find nothing left and are rejected."""
    FAILS = "fails"
    """The first few end in an exception."""
    HANGS = "hangs"
    """The first few are never answered."""


class Undoing(StrEnum):
    """How a participant takes a Compensate."""

    COMPLETES = "completes"
    REJECTS = "rejects"
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a participant does for one step of one saga.

    Attributes:
        times: How many Executes fail or hang before one goes well.
        with_effect: Those take effect all the same.
        undo_times: How many Compensates fail before one goes well.
        work: How long it takes from arrival to effect, at most.
    """

    execute: Doing = Doing.COMPLETES
    times: int = 1
    with_effect: bool = False
    compensate: Undoing = Undoing.COMPLETES
    undo_times: int = 1
    work: Span = 20 * MILLISECOND


ALL_WELL = Script()


class Participant:
    """One participant's service. An effect happens at one moment, some time after its command arrived."""

    def __init__(
        self, scene: Scene, name: str, *, barrier: bool, skew: Span, scripts: Mapping[tuple[str, str], Script]
    ) -> None:
        """Empty books.

        Args:
            scene: The stage.
            name: As definitions name it.
            barrier: It remembers what was undone, and refuses an Execute that comes after.
            skew: Its clock minus true time.
            scripts: By saga id and step id.
        """
        self._scene = scene
        self._name = name
        self._barrier = barrier
        self._skew = skew
        self._scripts = scripts
        self._done: set[str] = set()
        self._undone: set[str] = set()
        self._arrivals: dict[str, int] = {}

    def receive(self, command: ParticipantCommand, copy: int, reply: Callable[[Answer | None], None]) -> None:
        """See ``network.Receiver``."""
        c = command
        self._scene.saw(
            Received(
                at=self._scene.now(), participant=self._name, kind=c.kind, saga_id=c.saga_id, step_index=c.step_index,
                step_id=c.step_id, attempt=c.attempt, resend=c.resends, key=c.idempotency_key,
                execute_key=c.execute_key, epoch=c.epoch, not_after=c.not_after,
            )
        )  # fmt: skip
        self._arrivals[c.idempotency_key] = arrival = self._arrivals.get(c.idempotency_key, 0) + 1
        script = self._scripts.get((c.saga_id, c.step_id), ALL_WELL)
        work, *_ = self._scene.rolls("work", c.idempotency_key, arrival)
        self._scene.later(work * script.work, self._act, c, script, arrival, reply)

    def _act(self, c: ParticipantCommand, script: Script, arrival: int, reply: Callable[[Answer | None], None]) -> None:
        if c.kind is Kind.EXECUTE:
            answer = self._execute(c, script, arrival)
        else:
            answer = self._compensate(c, script, arrival)
        if answer is not None:
            said = {Completed: "completed", Rejected: "rejected", Unknown: "failed"}[type(answer)]
            self._scene.saw(
                Said(
                    at=self._scene.now(), participant=self._name, kind=c.kind, saga_id=c.saga_id,
                    step_index=c.step_index, attempt=c.attempt, answer=said,
                )
            )  # fmt: skip
        reply(answer)

    def _execute(self, c: ParticipantCommand, script: Script, arrival: int) -> Answer | None:
        key = c.idempotency_key
        if self._barrier and key in self._undone:
            return _rejected("ALREADY_COMPENSATED")
        if self._is_late(c):
            return _failed("TOO_LATE")
        match script.execute:
            case Doing.REJECTS:
                return _rejected("OUT_OF_STOCK")
            case Doing.LAST_ITEM:
                if key in self._done or key in self._undone:
                    return _rejected("OUT_OF_STOCK")
                self._book(c, key)
                return None
            case Doing.FAILS | Doing.HANGS if arrival <= script.times:
                if script.with_effect:
                    self._book(c, key)
                return _failed("BROKEN") if script.execute is Doing.FAILS else None
        self._book(c, key)
        return Completed(Payload("text/plain", f"{key} done"))

    def _compensate(self, c: ParticipantCommand, script: Script, arrival: int) -> Answer:
        if self._is_late(c):
            return _failed("TOO_LATE")
        if script.compensate is Undoing.REJECTS:
            return _rejected("CANNOT_UNDO")
        if script.compensate is Undoing.FAILS and arrival <= script.undo_times:
            return _failed("BROKEN")
        self._undone.add(c.execute_key)
        if c.execute_key in self._done:
            self._done.discard(c.execute_key)
            self._change(c, -1)
        return Completed()

    def _book(self, c: ParticipantCommand, key: str) -> None:
        if key not in self._done:
            self._done.add(key)
            self._change(c, +1)

    def _change(self, c: ParticipantCommand, change: int) -> None:
        self._scene.saw(
            Effect(
                at=self._scene.now(), participant=self._name, saga_id=c.saga_id, step_index=c.step_index,
                step_id=c.step_id, change=change, barrier=self._barrier,
            )
        )  # fmt: skip

    def _is_late(self, c: ParticipantCommand) -> bool:
        return self._scene.now() + self._skew > c.not_after


def _error(code: str, kind: ErrorType) -> SagaError:
    return SagaError(code=code, message="simulated", type=kind, retryable=kind is ErrorType.SERVICE)


def _rejected(code: str) -> Rejected:
    return Rejected(_error(code, ErrorType.BUSINESS))


def _failed(code: str) -> Unknown:
    return Unknown(_error(code, ErrorType.SERVICE))


MAX_SKEW: Span = SECOND // 2
"""Of a participant's clock, either way; with the store's steps it must stay within ``SKEW_ALLOWANCE``."""
