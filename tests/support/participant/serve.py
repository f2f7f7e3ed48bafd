"""A participant's own server and a connection to it, by a call per command or by the batched stream."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from swit_saga.v1.participant_service_pb2 import CompensateRequest, ExecuteRequest
from swit_saga.v1.participant_service_pb2_grpc import ParticipantServiceStub
from swit_saga.v1.participant_stream_service_pb2 import StreamCommand, StreamRequest
from swit_saga.v1.participant_stream_service_pb2_grpc import ParticipantStreamServiceStub


class Lost(grpc.aio.AioRpcError):
    """No certain answer by the stream, told as a call tells it."""

    def __init__(self, code: grpc.StatusCode, details: str, stack_trace: str = "") -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
        self.stack_trace = stack_trace


class StreamStub:
    """The calls of ``ParticipantServiceStub``, by one stream. A call that is cancelled is withdrawn."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub: Any = ParticipantStreamServiceStub(channel)
        self._stream = stub.Stream()
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._credits = 0
        self._began = asyncio.Event()
        self._out: asyncio.Queue[StreamRequest] = asyncio.Queue()  # gRPC takes one write at a time.
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def Execute(self, request: ExecuteRequest, timeout: float | None = None) -> "asyncio.Task[Any]":
        """See ``ParticipantService``."""
        return asyncio.create_task(self._call(timeout, execute=request))

    def Compensate(self, request: CompensateRequest, timeout: float | None = None) -> "asyncio.Task[Any]":
        """See ``ParticipantService``."""
        return asyncio.create_task(self._call(timeout, compensate=request))

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, timeout_s: float | None, **request: Any) -> Any:
        await self._began.wait()
        if not self._credits:
            raise Lost(grpc.StatusCode.UNAVAILABLE, "the participant takes nothing now")
        self._credits -= 1
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        self._out.put_nowait(StreamRequest(commands=[StreamCommand(command_id=number, **request)]))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            self._out.put_nowait(StreamRequest(withdrawn=[number]))
            raise Lost(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        except asyncio.CancelledError:
            self._out.put_nowait(StreamRequest(withdrawn=[number]))
            raise
        finally:
            self._open.pop(number, None)

    async def _write(self) -> None:
        while True:
            await self._stream.write(await self._out.get())

    async def _read(self) -> None:
        try:
            while (response := await self._stream.read()) is not grpc.aio.EOF:
                for said in response.answers:
                    answer = self._open.pop(said.command_id, None)
                    if answer is None:
                        continue
                    what = said.WhichOneof("response")
                    if what == "unknown":
                        error = said.unknown
                        answer.set_exception(
                            Lost(grpc.StatusCode[error.code], error.message, error.stack_trace),
                        )
                    else:
                        answer.set_result(getattr(said, what))
                self._credits = response.credits
                self._began.set()
        except grpc.aio.AioRpcError as broken:
            for answer in self._open.values():
                answer.set_exception(Lost(broken.code(), broken.details() or ""))
        finally:
            self._credits = 0
            self._began.set()


@asynccontextmanager
async def by_calls(port: int) -> AsyncIterator[Any]:
    """A connection for a call per command."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ParticipantServiceStub(channel)


@asynccontextmanager
async def by_stream(port: int) -> AsyncIterator[Any]:
    """A connection for a stream."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = StreamStub(channel)
        try:
            yield stub
        finally:
            await stub.close()


def trace_of(error: grpc.aio.AioRpcError) -> list[str]:
    """The lines of the traceback that came with it."""
    if isinstance(error, Lost):
        return error.stack_trace.splitlines()
    status, found = rpc_status.from_call(error), error_details_pb2.DebugInfo()  # type: ignore[arg-type]
    assert status is not None
    assert any(d.Unpack(found) for d in status.details)
    assert found.detail in (error.details() or ""), "the exception's name"
    return list(found.stack_entries)
