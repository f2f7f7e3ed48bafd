"""Participants reached by one batched stream: all commands of a round in one message, answers as they are ready.

No task per command. A participant that does not serve the stream is reached by unary calls instead; the stream's first
message, which comes before anything is sent, tells the two apart.

What a broken stream leaves is as unclear as a broken call: *unknown*, and asked again under the same key. What was not
sent yet certainly did not happen, and goes by the next stream.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog

from swit_saga.v1 import participant_stream_service_pb2_grpc
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamCommand, StreamRequest, StreamResponse
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.inputs import Answer, Answered, Kind, Unknown
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.unary import UnaryTransport
from swit_saga_server.tasks import end
from swit_saga_server.telemetry import CommandSpan, open_span
from swit_saga_server.wire import command as wire

log = structlog.get_logger(__name__)

MESSAGE_COMMANDS, MESSAGE_BYTES = 256, 1 << 20
"""Commands in one message at most, and their size; a larger command goes by itself."""
ASK_AGAIN_S = 600.0
"""A participant that did not know the stream is asked again after this: it may have been replaced."""


@dataclass(slots=True)
class _Sent:
    """A command not yet answered.

    Attributes:
        message: As it goes out; None once it is sent.
    """

    command: ParticipantCommand
    message: StreamCommand | None
    span: CommandSpan | None


class StreamTransport:
    """One participant at one address."""

    def __init__(self, participant: str, address: str, deliver: Deliver) -> None:
        """Name the participant and where it is; the connection is made when first needed, on the running loop."""
        self._participant = participant
        self._address = address
        self._deliver = deliver
        self._unary = UnaryTransport(participant, address, deliver)
        self._unary_until = 0.0
        self._numbers = 0
        self._open: dict[int, _Sent] = {}
        self._by_id: dict[str, int] = {}
        self._unsent: deque[int] = deque()
        self._withdrawn: list[int] = []
        self._credits = 0
        self._more = asyncio.Event()
        self._stream: asyncio.Task[None] | None = None
        self._deadlines: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Commands not yet answered."""
        return len(self._open) + self._unary.in_flight

    def knows(self, participant: str, action: str) -> str | None:
        """Always None: what a participant elsewhere can do is not known before it is asked."""
        return None

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        now = asyncio.get_running_loop().time()
        if now < self._unary_until:
            self._unary.send(commands)
            return
        for command in commands:
            self._numbers += 1
            number = self._numbers
            span = open_span(command, self._address)
            message = StreamCommand(command_id=number)
            self._open[number] = _Sent(command, message, span)
            try:
                _put_into(message, span.command if span is not None else command)
            except Exception as error:
                # What cannot be encoded was not sent; but whether an earlier attempt was is not said by that.
                sent = self._forget(number)
                assert sent is not None
                asyncio.get_running_loop().call_soon(self._hand_over, sent, _failed_here(error))
                continue
            self._by_id[command.command_id] = number
            self._unsent.append(number)
            heapq.heappush(self._deadlines, (now + command.timeout / 1e6, number))
        self._set_timer()
        self._more.set()
        if self._stream is None:
            self._stream = asyncio.create_task(self._run())

    def withdraw(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.withdraw``."""
        self._unary.withdraw(command_ids)
        for command_id in command_ids:
            number = self._by_id.get(command_id)
            if number is not None and (sent := self._forget(number)) is not None:
                if sent.message is None:
                    self._withdrawn.append(number)
                if sent.span is not None:
                    sent.span.end("withdrawn")
        self._more.set()

    async def close(self) -> None:
        """Cancel what is out; nothing more is delivered."""
        self._closed = True
        if self._stream is not None:
            await end([self._stream])
        if self._timer is not None:
            self._timer.cancel()
        for number in list(self._open):
            sent = self._forget(number)
            if sent is not None and sent.span is not None:
                sent.span.end("closed")
        await self._unary.close()

    # ---- the stream ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Streams, one after the other, for as long as there is something to send."""
        try:
            while True:
                opened = await self._one_stream()
                if not self._unsent:
                    return
                if not opened:
                    # Nobody is there: what waits hears so at once, as it would by a call.
                    self._break(list(self._unsent), grpc.StatusCode.UNAVAILABLE, "the stream could not be opened")
                    return
        finally:
            self._stream = None

    async def _one_stream(self) -> bool:
        """Returns when the stream is over; whether it ever began."""
        stub = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(self._unary.channel)
        call: Any = stub.Stream()
        began, writing = False, None
        code, details = grpc.StatusCode.UNAVAILABLE, "the participant ended the stream"
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                if writing is None:
                    began = True
                    writing = asyncio.create_task(self._write(call))
                self._take(response)
            code, details = await call.code(), await call.details() or details
        except grpc.aio.AioRpcError as broken:
            code, details = broken.code(), broken.details() or ""
        finally:
            if writing is not None:
                await end([writing])
            call.cancel()
            self._credits = 0
            self._withdrawn.clear()
        if not began and code is grpc.StatusCode.UNIMPLEMENTED:
            self._go_unary()
            return True
        if code is grpc.StatusCode.OK:
            code = grpc.StatusCode.UNAVAILABLE
        if self._open:
            log.info("stream_broken", participant=self._participant, code=code.name, error=details)
        if began:
            self._break([n for n, sent in self._open.items() if sent.message is None], code, details)
        else:
            self._break(list(self._open), code, details)
        return began

    async def _write(self, call: Any) -> None:
        """Send what there is, together, as far as the participant takes it."""
        while True:
            if not self._withdrawn and not (self._unsent and self._credits):
                self._more.clear()
                await self._more.wait()
                continue
            request = StreamRequest(withdrawn=self._withdrawn)
            self._withdrawn.clear()
            size = 0
            while self._unsent and self._credits and len(request.commands) < MESSAGE_COMMANDS:
                sent = self._open.get(self._unsent[0])
                if sent is None or sent.message is None:
                    self._unsent.popleft()  # Withdrawn, or its time is up.
                    continue
                size += sent.message.ByteSize()
                if request.commands and size > MESSAGE_BYTES:
                    break
                self._unsent.popleft()
                request.commands.append(sent.message)
                sent.message = None
                self._credits -= 1
            if not (request.commands or request.withdrawn):
                continue
            try:
                await call.write(request)
            except Exception:
                return  # The stream is over; its reader learns why.

    def _take(self, response: StreamResponse) -> None:
        for said in response.answers:
            sent = self._forget(said.command_id)
            if sent is None:
                continue  # Its time was up, or it was withdrawn.
            try:
                answer = _answer(said)
            except Exception as error:
                answer = _failed_here(error)
            self._hand_over(sent, answer)
        self._credits = response.credits
        self._more.set()

    def _go_unary(self) -> None:
        """The participant does not serve the stream; nothing was sent by it."""
        log.info("stream_not_served", participant=self._participant, address=self._address)
        loop = asyncio.get_running_loop()
        self._unary_until = loop.time() + ASK_AGAIN_S
        commands = []
        for number in list(self._unsent):
            sent = self._forget(number)
            if sent is not None:
                commands.append(sent.command)
                if sent.span is not None:
                    sent.span.end("sent by a call of its own")
        self._unsent.clear()
        self._unary.send(commands)

    # ---- endings ---------------------------------------------------------------------------------------------------

    def _break(self, numbers: Sequence[int], code: grpc.StatusCode, details: str) -> None:
        """These are not answered any more. A stream's status is never a rejection: it speaks of no one command."""
        for number in numbers:
            sent = self._forget(number)
            if sent is not None:
                self._hand_over(sent, wire.broken_answer(code, details))
        self._unsent = deque(n for n in self._unsent if n in self._open)

    def _hand_over(self, sent: _Sent, answer: Answer) -> None:
        command = sent.command
        if sent.span is not None:
            sent.span.end(answer.error.code if isinstance(answer, Unknown) else "")
        if not self._closed:
            self._deliver(command.saga_id, Answered(command.kind, command.step_index, command.attempt, answer))

    def _forget(self, number: int) -> _Sent | None:
        sent = self._open.pop(number, None)
        if sent is not None and self._by_id.get(sent.command.command_id) == number:
            del self._by_id[sent.command.command_id]
        return sent

    def _set_timer(self) -> None:
        while self._deadlines and self._deadlines[0][1] not in self._open:
            heapq.heappop(self._deadlines)
        if not self._deadlines or self._closed or (self._timer is not None and self._timer_at <= self._deadlines[0][0]):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._deadlines[0][0]
        self._timer = asyncio.get_running_loop().call_at(self._timer_at, self._times_up)

    def _times_up(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number = heapq.heappop(self._deadlines)
            sent = self._forget(number)
            if sent is None:
                continue
            if sent.message is None:
                self._withdrawn.append(number)
                self._more.set()
            error = SagaError(
                code="DEADLINE_EXCEEDED", message="Deadline Exceeded", type=ErrorType.TIMEOUT, retryable=True
            )
            self._hand_over(sent, Unknown(error))
        self._set_timer()


def _put_into(message: StreamCommand, command: ParticipantCommand) -> None:
    if command.kind is Kind.EXECUTE:
        message.execute.CopyFrom(wire.execute_request(command))
    else:
        message.compensate.CopyFrom(wire.compensate_request(command))


def _answer(said: StreamAnswer) -> Answer:
    match said.WhichOneof("response"):
        case "execute":
            return wire.execute_answer(said.execute)
        case "compensate":
            return wire.compensate_answer(said.compensate)
        case "unknown":
            return wire.unknown_answer(said.unknown)
        case _:
            return wire.no_answer()


def _failed_here(error: Exception) -> Unknown:
    """Something on our side, such as an answer that cannot be read: no certain answer."""
    text = f"{type(error).__name__}: {error}"
    return Unknown(SagaError(code="CALL_FAILED", message=text, type=ErrorType.SYSTEM, retryable=True))
