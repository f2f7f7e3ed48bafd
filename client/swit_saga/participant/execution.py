"""What a participant does with a command: the handler is called once for all who ask under one key, and answers.

The three answers: a handler that returns has *completed*; one that raises ``Reject`` says that this attempt did not
happen; anything else (an exception, a time-out, a crash) is *unknown* and will be asked again with the same key.

Nothing here knows how commands arrive: ``serving`` and ``stream`` bring them over gRPC, a coordinator in the same
process calls directly.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn, TypeAlias

from swit_saga.errors import CodecError
from swit_saga.given import given, given_count
from swit_saga.ids import refuse_name
from swit_saga.participant.context import ErrorType, Reject, StepContext
from swit_saga.participant.failures import (
    TRACE_TEXT,
    HandlerCancelled,
    HandlerStopped,
    TooLate,
    describe,
    is_signalled,
    trace_of,
    writable,
)
from swit_saga.participant.handler import StepHandler
from swit_saga.participant.journal import Journal
from swit_saga.participant.threads import DaemonThreads
from swit_saga.payload import Codecs
from swit_saga.typed import type_name
from swit_saga.v1 import command_pb2, error_pb2
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)

Answer: TypeAlias = command_pb2.Completed | command_pb2.Rejected


class Execution:
    """A named set of handlers, and what of them runs."""

    def __init__(self, name: str, *, codecs: Codecs | None = None, threads: int = 16) -> None:
        """See ``Participant``."""
        refuse_name("a participant's name", name)
        given_count(threads, "threads", least=1)
        if codecs is not None:
            given(codecs, "codecs", Codecs)
        self.name = name
        self._codecs = codecs or Codecs()
        self._handlers: dict[str, StepHandler[Any, Any]] = {}
        self._journal = Journal(name)
        self._max_threads = threads
        self._kind_of_threads: Callable[[int, str], Executor] = ThreadPoolExecutor
        self._make_threads()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Participant cannot be sent to another process; make it there")

    def _make_threads(self) -> None:
        """Threads, and what runs, are this process's; a process forked off makes its own."""
        self._process = os.getpid()
        self._threads: Executor = self._kind_of_threads(self._max_threads, f"participant-{self.name}")
        self._running: dict[object, asyncio.Task[Answer]] = {}

    def keep_nobody_waiting(self) -> None:
        """From now on plain handlers that still run when the program ends are given up; for programs that drain."""
        self._kind_of_threads = DaemonThreads
        self._make_threads()

    @property
    def actions(self) -> frozenset[str]:
        """What it can be asked."""
        return frozenset(self._handlers)

    @property
    def handlers(self) -> Mapping[str, StepHandler[Any, Any]]:
        """Its steps, by action."""
        return self._handlers

    def add(self, handler: StepHandler[Any, Any]) -> None:
        """Take a handler for its action.

        Raises:
            TypeError: The action is no text.
            ValueError: The action has a handler, or is none that a definition could name.
        """
        refuse_name("an action", handler.action)
        if handler.action in self._handlers:
            raise ValueError(f"participant {self.name!r} already has a handler for {handler.action!r}")
        self._handlers[handler.action] = handler

    async def execute(self, request: ExecuteRequest) -> ExecuteResponse:
        """Answer an Execute. Duplicates in flight, by key, get the first one's answer.

        Raises:
            Exception: Whatever the handler raised but ``Reject``; ``TooLate``. To the caller: *unknown*.
        """
        answer = await self._answer_of(self.begin_execute(request), request.command.action)
        if isinstance(answer, command_pb2.Rejected):
            return ExecuteResponse(rejected=answer)
        return ExecuteResponse(completed=answer)

    def compensate(self, request: CompensateRequest) -> Coroutine[Any, Any, CompensateResponse]:
        """Answer a Compensate. One that meets its Execute still running here waits for it first.

        Raises:
            Exception: As ``execute``.
            TypeError: This was taken for a decorator.
        """
        if not isinstance(request, CompensateRequest):
            raise TypeError(
                f"a compensation belongs to its step's handler: @HANDLER.compensate, not @{self.name}.compensate"
            )
        return self._answer_compensate(request)

    async def _answer_compensate(self, request: CompensateRequest) -> CompensateResponse:
        executing = self.running(request.execute_idempotency_key)
        if executing is not None:
            await asyncio.wait([executing])
        answer = await self._answer_of(self.begin_compensate(request), request.command.action)
        if isinstance(answer, command_pb2.Rejected):
            return CompensateResponse(rejected=answer)
        return CompensateResponse(completed=answer)

    def begin_execute(self, request: ExecuteRequest) -> "asyncio.Task[Answer]":
        """Set an Execute going, or find the one with its key that is; whoever asked may leave without stopping it.

        Raises:
            TooLate: It came after its not-after time; nothing was started.
        """
        return self._begin(request, self._execute)

    def begin_compensate(self, request: CompensateRequest) -> "asyncio.Task[Answer]":
        """The same for a Compensate, whose Execute must not be ``running`` any more.

        Raises:
            TooLate: As ``begin_execute``.
        """
        return self._begin(request, self._compensate)

    def running(self, key: str) -> "asyncio.Task[Answer] | None":
        """What runs under this idempotency key."""
        return self._running.get(key)

    def _begin(
        self, request: Any, work: Callable[[Any, StepHandler[Any, Any]], Coroutine[Any, Any, Answer]]
    ) -> "asyncio.Task[Answer]":
        if self._process != os.getpid():
            self._make_threads()
        command = request.command
        # Only a coordinator's commands carry a key; those made by hand without one are nobody's duplicates.
        key: object = command.idempotency_key or object()
        running = self._running.get(key)
        if running is not None:
            return running
        handler = self._handlers.get(command.action)
        if handler is None:
            body = self._unknown_action(command)
        else:
            not_after = command.not_after.seconds * 1_000_000_000 + command.not_after.nanos
            if not_after and time.time_ns() > not_after:
                late = f"came after its not-after time, {command.not_after.ToJsonString()}; nothing was started"
                self._journal.rejected(command, "TOO_LATE", late)
                raise TooLate(late)
            body = self._survived(command, work(request, handler))
        running = asyncio.create_task(body)
        self._running[key] = running
        running.add_done_callback(lambda done: self._ended(key, done))
        return running

    async def _unknown_action(self, command: command_pb2.CommandContext) -> Answer:
        known = ", ".join(sorted(self._handlers)) or "none"
        return self._refused(
            command, "UNKNOWN_ACTION", f"{self.name!r} has no action {command.action!r}; known: {known}"
        )

    async def _answer_of(self, running: "asyncio.Task[Answer]", action: str) -> Answer:
        try:
            # A caller that goes away must not stop the handler half-way: its effect would be torn.
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if running.cancelled() and not (caller and caller.cancelling()):
                raise HandlerCancelled(action) from None
            raise

    async def drained(self, within_s: float) -> None:
        """Return when no handler runs, those included whose caller has gone, or after ``within_s`` seconds."""
        if self._running:
            _, left = await asyncio.wait(list(self._running.values()), timeout=within_s)
            if left:
                self._journal.cut_short(len(left), within_s)

    def _ended(self, key: object, done: "asyncio.Task[Answer]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # Looked at, so that it is not logged as never retrieved when its waiter has left.

    async def _survived(self, command: command_pb2.CommandContext, work: Coroutine[Any, Any, Answer]) -> Answer:
        """What a handler does ends here: nothing that it raises gets on to the event loop, which it would end.

        Raises:
            Exception: The outcome is unknown.
            BaseException: A signal's: it is not the handler's.
        """
        try:
            return await work
        except Reject as no:
            return self._rejection(command, no)
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._journal.failed(command, "the handler was cancelled from within", cancelled)
            raise HandlerCancelled(command.action) from cancelled
        except BaseException as error:
            if is_signalled(error):
                raise
            self._journal.failed(command, "the handler failed, so the outcome is unknown", error)
            if isinstance(error, Exception):
                raise
            raise HandlerStopped(command.action, error) from error

    async def _execute(self, request: ExecuteRequest, handler: StepHandler[Any, Any]) -> Answer:
        command, call = request.command, handler.execute
        if command.compensatable and handler.undo is None:
            why = f"{self.name!r} has no compensation for {handler.action!r}, which the definition wants undone"
            how = f"write one under @{_identifier(handler)}.compensate, or disable the step's compensation there"
            return self._refused(command, "NO_COMPENSATION", f"{why}: {how}")
        given = request.input if request.HasField("input") else None
        if given is None and call.kinds and not call.optional[0]:
            text = f"the handler of {handler.action!r} wants a {type_name(call.kinds[0])}, and there is no input"
            return self._refused(command, "NO_INPUT", f"{text}; annotate it with '| None' if it can do without", "data")
        try:
            values = [None if given is None else self._codecs.decode(given, kind) for kind in call.kinds]
        except CodecError as unreadable:
            return self._unreadable(command, unreadable)
        output = await call(values, StepContext(request, self._codecs), self._threads, self._told_of_blocking(command))
        try:
            return command_pb2.Completed(output=self._codecs.encode(output))
        except BaseException as unwritable:
            # Codecs and hooks may raise anything, a Reject, too; the step is done all the same.
            if is_signalled(unwritable):
                raise
            self._journal.failed(command, "the step is done, but its output cannot be sent", unwritable)
            return command_pb2.Completed(output_error=_lost_output(unwritable))

    async def _compensate(self, request: CompensateRequest, handler: StepHandler[Any, Any]) -> Answer:
        command, call = request.command, handler.undo
        if call is None:
            text = f"{self.name!r} has no compensation for {handler.action!r}"
            return self._refused(command, "NO_COMPENSATION", text, "compensation")
        given = (
            request.input if request.HasField("input") else None,
            request.output if request.HasField("output") else None,
        )
        try:
            # Whatever is annotated, a compensation is called: with None for what is not there, or not known.
            values = [
                None if p is None else self._codecs.decode(p, kind) for p, kind in zip(given, call.kinds, strict=False)
            ]
        except CodecError as unreadable:
            return self._unreadable(command, unreadable)
        await call(values, StepContext(request, self._codecs), self._threads, self._told_of_blocking(command))
        return command_pb2.Completed()

    def _told_of_blocking(self, command: command_pb2.CommandContext) -> Callable[[float], None]:
        return partial(self._journal.blocked, command)

    def _rejection(self, command: command_pb2.CommandContext, no: Reject) -> command_pb2.Rejected:
        """However the exception is broken, the answer stays certain."""
        try:
            answer = command_pb2.Rejected(error=no.to_proto())
        except Exception as broken:
            text = f"{describe(no)} (it cannot be written: {describe(broken)})"
            answer = command_pb2.Rejected(error=Reject("REJECTED", text).to_proto())
        self._journal.rejected(command, answer.error.code, answer.error.message)
        return answer

    def _refused(
        self, command: command_pb2.CommandContext, code: str, message: str, kind: ErrorType = "validation"
    ) -> command_pb2.Rejected:
        self._journal.refused(command, code, message)
        return command_pb2.Rejected(error=Reject(code, message, type=kind).to_proto())

    def _unreadable(self, command: command_pb2.CommandContext, error: CodecError) -> command_pb2.Rejected:
        # What cannot be read is no news for the log: the text may quote the payload.
        self._journal.refused(command, "UNDECODABLE_INPUT", "the input is not what the handler is annotated with")
        return command_pb2.Rejected(error=Reject("UNDECODABLE_INPUT", str(error), type="data").to_proto())


def _identifier(handler: StepHandler[Any, Any]) -> str:
    name = str(getattr(handler, "__name__", ""))
    return name if name.isidentifier() else "HANDLER"


def _lost_output(error: BaseException) -> error_pb2.SagaError:
    no = Reject("OUTPUT_INVALID", describe(error), type="data").to_proto()
    no.stack_trace = writable(trace_of(error)[-TRACE_TEXT:])
    return no
