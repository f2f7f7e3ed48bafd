"""Participants in the coordinator's own process: the same commands, the same three answers, no network."""

import asyncio
import time
import traceback
from collections.abc import Sequence
from typing import Protocol

from swit_saga.v1 import participant_service_pb2
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Unknown
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.wire import command as wire


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

    def __init__(self, participants: Sequence[LocalParticipant], deliver: Deliver) -> None:
        self._participants = {p.name: p for p in participants}
        self._deliver = deliver
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._closed = False

    @property
    def names(self) -> frozenset[str]:
        """The participants here."""
        return frozenset(self._participants)

    @property
    def in_flight(self) -> int:
        """Commands not yet answered."""
        return len(self._tasks)

    def knows(self, participant: str, action: str) -> str | None:
        """None if ``participant`` has ``action``, else what is wrong, listing the known ones."""
        actions = self._participants[participant].actions
        if action in actions:
            return None
        return f"participant {participant!r} has no action {action!r}; it has {', '.join(sorted(actions))}"

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        for command in commands:
            task = asyncio.create_task(self._call(command))
            self._tasks[task] = command.command_id
            task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def withdraw(self, command_ids: Sequence[str]) -> None:
        """Local handlers are left to end by themselves: stopping one half-way could tear its effect."""

    async def close(self) -> None:
        """Give running handlers up; what they do afterwards is found out by a resend."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, command: ParticipantCommand) -> None:
        answer = await self._answer(command)
        if not self._closed:
            self._deliver(command.saga_id, command.answered(answer))

    async def _answer(self, command: ParticipantCommand) -> Answer:
        participant = self._participants[command.participant]
        try:
            async with asyncio.timeout(command.timeout / 1e6):
                if command.kind is Kind.EXECUTE:
                    return wire.execute_answer(await participant.execute(wire.execute_request(command)))
                return wire.compensate_answer(await participant.compensate(wire.compensate_request(command)))
        except TimeoutError:
            text = f"participant {command.participant!r} did not answer within {command.timeout / 1e6:g} s"
            return Unknown(_error("DEADLINE_EXCEEDED", text, ErrorType.TIMEOUT))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            return Unknown(
                _error(type(error).__name__, text, ErrorType.SERVICE, "".join(traceback.format_exception(error)))
            )


def _error(code: str, message: str, kind: ErrorType, stack_trace: str = "") -> SagaError:
    now = Instant(time.time_ns() // 1000)
    return SagaError(code=code, message=message, type=kind, retryable=True, timestamp=now, stack_trace=stack_trace)
