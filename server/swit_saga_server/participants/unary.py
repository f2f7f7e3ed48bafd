"""Participants reached by one unary call per command."""

import asyncio
from collections.abc import Callable, Sequence

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.calls import Calls
from swit_saga_server.participants.connection import CallFailed, Connection, nobody_asks
from swit_saga_server.participants.ledger import Carrier, Ledger, Send, wall_clock
from swit_saga_server.wire import command as wire
from swit_saga_server.wire.answer import AnswerReader, failed_here, status_answer, with_advice


class UnaryTransport:
    """One participant at one address."""

    def __init__(
        self,
        connection: Connection,
        deliver: Deliver,
        clock: Callable[[], Instant] = wall_clock,
        reader: AnswerReader | None = None,
        reached: Callable[[], None] = nobody_asks,
    ) -> None:
        """Take the connection, which is this transport's from now on, and where the answers go.

        Args:
            connection: To the participant.
            deliver: Gets the answers.
            clock: See ``Ledger``.
            reader: Reads them.
            reached: Called with the first command.
        """
        self._connection = connection
        self._reached: Callable[[], None] | None = reached
        self._ledger = Ledger(deliver, address=connection.address, clock=clock)
        self._calls = calls_over(connection, self._ledger, reader or AnswerReader())

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
        if (reached := self._reached) is not None:
            self._reached = None
            reached()

    def cancel(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.cancel``."""
        self._ledger.cancel(command_ids)

    async def close(self) -> None:
        """Cancel what is out; nothing more is delivered."""
        self._ledger.close()
        await self._calls.close()
        await self._connection.close()


def calls_over(connection: Connection, ledger: Ledger, reader: AnswerReader) -> Calls:
    """Calls of ``ParticipantService`` for sends of ``ledger``, whose answers ``reader`` reads."""

    async def ask(send: Send, carrier: Carrier) -> Answer:
        command, carried, size = send.command, send.carried, 0
        try:
            metadata = wire.metadata(carried)
            # What is left of its time: some of it may have gone by while it was found out that there is no stream.
            left_s = max(send.until - asyncio.get_running_loop().time(), 0.0)
            if command.kind is Kind.EXECUTE:
                request = wire.execute_request(carried)
                request.command.timeout.FromMicroseconds(round(left_s * 1e6))
                size = request.ByteSize()
                ledger.hand_over([send], carrier)
                return reader.execute(await connection.execute(request, left_s, metadata))
            undo = wire.compensate_request(carried)
            undo.command.timeout.FromMicroseconds(round(left_s * 1e6))
            size = undo.ByteSize()
            ledger.hand_over([send], carrier)
            return reader.compensate(await connection.compensate(undo, left_s, metadata))
        except CallFailed as failed:
            details = with_advice(failed.details, failed.code, size)
            return status_answer(command, failed.code, details, failed.stack_trace)
        except Exception as error:
            # Something on our side of the call, such as a command that cannot be written: still no certain answer.
            return failed_here(error)

    return Calls(ledger, ask)
