"""Participants in the coordinator's own process: the same commands, the same three answers, no network."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from swit_saga.participant.failures import is_signalled
from swit_saga.v1 import participant_service_pb2
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Unknown
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.calls import Calls
from swit_saga_server.participants.ledger import Carrier, Ledger, Send, wall_clock
from swit_saga_server.wire import command as wire
from swit_saga_server.wire.answer import AnswerReader, raised_answer


class LocalParticipant(Protocol):
    """What an in-process participant offers; ``swit_saga.Participant`` does."""

    @property
    def name(self) -> str:
        """As definitions name it."""
        ...

    @property
    def actions(self) -> frozenset[str]:
        """What it can be asked."""
        ...

    async def execute(self, request: participant_service_pb2.ExecuteRequest) -> participant_service_pb2.ExecuteResponse:
        """As the RPC. An ordinary exception means *unknown*."""
        ...

    async def compensate(
        self, request: participant_service_pb2.CompensateRequest
    ) -> participant_service_pb2.CompensateResponse:
        """As the RPC. An ordinary exception means *unknown*."""
        ...


class LocalTransport:
    """Calls participants directly, each command in a task of its own, with the command's deadline."""

    def __init__(
        self,
        participants: Sequence[LocalParticipant],
        deliver: Deliver,
        clock: Callable[[], Instant] = wall_clock,
        reader: AnswerReader | None = None,
    ) -> None:
        """``deliver`` gets the answers, which ``reader`` reads; for ``clock`` see ``Ledger``.

        Raises:
            TypeError: One of them is no participant.
            ValueError: Two have the same name: whose commands they are would be anybody's guess.
        """
        self._participants = dict[str, LocalParticipant]()
        for participant in participants:
            _check(participant)
            if participant.name in self._participants:
                raise ValueError(f"two participants are called {participant.name!r}; each needs a name of its own")
            self._participants[participant.name] = participant
        self._ledger = Ledger(deliver, late=_late, clock=clock)
        self._calls = Calls(self._ledger, self._ask)
        self._reader = reader or AnswerReader()

    @property
    def names(self) -> frozenset[str]:
        """The participants here."""
        return frozenset(self._participants)

    @property
    def in_flight(self) -> int:
        """Commands not yet answered."""
        return self._ledger.in_flight

    def knows(self, participant: str, action: str) -> str | None:
        """None if ``participant`` has ``action``, else what is wrong, listing the known ones."""
        actions = self._participants[participant].actions
        if action in actions:
            return None
        return f"participant {participant!r} has no action {action!r}; it has {', '.join(sorted(actions))}"

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        self._calls.begin(self._ledger.enter(commands))

    def cancel(self, command_ids: Sequence[str]) -> None:
        """Local handlers are left to end by themselves: stopping one half-way could tear its effect."""

    async def close(self) -> None:
        """Give running handlers up; what they do afterwards is found out by a resend."""
        self._ledger.close()
        await self._calls.close()

    async def _ask(self, send: Send, carrier: Carrier) -> Answer:
        command = send.command
        participant = self._participants[command.participant]
        try:
            if command.kind is Kind.EXECUTE:
                request = wire.execute_request(command)
                self._ledger.hand_over([send], carrier)
                return self._reader.execute(await participant.execute(request))
            undo = wire.compensate_request(command)
            self._ledger.hand_over([send], carrier)
            return self._reader.compensate(await participant.compensate(undo))
        except BaseException as error:
            if is_signalled(error) or (isinstance(error, asyncio.CancelledError) and _is_called_off()):
                raise
            # Whatever a participant of one's own raises: it ends neither the event loop nor this command's wait.
            return raised_answer(error)

    @property
    def describing(self) -> frozenset[str]:
        """The participants that say which of their actions can be undone."""
        return frozenset(name for name, participant in self._participants.items() if hasattr(participant, "handlers"))

    def offered(self, participant: str) -> Mapping[str, bool]:
        """The actions of one that says so, as they are now, and whether each can be undone."""
        handlers: Mapping[str, Any] = getattr(self._participants[participant], "handlers", {})
        return {action: handler.undo is not None for action, handler in handlers.items()}


def _check(given: Any) -> None:
    called = [callable(getattr(given, name, None)) for name in ("execute", "compensate")]
    if isinstance(given, type) or not all(called) or not isinstance(getattr(given, "name", None), str):
        what = given.__name__ if isinstance(given, type) else f"a {type(given).__name__}"
        raise TypeError(f"{what} is no participant; participants are a list of swit_saga.Participant(NAME)")


def _is_called_off() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _late(command: ParticipantCommand) -> Unknown:
    text = f"participant {command.participant!r} did not answer within {command.timeout / 1e6:g} s"
    return Unknown(SagaError(code="DEADLINE_EXCEEDED", message=text, type=ErrorType.TIMEOUT, retryable=True))
