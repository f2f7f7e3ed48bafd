"""Watchers: those that read note what they read; the others read nothing until they are asked what became of them."""

import asyncio
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
    """

    saga_id: str
    call: Any
    sequences: list[int] = field(default_factory=list)
    error: str = ""
    resume_after: int = -1

    async def read(self) -> None:
        """Note everything, for as long as the stream goes on."""
        try:
            while (message := await self.call.read()) is not grpc.aio.EOF:
                if message.WhichOneof("message") == "event":
                    self.sequences.append(message.event.sequence)
        except grpc.aio.AioRpcError as broken:
            error = from_rpc_error(broken)
            self.error = error.reason or str(broken.code())
            if "resume_after" in error.fields:
                self.resume_after = int(error.fields["resume_after"])

    @property
    def has_all(self) -> bool:
        """No event is missing or twice, from the first to the last it read."""
        return self.sequences == list(range(1, len(self.sequences) + 1)) and bool(self.sequences)


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
        at = {w: len(w.sequences) for w in self._reading}
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        ends: dict[str, int] = {}
        for w, count in at.items():
            ends[w.saga_id] = max(ends.get(w.saga_id, 0), count)
        async with asyncio.timeout(CUT_S):
            await asyncio.gather(*(w.read() for w in self._idle))
        # The message that was in the way comes before the word that it was, and again after resuming.
        cut = [w for w in self._idle if w.error == "SLOW_WATCHER" and 0 <= len(w.sequences) - w.resume_after <= 1]
        for w in cut:
            del w.sequences[w.resume_after :]
        resumed = await asyncio.gather(*(self._resume(w, ends[w.saga_id]) for w in cut))
        return {
            "events": sum(at.values()),
            "complete": sum(w.has_all and not w.error for w in self._reading),
            "behind": max(ends[w.saga_id] - count for w, count in at.items()),
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
        return watcher.has_all and len(watcher.sequences) >= until

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()


def _watch(stub: Any, saga_id: str, after: int) -> Any:
    return stub.WatchSaga(pb.WatchSagaRequest(saga_id=saga_id, after_sequence=after, follow=True))
