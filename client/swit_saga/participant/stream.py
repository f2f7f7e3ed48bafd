"""A participant's batched stream: many commands to a message, answers as they are ready, those of one turn together.

The same commands and the same three answers as the unary calls; a coordinator chooses, and falls back to unary calls
where this is not served.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc.aio

from swit_saga.participant.answers import ANSWER_BYTES, sendable, sendable_failure
from swit_saga.participant.execution import Answer, Execution
from swit_saga.participant.failures import (
    MESSAGE_TEXT,
    TRACE_TEXT,
    HandlerCancelled,
    TooLate,
    describe,
    trace_of,
    writable,
)
from swit_saga.v1 import command_pb2, error_pb2, participant_stream_service_pb2_grpc
from swit_saga.v1.participant_service_pb2 import CompensateRequest, ExecuteRequest
from swit_saga.v1.participant_stream_service_pb2 import (
    ActionDescription,
    DescribeRequest,
    DescribeResponse,
    StreamAnswer,
    StreamCommand,
    StreamRequest,
    StreamResponse,
)

MAX_OPEN = 65_536
"""Commands of one stream taken and not answered; with as many the coordinator is asked to wait."""
MESSAGE_ANSWERS, MESSAGE_BYTES = 256, 1 << 20
"""Answers in one message at most, and their size; a larger answer goes by itself."""
QUIET_S = 15.0
"""A stream is never silent for longer than this. A gRPC server counts the pings of coordinators as abuse, by default,
unless it has sent something since the last one; and proxies cut what is silent for long."""


class ParticipantStreamServicer(participant_stream_service_pb2_grpc.ParticipantStreamServiceServicer):
    """Serves a participant's stream. For grpc.aio servers only."""

    def __init__(self, participant: Execution) -> None:
        self._participant = participant
        self._streams: set[_Stream] = set()
        self._ended = False

    async def Stream(  # type: ignore[override] # it writes to the context instead of yielding
        self, requests: AsyncIterator[StreamRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Take commands and answer them until the coordinator ends the stream, or this server does."""
        stream = _Stream(self._participant, context)
        self._streams.add(stream)
        if self._ended:
            stream.end()
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)

    async def Describe(self, request: DescribeRequest, context: Any) -> DescribeResponse:
        """What the participant can be asked."""
        handlers = self._participant.handlers
        return DescribeResponse(
            participant=self._participant.name,
            actions=[ActionDescription(name=n, compensatable=h.undo is not None) for n, h in sorted(handlers.items())],
        )

    def end(self) -> None:
        """Take no more commands. Every stream ends when what it has taken is answered, so a stopping server can."""
        self._ended = True
        for stream in self._streams:
            stream.end()


class _Stream:
    """One coordinator's stream."""

    def __init__(self, participant: Execution, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._participant = participant
        self._context = context
        self._open: set[int] = set()
        self._answers: deque[tuple[int, bool, Answer | error_pb2.SagaError]] = deque()
        self._changed = asyncio.Event()
        self._no_more = False
        self._sign_of_life = False

    def end(self) -> None:
        self._no_more = True
        self._changed.set()

    async def run(self) -> None:
        # The first message says that there is such a stream, before anything is sent by it.
        await self._context.write(StreamResponse(credits=0 if self._no_more else MAX_OPEN))
        reading = asyncio.create_task(self._read())
        self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._quiet)
        try:
            await self._write()
        finally:
            self._timer.cancel()
            reading.cancel()
            # What runs goes on, as with unary calls; nobody hears of it.
            self._open.clear()
            await asyncio.gather(reading, return_exceptions=True)
        if reading.done() and not reading.cancelled() and (failed := reading.exception()) is not None:
            raise failed

    async def _read(self) -> None:
        try:
            while (request := await self._context.read()) is not grpc.aio.EOF:
                self._open.difference_update(request.withdrawn)
                for command in request.commands:
                    self._take(command)
        finally:
            self.end()

    async def _write(self) -> None:
        said_wait = False
        while self._open or self._answers or not self._no_more:
            self._changed.clear()
            if self._answers or self._sign_of_life or self._no_more is not said_wait:
                self._sign_of_life = False
                said_wait = self._no_more
                await self._context.write(self._next_message())
            else:
                await self._changed.wait()

    def _quiet(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._quiet)
        self._sign_of_life = True
        self._changed.set()

    def _next_message(self) -> StreamResponse:
        """The answers that are ready, encoded here, once, as they leave."""
        response = StreamResponse(credits=0 if self._no_more else max(MAX_OPEN - len(self._open), 0))
        batch, size = response.answers, 0
        while self._answers and len(batch) < MESSAGE_ANSWERS:
            message = batch.add()
            _fill(message, *self._answers[0])
            own = message.ByteSize()
            if own > ANSWER_BYTES:
                own = _shorten(message, *self._answers[0], own)
            size += own
            if size > MESSAGE_BYTES and len(batch) > 1:
                del batch[-1]
                break
            self._answers.popleft()
        return response

    def _take(self, command: StreamCommand) -> None:
        number = command.command_id
        self._open.add(number)
        if command.WhichOneof("request") != "compensate":
            self._begin(number, False, command.execute)
            return
        undo = command.compensate
        running = self._participant.running(undo.execute_idempotency_key)
        if running is None:
            self._begin(number, True, undo)
        else:
            # One that meets its Execute still running waits for it first.
            running.add_done_callback(lambda _: self._begin(number, True, undo) if number in self._open else None)

    def _begin(self, number: int, undo: bool, request: ExecuteRequest | CompensateRequest) -> None:
        participant = self._participant
        try:
            begun = (
                participant.begin_compensate(request)
                if isinstance(request, CompensateRequest)
                else participant.begin_execute(request)
            )
        except Exception as refused:
            self._answer(number, undo, _unknown(refused))
            return
        begun.add_done_callback(partial(self._ended, number, undo, request.command.action))

    def _ended(self, number: int, undo: bool, action: str, done: "asyncio.Task[Answer]") -> None:
        if number not in self._open:
            return  # Withdrawn, or nobody is there any more.
        if done.cancelled():
            self._answer(number, undo, _unknown(HandlerCancelled(action)))
        elif (error := done.exception()) is not None:
            self._answer(number, undo, _unknown(error))
        else:
            self._answer(number, undo, done.result())

    def _answer(self, number: int, undo: bool, answer: Answer | error_pb2.SagaError) -> None:
        self._open.discard(number)
        self._answers.append((number, undo, answer))
        self._changed.set()


def _fill(message: StreamAnswer, number: int, undo: bool, answer: Answer | error_pb2.SagaError) -> None:
    message.command_id = number
    if isinstance(answer, error_pb2.SagaError):
        message.unknown.CopyFrom(answer)
        return
    into = message.compensate if undo else message.execute
    if isinstance(answer, command_pb2.Completed):
        into.completed.CopyFrom(answer)
    else:
        into.rejected.CopyFrom(answer)


def _shorten(message: StreamAnswer, number: int, undo: bool, answer: Answer | error_pb2.SagaError, size: int) -> int:
    """Say the same without what makes it so large."""
    message.Clear()
    if isinstance(answer, error_pb2.SagaError):
        _fill(message, number, undo, sendable_failure(answer, size))
    else:
        _fill(message, number, undo, sendable(answer, size))
    return message.ByteSize()


def _unknown(error: BaseException) -> error_pb2.SagaError:
    """An ordinary exception, as the unary calls' status has it."""
    late = isinstance(error, TooLate)
    made = error_pb2.SagaError(
        code="DEADLINE_EXCEEDED" if late else "UNKNOWN",
        message=writable(describe(error)[:MESSAGE_TEXT]),
        type=error_pb2.ERROR_TYPE_TIMEOUT if late else error_pb2.ERROR_TYPE_SERVICE,
        retryable=True,
        stack_trace=writable(trace_of(error)[-TRACE_TEXT:]),
    )
    made.timestamp.FromNanoseconds(time.time_ns())
    return made
