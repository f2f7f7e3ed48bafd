"""What lies between a coordinator and a participant: a ``Connection`` over which the network does as it likes.

The transports are the real ones; what they send is encoded, travels as bytes, and is decoded where it arrives. Calls
are lost, late or doubled here, each by itself; for streams see ``stream``.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from swit_saga.v1.error_pb2 import SagaError
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga_server.core.units import MILLISECOND, SECOND
from swit_saga_server.participants.connection import CallFailed, Metadata
from swit_saga_server.wire import decoding
from tests.support.simulation.receiver import FOR_EVER, Receiver, Reply, Request, named
from tests.support.simulation.scene import Scene
from tests.support.simulation.stream import SimStream


class SimConnection:
    """``Connection`` of one life of a coordinator to one participant."""

    def __init__(self, scene: Scene, coordinator: str, participant: Receiver) -> None:
        """``coordinator`` is the life's name."""
        self.address = participant.name
        self._scene = scene
        self._ends = f"{coordinator}-{participant.name}"
        self._participant = participant
        self._calls: dict[str, int] = {}
        self._streams = 0
        self._stream: SimStream | None = None
        self._watching: list[asyncio.Future[None]] = []
        if scene.loop.ticks < participant.serves_from < FOR_EVER:  # Then another version takes its place.
            scene.later(participant.serves_from - scene.loop.ticks, self.gone)

    def open_stream(self) -> "SimStream":
        """See ``Connection``."""
        self._streams += 1
        if self._stream is not None and self._stream.over_at == self._scene.loop.ticks:
            self._scene.note("queued commands left to the next stream", self.address)
        self._stream = SimStream(self._scene, f"{self._ends}.{self._streams}", self._participant, self.gone)
        return self._stream

    async def execute(self, request: ExecuteRequest, timeout_s: float, metadata: Metadata) -> ExecuteResponse:
        """See ``Connection``."""
        return decoding.execute_response(await self._call(request))

    async def compensate(self, request: CompensateRequest, timeout_s: float, metadata: Metadata) -> CompensateResponse:
        """See ``Connection``."""
        return decoding.compensate_response(await self._call(request))

    async def changed(self) -> None:
        """See ``Connection``."""
        broken: asyncio.Future[None] = self._scene.loop.create_future()
        self._watching.append(broken)
        await broken

    async def close(self) -> None:
        """See ``Connection``."""

    def gone(self) -> None:
        """The connection is found to be broken; another one is made at once."""
        for watching in self._watching:
            if not watching.done():
                watching.set_result(None)
        self._watching.clear()

    async def _call(self, request: Request) -> bytes:
        scene, command = self._scene, named(request)
        self._calls[command] = number = self._calls.get(command, 0) + 1
        fate, late, delay, noticed, reply_fate, reply_late, *_ = scene.rolls("message", self._ends, command, number)
        chance, there = scene.weather.message, (1 + 10 * delay) * MILLISECOND
        response: asyncio.Future[bytes] = scene.loop.create_future()
        sent, kind = request.SerializeToString(), type(request)
        if self._participant.is_streamed:
            scene.note("called for want of a stream", command)

        def reply(said: Reply) -> None:
            if said is None:
                return
            back = (1 + 10 * reply_late) * MILLISECOND
            if reply_fate < scene.weather.message:
                scene.fault("reply_lost", command)
                self._notice(response, noticed)
                return
            if reply_fate < 2 * scene.weather.message:
                scene.fault("reply_late", command)
                back = reply_late * 2 * SECOND
            if isinstance(said, SagaError):
                scene.later(back, _fail, response, CallFailed(said.code, said.message))
            elif isinstance(said, CompensateResponse) is not isinstance(request, CompensateRequest):
                # No server could send what is no response to this call.
                scene.later(back, _fail, response, CallFailed("INTERNAL", "simulated"))
            else:
                scene.later(back, _answer, response, said.SerializeToString())

        def arrive(copy: int, answered: Callable[[Reply], None]) -> None:
            self._participant.receive(kind.FromString(sent), copy, answered)

        if fate < chance:
            scene.fault("request_lost", command)
            self._notice(response, noticed)
            return await response
        if fate < 2 * chance:
            scene.fault("request_late", command)
            there = late * 2.5 * SECOND
        elif fate < 3 * chance:
            scene.fault("request_doubled", command)  # By a proxy, say.
            scene.later(late * 3 * SECOND, arrive, 2, lambda said: None)
        scene.later(there, arrive, 1, reply)
        return await response

    def _notice(self, response: "asyncio.Future[bytes]", roll: float) -> None:
        """A broken connection is noticed at once by some, and only at the deadline by others."""
        if roll < 0.5:
            self._scene.later(roll * SECOND, _fail, response, CallFailed("UNAVAILABLE", "simulated"))
            self._scene.later(roll * SECOND, self.gone)


def _answer(response: "asyncio.Future[Any]", result: Any) -> None:
    if not response.done():
        response.set_result(result)


def _fail(response: "asyncio.Future[Any]", failed: CallFailed) -> None:
    if not response.done():
        response.set_exception(failed)
