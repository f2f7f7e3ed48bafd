"""What a participant does with a command: the handler is called once for all who ask under one key, and answers.

The three answers: a handler that returns has *completed*; one that raises ``Reject`` says that this attempt did not
happen; anything else (an exception, a time-out, a crash) is *unknown* and will be asked again with the same key.

Nothing here knows how commands arrive: ``serving`` and ``stream`` bring them over gRPC, a coordinator in the same
process calls directly.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from swit_saga.errors import CodecError, Portable
from swit_saga.participant.context import ErrorType, Reject, StepContext
from swit_saga.participant.handler import StepHandler
from swit_saga.payload import Codecs
from swit_saga.v1 import command_pb2, payload_pb2
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)

Answer: TypeAlias = command_pb2.Completed | command_pb2.Rejected


class TooLate(Portable):
    """The command came after its not-after time; nothing was started. Means *unknown* to the coordinator."""


class HandlerCancelled(Portable):
    """The handler was cancelled from within; how far it came is not known. Means *unknown* to the coordinator."""

    def __init__(self, action: str) -> None:
        super().__init__(f"the handler of {action!r} was cancelled from within")


class Execution:
    """A named set of handlers, and what of them runs."""

    def __init__(self, name: str, *, codecs: Codecs | None = None, threads: int = 16) -> None:
        """See ``Participant``."""
        self.name = name
        self._codecs = codecs or Codecs()
        self._handlers: dict[str, StepHandler[Any, Any]] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"participant-{name}")
        self._running: dict[object, asyncio.Task[Answer]] = {}

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
            ValueError: The action has one.
        """
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

    async def compensate(self, request: CompensateRequest) -> CompensateResponse:
        """Answer a Compensate. One that meets its Execute still running here waits for it first.

        Raises:
            Exception: As ``execute``.
        """
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
        command = request.command
        # Only a coordinator's commands carry a key; those made by hand without one are nobody's duplicates.
        key: object = command.idempotency_key or object()
        running = self._running.get(key)
        if running is not None:
            return running
        handler = self._handlers.get(command.action)
        if handler is None:
            body = self._unknown_action(command.action)
        else:
            not_after = command.not_after.seconds * 1_000_000_000 + command.not_after.nanos
            if not_after and time.time_ns() > not_after:
                raise TooLate(f"came after its not-after time, {command.not_after.ToJsonString()}; nothing was started")
            body = work(request, handler)
        running = asyncio.create_task(body)
        self._running[key] = running
        running.add_done_callback(lambda done: self._ended(key, done))
        return running

    async def _unknown_action(self, action: str) -> Answer:
        known = ", ".join(sorted(self._handlers)) or "none"
        return _rejected("UNKNOWN_ACTION", f"{self.name!r} has no action {action!r}; known: {known}")

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
            await asyncio.wait(list(self._running.values()), timeout=within_s)

    def _ended(self, key: object, done: "asyncio.Task[Answer]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # Looked at, so that it is not logged as never retrieved when its waiter has left.

    async def _execute(self, request: ExecuteRequest, handler: StepHandler[Any, Any]) -> Answer:
        context = StepContext(request, self._codecs)
        try:
            call = handler.execute
            value = self._codecs.decode(request.input if request.HasField("input") else None, *call.kinds)
        except CodecError as unreadable:
            return _rejected("UNDECODABLE_INPUT", str(unreadable), "data")
        try:
            output = await call([value], context, self._threads)
        except Reject as no:
            return command_pb2.Rejected(error=no.to_proto())
        payload: payload_pb2.Payload | None = self._codecs.encode(output)
        return command_pb2.Completed(output=payload)

    async def _compensate(self, request: CompensateRequest, handler: StepHandler[Any, Any]) -> Answer:
        call = handler.undo
        if call is None:
            return _rejected(
                "NO_COMPENSATION", f"{self.name!r} has no compensation for {handler.action!r}", "compensation"
            )
        context = StepContext(request, self._codecs)
        try:
            given = (
                request.input if request.HasField("input") else None,
                request.output if request.HasField("output") else None,
            )
            # Whatever is annotated, a compensation is called: with None for what is not there, or not known.
            values = [
                None if p is None else self._codecs.decode(p, kind) for p, kind in zip(given, call.kinds, strict=False)
            ]
        except CodecError as unreadable:
            return _rejected("UNDECODABLE_INPUT", str(unreadable), "data")
        try:
            await call(values, context, self._threads)
        except Reject as no:
            return command_pb2.Rejected(error=no.to_proto())
        return command_pb2.Completed()


def _rejected(code: str, message: str, kind: ErrorType = "validation") -> command_pb2.Rejected:
    return command_pb2.Rejected(error=Reject(code, message, type=kind).to_proto())
