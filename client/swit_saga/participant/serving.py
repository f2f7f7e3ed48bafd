"""A participant over gRPC: the servicer, and a small server for programs that have none."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from swit_saga.forks import enter_grpc_with_asyncio, give_children_their_signals
from swit_saga.limits import MAX_MESSAGE_BYTES
from swit_saga.listening import checked_listening
from swit_saga.loops import running_loop
from swit_saga.participant.answers import ANSWER_BYTES, sendable
from swit_saga.participant.execution import Answer, Execution
from swit_saga.participant.failures import TooLate, describe, is_signalled, trace_of
from swit_saga.participant.journal import Journal
from swit_saga.participant.stream import ParticipantStreamServicer
from swit_saga.standing import StandingServer
from swit_saga.v1 import command_pb2, participant_service_pb2_grpc, participant_stream_service_pb2_grpc
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)

R = TypeVar("R", ExecuteResponse, CompensateResponse)

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    # A Compensate has the step's input, its output and the saga's initial data: thrice what a coordinator allows one.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Two processes on one port would share its calls by chance.
    ("grpc.so_reuseport", 0),
)
DRAIN_S = 20.0
ENDING = (signal.SIGTERM, signal.SIGINT)
MESSAGE_BYTES, TRACE_BYTES = 500, 3_000
"""gRPC carries the status in headers, and a peer may refuse those beyond 8 KiB. There the message stands twice, once
with three characters for a byte, and the traceback takes a third more than it has.
"""


class ParticipantServicer(participant_service_pb2_grpc.ParticipantServiceServicer):
    """Calls a participant for each RPC. For grpc.aio servers only: on a sync server it would fail to serialise."""

    def __init__(self, participant: Execution) -> None:
        self._participant = participant

    async def Execute(self, request: ExecuteRequest, context: grpc.aio.ServicerContext[Any, Any]) -> ExecuteResponse:
        """Do the step."""
        try:
            response = await self._participant.execute(request)
        except Exception as error:
            await _abort(context, error)
        return _sendable(response)

    async def Compensate(
        self, request: CompensateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> CompensateResponse:
        """Undo the step."""
        try:
            response = await self._participant.compensate(request)
        except Exception as error:
            await _abort(context, error)
        return _sendable(response)


def _sendable(response: R) -> R:
    rejected = response.WhichOneof("answer") == "rejected"
    answer: Answer = response.rejected if rejected else response.completed
    size = answer.ByteSize()
    if size <= ANSWER_BYTES:
        return response
    made = sendable(answer, size)
    kind = type(response)
    return kind(rejected=made) if isinstance(made, command_pb2.Rejected) else kind(completed=made)


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """An ordinary exception: a status that no coordinator takes for a rejection, with the traceback for the record."""
    code = code_pb2.DEADLINE_EXCEEDED if isinstance(error, TooLate) else code_pb2.UNKNOWN
    text = trace_of(error).encode(errors="backslashreplace")[-TRACE_BYTES:].decode(errors="ignore")
    detail = AnyMessage()
    detail.Pack(error_details_pb2.DebugInfo(stack_entries=text.splitlines(), detail=type(error).__name__))
    message = describe(error).encode(errors="backslashreplace")[:MESSAGE_BYTES].decode(errors="ignore")
    status = rpc_status.to_status(status_pb2.Status(code=code, message=message, details=[detail]))
    await context.abort_with_status(status)
    raise AssertionError("abort_with_status returned")


@dataclass(frozen=True, slots=True)
class Serving:
    """A participant's running server."""

    server: StandingServer
    port: int


def add_to(participant: Execution, server: grpc.aio.Server) -> ParticipantStreamServicer:
    """Have ``server`` serve the participant, by unary calls and by the batched stream.

    Returns:
        The stream's servicer, whose ``end`` lets a stopping server stop early.

    Raises:
        TypeError: The server is not one of grpc.aio: every answer would fail on it.
    """
    if isinstance(server, grpc.Server):
        raise TypeError("a participant's handlers are async, and this server is not: make it by grpc.aio.server()")
    streams = ParticipantStreamServicer(participant)
    participant_service_pb2_grpc.add_ParticipantServiceServicer_to_server(ParticipantServicer(participant), server)
    participant_stream_service_pb2_grpc.add_ParticipantStreamServiceServicer_to_server(streams, server)
    return streams


@asynccontextmanager
async def serve(participant: Execution, listen: str) -> AsyncIterator[Serving]:
    """Serve while the context lasts; on leaving, running handlers are finished first, at most ``DRAIN_S``.

    Raises:
        RuntimeError: The address cannot be listened at; the message says why.
        ForkedError: This process was forked off one that had used gRPC with asyncio.
    """
    # Before gRPC tries: it would say what is wrong on standard error, in its own words, and take a port past 65535.
    address = checked_listening(listen, f"another {participant.name!r}, or another program,")
    enter_grpc_with_asyncio()
    streams: list[ParticipantStreamServicer] = []

    def made() -> grpc.aio.Server:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        streams[:] = [add_to(participant, server)]
        return server

    server = StandingServer(made, address, Journal(participant.name).fell)
    await server.start()
    try:
        yield Serving(server, server.port)
    finally:
        stop_by = asyncio.get_running_loop().time() + DRAIN_S
        streams[0].end()
        await server.stop(DRAIN_S)
        await participant.drained(max(stop_by - asyncio.get_running_loop().time(), 0.0))


def run(participant: Execution, listen: str) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs; a second one ends it at once.

    Raises:
        RuntimeError: An event loop runs here already, or the address cannot be listened at.
    """
    if running_loop() is not None:
        how = f"async with {participant.name}.serve({listen!r})"
        raise RuntimeError(f"run() has an event loop of its own, and one runs here already: write '{how}'")

    before = {int(number): signal.getsignal(number) for number in ENDING}
    participant.keep_nobody_waiting()

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def on_signal() -> None:
            for number in ENDING:
                loop.remove_signal_handler(number)
            stop.set()

        for number in ENDING:
            loop.add_signal_handler(number, on_signal)
        give_children_their_signals(before)
        async with serve(participant, listen) as serving:
            actions = ", ".join(sorted(participant.actions))
            with suppress(OSError, ValueError):  # Nobody has to read it.
                print(f"participant {participant.name} on port {serving.port}: {actions}", flush=True)
            await stop.wait()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        serving = loop.create_task(main())
        while True:
            try:
                loop.run_until_complete(serving)
                return
            except (SystemExit, KeyboardInterrupt) as error:
                # A task or a callback that a handler left behind raised it. Those asked to end the program do.
                if serving.done() or is_signalled(error):
                    raise
                Journal(participant.name).stray(error)
            except RuntimeError as stopped:
                # The loop was stopped by what a handler did; nothing of it is lost.
                if serving.done():
                    raise
                Journal(participant.name).stray(stopped)
