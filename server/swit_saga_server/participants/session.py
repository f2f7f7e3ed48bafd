"""One stream to a participant, from its beginning to its end: commands out as far as it takes them, answers in."""

import asyncio
from collections.abc import Callable

from swit_saga.v1.participant_stream_service_pb2 import StreamCommand, StreamRequest, StreamResponse
from swit_saga_server.core.identity import Kind
from swit_saga_server.logs import get_logger
from swit_saga_server.participants.calls import Calls
from swit_saga_server.participants.connection import CallFailed, Stream
from swit_saga_server.participants.ledger import Ledger, Send
from swit_saga_server.tasks import end
from swit_saga_server.wire import command as wire
from swit_saga_server.wire.answer import AnswerReader, failed_here
from swit_saga_server.wire.decoding import UNREADABLE_ANSWER

log = get_logger(__name__)

MESSAGE_COMMANDS, MESSAGE_BYTES = 256, 1 << 20
"""Commands in one message at most, and their size; a larger command goes by itself."""


class Session:
    """Takes what is queued in a ledger, a message at a time, and is the carrier of what it took.

    Attributes:
        has_begun: The participant spoke: it serves the stream.
        is_used: Anything was handed over to it.
    """

    def __init__(
        self,
        participant: str,
        stream: Stream,
        ledger: Ledger,
        calls: Calls,
        reader: AnswerReader,
        reached: Callable[[], None],
    ) -> None:
        """See ``run``.

        Args:
            participant: Its name, for the log.
            stream: The stream.
            ledger: Has what is queued.
            calls: Carry what is too large for the stream.
            reader: Reads the answers.
            reached: Called once, when the participant speaks.
        """
        self._participant = participant
        self._stream = stream
        self._ledger = ledger
        self._calls = calls
        self._read = reader.streamed
        self._reached = reached
        self._has_complained = False
        self._credits = 0
        self._withdrawn: list[int] = []
        self._more = asyncio.Event()
        self.has_begun = False
        self.is_used = False

    async def run(self) -> CallFailed:
        """Carry on until the stream is over.

        Returns:
            Why it is. What was handed over to it and not answered by then may have reached the participant, or not.
        """
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                response = await self._stream.read()
                if writing is None:
                    self.has_begun = True
                    self._reached()
                    writing = asyncio.create_task(self._write())
                self._take(response)
        except CallFailed as over:
            return over
        except Exception as error:  # Nothing more can be believed of it.
            log.exception("stream_failed", fold_by=self._participant, participant=self._participant)
            return CallFailed("INTERNAL", f"{type(error).__name__}: {error}")
        finally:
            if writing is not None:
                await end([writing])
            self._stream.cancel()

    def notify(self) -> None:
        """More is queued."""
        self._more.set()

    def call_off(self, send: Send) -> None:
        """Tell the participant that the answer does not matter any more."""
        self._withdrawn.append(send.number)
        self._more.set()

    async def _write(self) -> None:
        """Send what there is, together, as far as the participant takes it."""
        try:
            while True:
                self._more.clear()
                request = self._next_message()
                if request is None:
                    await self._more.wait()
                else:
                    await self._stream.write(request)
        except CallFailed:
            return  # The stream is over; its reader learns why.
        except Exception:
            log.exception("stream_not_written", fold_by=self._participant, participant=self._participant)
            self._stream.cancel()

    def _next_message(self) -> StreamRequest | None:
        """What can be sent now; None if nothing can. Commands are encoded here, once, as they leave."""
        ledger, request = self._ledger, StreamRequest(withdrawn=self._withdrawn)
        self._withdrawn.clear()
        sends: list[Send] = []
        # Again only if not one of those is to go by the stream.
        while not sends and (queued := ledger.queued(min(self._credits, MESSAGE_COMMANDS))):
            sends = self._fill_up(request, queued)
        if sends:
            ledger.hand_over(sends, self)
            self._credits -= len(sends)
            self.is_used = True
        return request if sends or request.withdrawn else None

    def _fill_up(self, request: StreamRequest, queued: list[Send]) -> list[Send]:
        """Those of ``queued`` that are in the message now."""
        batch, size, sends = request.commands, 0, list[Send]()
        for send in queued:
            message = batch.add()
            try:
                _fill(message, send)
            except Exception as error:
                # Some value cannot be encoded. It was not sent; whether an earlier attempt was is not said by that.
                del batch[-1]
                self._ledger.answer(send, failed_here(error))
                continue
            own = message.ByteSize()
            # Where it is too large for the participant's server, it ends no stream of others.
            if own > wire.STOCK_COMMAND_BYTES:
                del batch[-1]
                self._calls.take(send)
                continue
            size += own
            if size > MESSAGE_BYTES and sends:
                del batch[-1]
                break
            sends.append(send)
        return sends

    def _take(self, response: StreamResponse) -> None:
        find, settle, read = self._ledger.find, self._ledger.answer, self._read
        for said in response.answers:
            send = find(said.command_id)
            if send is None or send.carrier is not self:
                # Its time was up, it was cancelled, it was answered before, or it is none of this stream's.
                if send is not None or not self._ledger.has_been(said.command_id):
                    self._complain("an answer to a command that it was not sent", said.command_id)
                continue
            answer = read(said, send.command.kind)
            settle(send, answer)
            if answer.error is not None and answer.error.code == UNREADABLE_ANSWER:
                self._complain(answer.error.message, said.command_id)
        self._credits = response.credits
        self._more.set()

    def _complain(self, what: str, number: int) -> None:
        """Say once what the participant does wrong: it may do it with every answer."""
        if not self._has_complained:
            self._has_complained = True
            log.warning("answer_unreadable", participant=self._participant, error=what[:200], number=number)


def _fill(message: StreamCommand, send: Send) -> None:
    message.command_id = send.number
    command = send.carried
    if command.kind is Kind.EXECUTE:
        wire.write_execute(message.execute, command)
    else:
        wire.write_compensate(message.compensate, command)
