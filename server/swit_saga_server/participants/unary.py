"""Participants reached by one unary call per command."""

import asyncio
from collections.abc import Callable, Sequence

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.calls import Calls
from swit_saga_server.participants.connection import CallFailed, Connection
from swit_saga_server.participants.ledger import Carrier, Ledger, Send, wall_clock
from swit_saga_server.wire import command as wire


class UnaryTransport:
    """One participant at one address."""

    def __init__(self, connection: Connection, deliver: Deliver, clock: Callable[[], Instant] = wall_clock) -> None:
        """Take the connection, which is this transport's from now on, and where the answers go.

        Args:
            connection: To the participant.
            deliver: Gets the answers.
            clock: See ``Ledger``.
        """
        self._connection = connection
        self._ledger = Ledger(deliver, address=connection.address, clock=clock)
        self._calls = calls_over(connection, self._ledger)

    @property
    def in_flight(self) -> int:
        """Commands not yet answered."""
        return self._ledger.in_flight

    def knows(self, participant: str, action: str) -> str | None:
        """Always None: nobody knows what a remote participant can do before asking it."""
        return None

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        self._calls.begin(self._ledger.enter(commands))

    def cancel(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.cancel``."""
        self._ledger.cancel(command_ids)

    async def close(self) -> None:
        """Cancel what is out; nothing more is delivered."""
        self._ledger.close()
        await self._calls.close()
        await self._connection.close()


def calls_over(connection: Connection, ledger: Ledger) -> Calls:
    """Calls of ``ParticipantService`` for sends of ``ledger``."""

    async def ask(send: Send, carrier: Carrier) -> Answer:
        command, carried = send.command, send.carried
        try:
            metadata = wire.metadata(carried)
            # What is left of its time: some of it may have gone by while it was found out that there is no stream.
            left_s = max(send.until - asyncio.get_running_loop().time(), 0.0)
            if command.kind is Kind.EXECUTE:
                request = wire.execute_request(carried)
                request.command.timeout.FromMicroseconds(round(left_s * 1e6))
                ledger.hand_over([send], carrier)
                return wire.execute_answer(await connection.execute(request, left_s, metadata))
            undo = wire.compensate_request(carried)
            undo.command.timeout.FromMicroseconds(round(left_s * 1e6))
            ledger.hand_over([send], carrier)
            return wire.compensate_answer(await connection.compensate(undo, left_s, metadata))
        except CallFailed as failed:
            return wire.status_answer(command, failed.code, failed.details, failed.stack_trace)
        except Exception as error:
            # Something on our side of the call, such as an answer that cannot be parsed: still no certain answer.
            return wire.failed_here(error)

    return Calls(ledger, ask)
