"""Watchers: those that read note what they read; the others read nothing until they are asked what became of them."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import grpc.aio

from swit_saga.errors import from_rpc_error
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc

CHANNELS = 10
NARROW = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
SETTLE_S, CUT_S = 60.0, 30.0


@dataclass(eq=False)
class Watcher:
    """One watch of one saga.

    Attributes:
        call: The stream.
        sequences: Of the events read.
        error: What ended it against its will.
        resume_after: What the coordinator said with that; -1 if nothing.
        latest: The last event's type.
    """

    saga_id: str
    call: Any
    sequences: list[int] = field(default_factory=list)
    error: str = ""
    resume_after: int = -1
    latest: str = ""

    async def read(self) -> None:
        """Note everything, for as long as the stream goes on."""
        try:
            while (message := await self.call.read()) is not grpc.aio.EOF:
                if message.WhichOneof("message") == "event":
                    self.sequences.append(message.event.sequence)
                    self.latest = message.event.type
        except grpc.aio.AioRpcError as broken:
            error = from_rpc_error(broken)
            self.error = error.reason or str(broken.code())
            if "resume_after" in error.fields:
                self.resume_after = int(error.fields["resume_after"])

    def has_until(self, sequence: int) -> bool:
        """No event is missing or twice, from the first to that one at least."""
        return len(self.sequences) >= sequence > 0 and self.sequences == list(range(1, len(self.sequences) + 1))

    @property
    def has_outcome(self) -> bool:
        """It read the event that a completed saga's history ends with."""
        return self.latest == "saga.completed"


class Watching:
    """All watchers of one coordinator."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._channels: list[grpc.aio.Channel] = []
        self._reading: dict[Watcher, asyncio.Task[None]] = {}
        self._idle: list[Watcher] = []

    async def start(self, saga_ids: Sequence[str], reading: int, idle: int) -> dict[str, Any]:
        """Begin; returns once all who read have read the history."""
        self._channels = [grpc.aio.insecure_channel(self._target, options=NARROW) for _ in range(CHANNELS)]
        stubs = cycle([coordinator_service_pb2_grpc.CoordinatorServiceStub(channel) for channel in self._channels])
        ids = cycle(saga_ids)
        for stub, saga_id in zip(islice(stubs, reading), ids, strict=False):
            watcher = Watcher(saga_id, _watch(stub, saga_id, 0))
            self._reading[watcher] = asyncio.create_task(watcher.read())
        for stub, saga_id in zip(islice(stubs, idle), ids, strict=False):
            watcher = Watcher(saga_id, _watch(stub, saga_id, 0))
            await watcher.call.initial_metadata()
            self._idle.append(watcher)
        async with asyncio.timeout(SETTLE_S):
            while not all(w.sequences or w.error for w in self._reading):  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.05)
        return {}

    async def finish(self) -> dict[str, Any]:
        """What they have read; those that did not read do so now, and resume where they are told to."""
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(self._channels[0])
        ends = {saga_id: await _last_sequence(stub, saga_id) for saga_id in {w.saga_id for w in self._reading}}
        until = time.monotonic() + CUT_S
        while time.monotonic() < until and any(len(w.sequences) < ends[w.saga_id] for w in self._reading):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        async with asyncio.timeout(CUT_S):
            await asyncio.gather(*(w.read() for w in self._idle))
        # The message that was in the way comes before the word that it was, and again after resuming.
        cut = [w for w in self._idle if w.error == "SLOW_WATCHER" and 0 <= len(w.sequences) - w.resume_after <= 1]
        for w in cut:
            del w.sequences[w.resume_after :]
        resumed = await asyncio.gather(*(self._resume(w, ends[w.saga_id]) for w in cut))
        return {
            "events": sum(len(w.sequences) for w in self._reading),
            "complete": sum(w.has_until(ends[w.saga_id]) and not w.error for w in self._reading),
            "cut": len(cut),
            "resumed": sum(resumed),
            "errors": sorted({w.error for w in (*self._reading, *self._idle) if w.error}),
        }

    async def _resume(self, watcher: Watcher, until: int) -> bool:
        """Whether the rest came, from where the coordinator said, without a gap."""
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(self._channels[0])
        call = _watch(stub, watcher.saga_id, watcher.resume_after)
        async with asyncio.timeout(CUT_S):
            while len(watcher.sequences) < until and (message := await call.read()) is not grpc.aio.EOF:
                if message.WhichOneof("message") == "event":
                    watcher.sequences.append(message.event.sequence)
        call.cancel()
        return watcher.has_until(until)

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()


class Following:
    """Watchers of the load: one saga in ``SHARE`` is watched from its start, by whoever has watched longest.

    So nobody stays for ever, as nobody does who watches an order of theirs: with 900 watchers and 800 sagas a second
    they stay for nine seconds, over the outcome.

    Attributes:
        watchers: How many there are; 0 until there shall be some.
    """

    SHARE = 8

    def __init__(self, target: str) -> None:
        self._target = target
        self._channels: list[grpc.aio.Channel] = []
        self._stubs: Any = None
        self._open: deque[tuple[Watcher, asyncio.Task[None]]] = deque()
        self._left: list[Watcher] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._started = 0
        self.watchers = 0

    def started(self, saga_id: str) -> None:
        """The load has started this saga. Until there are enough watchers every one is watched."""
        if not self.watchers:
            return
        self._started += 1
        if len(self._open) == self.watchers:
            if self._started % self.SHARE:
                return
            watcher, task = self._open.popleft()
            self._left.append(watcher)
            task.cancel()
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        if not self._channels:
            self._channels = [grpc.aio.insecure_channel(self._target, options=NARROW) for _ in range(CHANNELS)]
            self._stubs = cycle([coordinator_service_pb2_grpc.CoordinatorServiceStub(c) for c in self._channels])
        watcher = Watcher(saga_id, _watch(next(self._stubs), saga_id, 0))
        self._open.append((watcher, asyncio.create_task(watcher.read())))

    async def finish(self) -> dict[str, Any]:
        """What they have read."""
        last = len(self._open)
        until = time.monotonic() + CUT_S
        while time.monotonic() < until and not all(w.has_outcome for w, _ in self._open):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        every = [*self._left, *(w for w, _ in self._open)]
        await self.close()
        return {
            "open": last,
            "watched": len(every),
            "complete": sum(w.has_outcome and w.has_until(1) and not w.error for w in every),
            "events": sum(len(w.sequences) for w in every),
            "errors": sorted({w.error for w in every if w.error}),
        }

    async def close(self) -> None:
        """Hang up. Safe to call twice."""
        self.watchers = 0
        for _, task in self._open:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._open), *self._leaving, return_exceptions=True)
        self._open.clear()
        for channel in self._channels:
            await channel.close()
        self._channels = []


async def _last_sequence(stub: Any, saga_id: str) -> int:
    """Of the saga's history as it is now."""
    request = pb.WatchSagaRequest(saga_id=saga_id, follow=True)
    request.heartbeat_interval.FromMilliseconds(100)
    call = stub.WatchSaga(request)
    last = 0
    async with asyncio.timeout(CUT_S):
        while (message := await call.read()) is not grpc.aio.EOF and message.WhichOneof("message") == "event":
            last = message.event.sequence
    call.cancel()
    return last


def _watch(stub: Any, saga_id: str, after: int) -> Any:
    return stub.WatchSaga(pb.WatchSagaRequest(saga_id=saga_id, after_sequence=after, follow=True))
