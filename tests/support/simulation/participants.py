"""Participants that do as their scripts say, keep books, and are idempotent by key. Their clocks are a little off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from swit_saga.v1.command_pb2 import CommandContext, Completed, Rejected
from swit_saga.v1.error_pb2 import ERROR_TYPE_BUSINESS, ERROR_TYPE_SERVICE, SagaError
from swit_saga.v1.participant_service_pb2 import CompensateRequest, CompensateResponse, ExecuteRequest, ExecuteResponse
from swit_saga.v1.payload_pb2 import Payload
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.units import MILLISECOND, SECOND, Instant, Span
from tests.support.simulation.manners import Manner, certainty, in_manner
from tests.support.simulation.observed import Effect, Received, Said
from tests.support.simulation.receiver import Reply, Request
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
        manner: How it says what became of it.
    """

    execute: Doing = Doing.COMPLETES
    times: int = 1
    with_effect: bool = False
    compensate: Undoing = Undoing.COMPLETES
    undo_times: int = 1
    work: Span = 20 * MILLISECOND
    manner: Manner = Manner.PLAIN


ALL_WELL = Script()


class Participant:
    """One participant's service; see ``Receiver``. An effect happens at one moment, a while after its command."""

    def __init__(
        self,
        scene: Scene,
        name: str,
        *,
        barrier: bool,
        skew: Span,
        scripts: Mapping[tuple[str, str], Script],
        is_streamed: bool,
        serves_from: Span,
        credits: int,
    ) -> None:
        """Empty books.

        Args:
            scene: The stage.
            name: As definitions name it.
            barrier: It remembers what was undone, and refuses an Execute that comes after.
            skew: Its clock minus true time.
            scripts: By saga id and step id.
            is_streamed: See ``Receiver``.
            serves_from: See ``Receiver``.
            credits: See ``Receiver``.
        """
        self.name = name
        self.is_streamed = is_streamed
        self.serves_from = serves_from
        self.credits = credits
        self._scene = scene
        self._barrier = barrier
        self._skew = skew
        self._scripts = scripts
        self._done: set[str] = set()
        self._undone: set[str] = set()
        self._arrivals: dict[str, int] = {}

    def receive(self, request: Request, copy: int, reply: Callable[[Reply], None]) -> None:
        """See ``Receiver``."""
        c = request.command
        undo = request if isinstance(request, CompensateRequest) else None
        self._scene.saw(
            Received(
                at=self._scene.now(), participant=self.name, kind=Kind.COMPENSATE if undo else Kind.EXECUTE,
                saga_id=c.saga_id, step_index=c.step_index, step_id=c.step_id, attempt=c.attempt, resend=c.resend,
                key=c.idempotency_key, execute_key=undo.execute_idempotency_key if undo else "",
                epoch=c.ownership_epoch, not_after=Instant(c.not_after.ToMicroseconds()), copy=copy,
            )
        )  # fmt: skip
        self._arrivals[c.idempotency_key] = arrival = self._arrivals.get(c.idempotency_key, 0) + 1
        script = self._scripts.get((c.saga_id, c.step_id), ALL_WELL)
        work, *_ = self._scene.rolls("work", c.idempotency_key, arrival)
        self._scene.later(work * script.work, self._act, request, script, arrival, reply)

    def _act(self, request: Request, script: Script, arrival: int, reply: Callable[[Reply], None]) -> None:
        answer: Reply
        if isinstance(request, ExecuteRequest):
            kind, answer = Kind.EXECUTE, self._execute(request.command, script, arrival)
        else:
            kind, answer = Kind.COMPENSATE, self._compensate(request, script, arrival)
        if answer is not None:
            rolls = self._scene.rolls("manner", request.command.idempotency_key, arrival)
            plain, answer = answer, in_manner(script.manner, answer, arrival, rolls)
            if answer is not plain:
                self._scene.note(f"answer in a manner: {script.manner}", request.command.idempotency_key)
            said = certainty(kind is Kind.COMPENSATE, answer)
            self._scene.saw(
                Said(
                    at=self._scene.now(), participant=self.name, kind=kind, saga_id=request.command.saga_id,
                    step_index=request.command.step_index, attempt=request.command.attempt, answer=said,
                )
            )  # fmt: skip
        reply(answer)

    def _execute(self, c: CommandContext, script: Script, arrival: int) -> ExecuteResponse | SagaError | None:
        key = c.idempotency_key
        if self._barrier and key in self._undone:
            return ExecuteResponse(rejected=_rejected("ALREADY_COMPENSATED"))
        if self._is_late(c):
            return _failed("DEADLINE_EXCEEDED", "too late")
        match script.execute:
            case Doing.REJECTS:
                return ExecuteResponse(rejected=_rejected("OUT_OF_STOCK"))
            case Doing.LAST_ITEM:
                if key in self._done or key in self._undone:
                    return ExecuteResponse(rejected=_rejected("OUT_OF_STOCK"))
                self._book(c, key)
                return None
            case Doing.FAILS | Doing.HANGS if arrival <= script.times:
                if script.with_effect:
                    self._book(c, key)
                return _failed("UNKNOWN", "broken") if script.execute is Doing.FAILS else None
        self._book(c, key)
        return ExecuteResponse(completed=Completed(output=Payload(content_type="text/plain", text=f"{key} done")))

    def _compensate(self, request: CompensateRequest, script: Script, arrival: int) -> CompensateResponse | SagaError:
        c, execute_key = request.command, request.execute_idempotency_key
        if self._is_late(c):
            return _failed("DEADLINE_EXCEEDED", "too late")
        if script.compensate is Undoing.REJECTS:
            return CompensateResponse(rejected=_rejected("CANNOT_UNDO"))
        if script.compensate is Undoing.FAILS and arrival <= script.undo_times:
            return _failed("UNKNOWN", "broken")
        self._undone.add(execute_key)
        if execute_key in self._done:
            self._done.discard(execute_key)
            self._change(c, -1)
        return CompensateResponse(completed=Completed())

    def _book(self, c: CommandContext, key: str) -> None:
        if key not in self._done:
            self._done.add(key)
            self._change(c, +1)

    def _change(self, c: CommandContext, change: int) -> None:
        self._scene.saw(
            Effect(
                at=self._scene.now(), participant=self.name, saga_id=c.saga_id, step_index=c.step_index,
                step_id=c.step_id, change=change, barrier=self._barrier,
            )
        )  # fmt: skip

    def _is_late(self, c: CommandContext) -> bool:
        return self._scene.now() + self._skew > c.not_after.ToMicroseconds()


def _rejected(code: str) -> Rejected:
    return Rejected(error=SagaError(code=code, message="simulated", type=ERROR_TYPE_BUSINESS))


def _failed(code: str, message: str) -> SagaError:
    return SagaError(code=code, message=message, type=ERROR_TYPE_SERVICE, retryable=True)


MAX_SKEW: Span = SECOND // 2
"""Of a participant's clock, either way; with the store's steps it must stay within ``SKEW_ALLOWANCE``."""
