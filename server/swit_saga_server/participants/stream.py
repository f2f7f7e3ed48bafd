"""Participants reached by one batched stream: all commands of a round in one message, answers as they are ready.

No task per command. A participant that does not serve the stream is reached by unary calls instead; the stream's first
message, which comes before anything is sent, tells the two apart.

What a broken stream leaves is as unclear as a broken call: *unknown*, and asked again under the same key. What was not
sent yet certainly did not happen, and goes by the next stream.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
import grpc.aio
import structlog

from swit_saga.v1 import participant_stream_service_pb2_grpc
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamCommand, StreamRequest, StreamResponse
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Unknown
from swit_saga_server.core.units import Span
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.deadlines import Deadlines
from swit_saga_server.participants.unary import UnaryTransport
from swit_saga_server.tasks import end
from swit_saga_server.telemetry import CommandSpan, is_recorded, open_span
from swit_saga_server.wire import command as wire

log = structlog.get_logger(__name__)

MESSAGE_COMMANDS, MESSAGE_BYTES = 256, 1 << 20
"""Commands in one message at most, and their size; a larger command goes by itself."""
ASK_AGAIN_S = 600.0
"""A participant that did not know the stream is asked again after this, should its connection last so long: behind a
proxy it may have been replaced."""


@dataclass(slots=True)
class _Open:
    """A command not yet answered.

    Attributes:
        command_id: See ``ParticipantCommand.command_id``.
        until: By the event loop's clock; nobody waits for the answer after it.
        sent: Whether the participant may have got it.
    """

    command: ParticipantCommand
    command_id: str
    until: float
    span: CommandSpan | None
    sent: bool = False


class StreamTransport:
    """One participant at one address."""

    def __init__(self, participant: str, address: str, deliver: Deliver) -> None:
        """Name the participant and where it is; the connection is made when first needed, on the running loop."""
        self._participant = participant
        self._address = address
        self._deliver = deliver
        self._unary = UnaryTransport(participant, address, deliver)
        self._numbers = 0
        self._open: dict[int, _Open] = {}
        self._by_id: dict[str, int] = {}
        self._unsent: deque[int] = deque()
        self._withdrawn: list[int] = []
        self._credits = 0
        self._used = False  # Whether the present stream took any command.
        self._more = asyncio.Event()
        self._stream: asyncio.Task[None] | None = None
        self._not_served: asyncio.Task[None] | None = None
        self._deadlines = Deadlines(self._open, self._time_is_up)
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
        if self._closed:
            return
        if self._not_served is not None:
            self._unary.send(commands)
            return
        now, with_span = asyncio.get_running_loop().time(), is_recorded()
        for command in commands:
            self._numbers += 1
            number, command_id, until = self._numbers, command.command_id, now + command.timeout / 1e6
            span = open_span(command, self._address) if with_span else None
            self._open[number] = _Open(command, command_id, until, span)
            self._by_id[command_id] = number
            self._unsent.append(number)
            self._deadlines.add(until, number)
        self._deadlines.arm()
        self._more.set()
        if self._stream is None:
            self._stream = asyncio.create_task(self._run())

    def withdraw(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.withdraw``."""
        self._unary.withdraw(command_ids)
        for command_id in command_ids:
            number = self._by_id.get(command_id)
            if number is not None and (command := self._forget(number)) is not None:
                self._call_off(number, command)
                if command.span is not None:
                    command.span.end("withdrawn")

    async def close(self) -> None:
        """Cancel what is out; nothing more is delivered."""
        self._closed = True
        self._deadlines.close()
        await end([task for task in (self._stream, self._not_served) if task is not None])
        for number in list(self._open):
            command = self._forget(number)
            if command is not None and command.span is not None:
                command.span.end("closed")
        await self._unary.close()

    # ---- the stream ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Streams, one after the other, for as long as there is something to send."""
        in_use = False
        try:
            while self._unsent:
                # One that follows a broken one may still meet the broken connection, and is made up for; where none
                # takes anything, nobody is there.
                in_use = await self._one_stream(last=not in_use)
        finally:
            self._stream = None

    async def _one_stream(self, *, last: bool) -> bool:
        """A stream from its beginning to its end, and what that end means to the commands that are open.

        Args:
            last: If it takes no command, none is to follow: those that wait are answered, as a failed call would be.

        Returns:
            Whether it took any.
        """
        stub = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(self._unary.channel)
        call: Any = stub.Stream()
        writing: asyncio.Task[None] | None = None
        self._used = False
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                if writing is None:
                    writing = asyncio.create_task(self._write(call))
                self._take(response)
            code, details = await call.code(), await call.details() or "the participant ended the stream"
        except grpc.aio.AioRpcError as broken:
            code, details = broken.code(), broken.details() or ""
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            code, details = grpc.StatusCode.CANCELLED, "the stream was cancelled on this side"
        except Exception as error:  # Such as a message that cannot be read: nothing more can be believed of it.
            log.exception("stream_failed", participant=self._participant)
            code, details = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        finally:
            if writing is not None:
                await end([writing])
            call.cancel()
            self._credits = 0
            self._withdrawn.clear()
        if writing is None and code is grpc.StatusCode.UNIMPLEMENTED:
            self._go_unary()
            return False
        if code is grpc.StatusCode.OK:
            code = grpc.StatusCode.UNAVAILABLE
        give_up = last and not self._used
        broken_off = [n for n, command in self._open.items() if command.sent or give_up]
        if broken_off:
            log.info("stream_broken", participant=self._participant, code=code.name, error=details)
        for number in broken_off:
            self._answer(number, wire.broken_answer(code, details))
        self._unsent = deque(n for n in self._unsent if n in self._open)
        return self._used

    async def _write(self, call: Any) -> None:
        """Send what there is, together, as far as the participant takes it."""
        try:
            while True:
                self._more.clear()
                request = self._next_message()
                if request is None:
                    await self._more.wait()
                else:
                    await call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # The stream is over; its reader learns why.
        except Exception:
            log.exception("stream_not_written", participant=self._participant)
            call.cancel()

    def _next_message(self) -> StreamRequest | None:
        """What can be sent now; None if nothing can. Commands are encoded here, once, as they leave."""
        request = StreamRequest(withdrawn=self._withdrawn)
        self._withdrawn.clear()
        batch, size = request.commands, 0
        while self._unsent and self._credits > 0 and len(batch) < MESSAGE_COMMANDS:
            number = self._unsent[0]
            waiting = self._open.get(number)
            if waiting is None:
                self._unsent.popleft()  # Withdrawn, or its time is up.
                continue
            message = batch.add()
            try:
                _fill(message, number, waiting)
            except Exception as error:
                # Some value cannot be encoded. It was not sent; whether an earlier attempt was is not said by that.
                del batch[-1]
                self._unsent.popleft()
                self._answer(number, _failed_here(error))
                continue
            size += message.ByteSize()
            if size > MESSAGE_BYTES and len(batch) > 1:
                del batch[-1]
                break
            self._unsent.popleft()
            waiting.sent = self._used = True
            self._credits -= 1
        return request if batch or request.withdrawn else None

    def _take(self, response: StreamResponse | None) -> None:
        if response is None:  # How gRPC says that it could not be decoded.
            raise ValueError("the participant sent what is not a StreamResponse")
        for said in response.answers:
            number = said.command_id
            if number not in self._open:
                continue  # Its time was up, or it was withdrawn.
            try:
                answer = _read(said)
            except Exception as error:
                answer = _failed_here(error)
            self._answer(number, answer)
        self._credits = response.credits
        self._more.set()

    # ---- calls instead ---------------------------------------------------------------------------------------------

    def _go_unary(self) -> None:
        """The participant does not serve the stream; nothing was sent by it."""
        log.info("stream_not_served", participant=self._participant, address=self._address)
        self._not_served = asyncio.create_task(self._ask_again_later())
        now = asyncio.get_running_loop().time()
        commands = []
        for number in self._unsent:
            waiting = self._forget(number)
            if waiting is not None:
                left = max(waiting.until - now, 0.0)
                commands.append(replace(waiting.command, timeout=Span(round(left * 1e6))))
                if waiting.span is not None:
                    waiting.span.end()  # The call has its own.
        self._unsent.clear()
        self._unary.send(commands)

    async def _ask_again_later(self) -> None:
        """Calls it is until the connection is a new one: another version of the participant may be there then."""
        channel = self._unary.channel
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            pass
        finally:
            self._not_served = None

    # ---- endings ---------------------------------------------------------------------------------------------------

    def _time_is_up(self, number: int) -> None:
        command = self._open[number]
        self._answer(number, wire.broken_answer(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        self._call_off(number, command)

    def _call_off(self, number: int, forgotten: _Open) -> None:
        """Its answer does not matter any more."""
        if forgotten.sent:
            self._withdrawn.append(number)
            self._more.set()
        while self._unsent and self._unsent[0] not in self._open:
            self._unsent.popleft()

    def _answer(self, number: int, answer: Answer) -> None:
        """The one answer to an open command."""
        answered = self._forget(number)
        if answered is None:
            return
        if answered.span is not None:
            answered.span.end(answer.error.code if isinstance(answer, Unknown) else "")
        command = answered.command
        if not self._closed:
            self._deliver(command.saga_id, command.answered(answer))

    def _forget(self, number: int) -> _Open | None:
        command = self._open.pop(number, None)
        # A resend has its command's id; the newer number stays.
        if command is not None and self._by_id.get(command.command_id) == number:
            del self._by_id[command.command_id]
        return command


def _fill(message: StreamCommand, number: int, waiting: _Open) -> None:
    message.command_id = number
    command = waiting.span.command if waiting.span is not None else waiting.command
    if command.kind is Kind.EXECUTE:
        wire.write_execute(message.execute, command)
    else:
        wire.write_compensate(message.compensate, command)


def _read(said: StreamAnswer) -> Answer:
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
