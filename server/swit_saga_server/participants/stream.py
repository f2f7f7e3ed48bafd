"""Participants reached by one batched stream: all commands of a round in one message, answers as they are ready.

No task per command. A participant that does not serve the stream is reached by unary calls instead; the stream's first
message, which comes before anything is sent, tells the two apart.

What a broken stream leaves is as unclear as a broken call: *unknown*, and asked again under the same key. What is still
queued certainly did not happen, and goes by the next stream.
"""

import asyncio
from collections.abc import Callable, Sequence

from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.logs import get_logger
from swit_saga_server.participants.connection import CallFailed, Connection, nobody_asks
from swit_saga_server.participants.ledger import Ledger, wall_clock
from swit_saga_server.participants.session import Session
from swit_saga_server.participants.unary import calls_over
from swit_saga_server.tasks import end
from swit_saga_server.wire.answer import AnswerReader, broken_answer

log = get_logger(__name__)

ASK_AGAIN_S = 600.0
"""A participant that did not know the stream is asked again after this, should its connection last so long: behind a
proxy it may have been replaced."""


class StreamTransport:
    """One participant at one address."""

    def __init__(
        self,
        participant: str,
        connection: Connection,
        deliver: Deliver,
        clock: Callable[[], Instant] = wall_clock,
        reader: AnswerReader | None = None,
        reached: Callable[[], None] = nobody_asks,
    ) -> None:
        """Take the connection, which is this transport's from now on, and where the answers go.

        Args:
            participant: Its name, for the log.
            connection: To it.
            deliver: Gets the answers.
            clock: See ``Ledger``.
            reader: Reads them.
            reached: Called whenever the participant is there, perhaps in a new version.
        """
        self._participant = participant
        self._connection = connection
        self._ledger = Ledger(deliver, address=connection.address, clock=clock)
        self._reader = reader or AnswerReader()
        self._calls = calls_over(connection, self._ledger, self._reader)
        self._reached = reached
        self._session: Session | None = None
        self._streaming: asyncio.Task[None] | None = None
        self._not_served: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """Commands not yet answered."""
        return self._ledger.in_flight

    def knows(self, participant: str, action: str) -> str | None:
        """Always None: nobody knows what a remote participant can do before asking it."""
        return None

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        sends = self._ledger.enter(commands)
        if self._not_served is not None:
            self._calls.begin(sends)
        elif self._session is not None:
            self._session.notify()
        elif sends and self._streaming is None:
            self._streaming = asyncio.create_task(self._run())

    def cancel(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.cancel``."""
        self._ledger.cancel(command_ids)

    async def close(self) -> None:
        """Cancel what is out; nothing more is delivered."""
        self._ledger.close()
        await end([task for task in (self._streaming, self._not_served) if task is not None])
        await self._calls.close()
        await self._connection.close()

    async def _run(self) -> None:
        """Streams, one after the other, for as long as there is something to send."""
        in_use = False
        try:
            while self._not_served is None and self._ledger.has_queued:
                # One that follows a broken one may still meet the broken connection, and is made up for; where none
                # takes anything, nobody is there.
                in_use = await self._one_stream(last=not in_use)
        finally:
            self._streaming = None

    async def _one_stream(self, *, last: bool) -> bool:
        """A stream from its beginning to its end, and what that end means to the commands that are out.

        Args:
            last: If it takes no command, none is to follow: those that wait are answered, as a failed call would be.

        Returns:
            Whether it took any.
        """
        opened = self._connection.open_stream()
        self._session = session = Session(
            self._participant, opened, self._ledger, self._calls, self._reader, self._reached
        )
        try:
            over = await session.run()
        finally:
            self._session = None
        if over.code == "UNIMPLEMENTED" and not session.has_begun:
            self._go_unary()
        else:
            self._break_off(session, over, give_up=last and not session.is_used)
        return session.is_used

    def _break_off(self, session: Session, over: CallFailed, *, give_up: bool) -> None:
        """What it carried is unknown. What is queued is left to the next one, unless none is to follow."""
        broken = [s for s in self._ledger if s.carrier is session or (give_up and s.carrier is None)]
        if broken:
            log.info(
                "stream_broken",
                fold_by=self._participant,
                participant=self._participant,
                code=over.code,
                error=over.details,
            )
        for send in broken:
            self._ledger.answer(send, broken_answer(over.code, over.details))

    def _go_unary(self) -> None:
        """The participant does not serve the stream; nothing was sent by it."""
        log.info(
            "stream_not_served",
            fold_by=self._participant,
            participant=self._participant,
            address=self._connection.address,
        )
        self._not_served = asyncio.create_task(self._ask_again_later())
        self._calls.begin(send for send in self._ledger if send.carrier is None)

    async def _ask_again_later(self) -> None:
        """Calls it is until the connection is a new one: another version of the participant may be there then."""
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                await self._connection.changed()
        except TimeoutError:
            pass
        finally:
            self._not_served = None
