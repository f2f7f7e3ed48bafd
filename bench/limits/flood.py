"""More starts than can be taken, at a fixed rate, whatever becomes of those before.

On the machine's two cores the flood must cost little, or it would be what slows the coordinator: its messages are put
together from bytes, many starts to each, on the stream that clients use anyway; only the answers are read as messages.
It comes as one client's single stream. What it costs nevertheless is reported.

A start is due when its rate says so, and its answer is late by what it came after that: a message that could not be
written at once, because the coordinator read no more or this program was busy, makes no later one's clock start later.
"""

import asyncio
import sys
import time
from itertools import pairwise
from typing import Any

import grpc.aio
from google.rpc import code_pb2

from bench.drivers.loop import PAYLOAD
from swit_saga import AsyncSagaClient
from swit_saga.errors import SagaClientError
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb

TICK_S = 0.02
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
END_S = 120.0
SAMPLE_S = 5.0
TOGETHER = 1_000
"""Outcomes asked for at a time."""


def message(number: int, starts: int, item: bytes) -> bytes:
    """A StartSagasRequest with so many equal starts, all with this item id: what is known of an answer is its message.

    ``item`` is the encoded StartSagaRequest.
    """
    whole = pb.StartSagasRequest.Item(item_id=number).SerializeToString() + _field(
        pb.StartSagasRequest.Item.START_FIELD_NUMBER, item
    )
    return _field(pb.StartSagasRequest.ITEMS_FIELD_NUMBER, whole) * starts


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


async def flood(target: str, client: AsyncSagaClient, rate: float, seconds: float) -> dict[str, Any]:
    """Offer ``rate`` starts a second for so long, then see every admitted saga to its end.

    Returns:
        ``offered``, ``admitted``, ``rejected`` (with RESOURCE_EXHAUSTED), ``bare`` of these (without RetryInfo),
        ``other`` answers and ``unanswered`` starts; ``rejected_p50_ms``, ``rejected_p99_ms`` and ``admitted_p99_ms``
        from when the message was due to the answer read; ``behind_ms``, by which the latest message was written after
        it was due; ``completed_per_s`` while it lasted, and in each five seconds of it; ``completed`` of those
        admitted in the end, and this process's ``cpu_share`` of one core.
    """
    start = pb.StartSagaRequest(definition_id="four", initial_data=Codecs().encode(PAYLOAD)).SerializeToString()
    due_at: list[float] = []
    admitted: list[str] = []
    admitted_late: list[float] = []
    late: list[float] = []
    other = bare = offered = 0
    behind = 0.0

    async def read(call: Any) -> None:
        nonlocal other, bare
        while (response := await call.read()) is not grpc.aio.EOF:
            now = time.perf_counter()
            for item in response.items:
                if item.status.code == code_pb2.OK:
                    admitted.append(item.saga.id)
                    admitted_late.append(now - due_at[item.item_id - 1])
                elif item.status.code == code_pb2.RESOURCE_EXHAUSTED:
                    late.append(now - due_at[item.item_id - 1])
                    bare += not any(d.type_url == RETRY_INFO for d in item.status.details)
                else:
                    other += 1

    async def count() -> None:
        while True:
            seen.append((time.perf_counter(), (await client.metrics()).completed_sagas))
            await asyncio.sleep(SAMPLE_S)

    seen: list[tuple[float, int]] = []
    completed_before = (await client.metrics()).completed_sagas
    cpu = time.process_time()
    begun = time.perf_counter()
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.stream_stream(
            "/swit_saga.v1.CoordinatorService/StartSagas",
            request_serializer=lambda made: made,
            response_deserializer=pb.StartSagasResponse.FromString,
        )()
        reading, counting = asyncio.create_task(read(call)), asyncio.create_task(count())
        while (elapsed := time.perf_counter() - begun) < seconds:
            due_at.append(begun + len(due_at) * TICK_S)
            await asyncio.sleep(max(due_at[-1] - time.perf_counter(), 0))
            behind = max(behind, time.perf_counter() - due_at[-1])
            if due := int(rate * len(due_at) * TICK_S) - offered:
                await call.write(message(len(due_at), due, start))
                offered += due
        elapsed = time.perf_counter() - begun
        cpu = time.process_time() - cpu
        completed = (await client.metrics()).completed_sagas - completed_before
        counting.cancel()
        await call.done_writing()
        async with asyncio.timeout(END_S):
            await reading
    return {
        "offered": offered,
        "seconds": elapsed,
        "admitted": len(admitted),
        "rejected": len(late),
        "bare": bare,
        "other": other,
        "unanswered": offered - len(admitted) - len(late) - other,
        "rejected_p50_ms": _percentile(late, 50) * 1e3,
        "rejected_p99_ms": _percentile(late, 99) * 1e3,
        "admitted_p99_ms": _percentile(admitted_late, 99) * 1e3,
        "behind_ms": behind * 1e3,
        "completed_per_s": completed / elapsed,
        "completed_per_s_each_5_s": [round((b - a) / (t - s)) for (s, a), (t, b) in pairwise(seen)],
        "cpu_share": cpu / elapsed,
        "completed": await _completed(client, admitted),
    }


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100] if values else 0.0


async def _completed(client: AsyncSagaClient, saga_ids: list[str]) -> int:
    """How many of them complete; each counts once."""
    todo = iter(set(saga_ids))
    found = 0

    async def asker() -> None:
        nonlocal found
        for saga_id in todo:
            try:
                result = await client.result(saga_id, str)
            except SagaClientError as other_outcome:
                print(saga_id, repr(other_outcome), file=sys.stderr)
            else:
                found += result == PAYLOAD

    async with asyncio.timeout(END_S), asyncio.TaskGroup() as askers:
        for _ in range(TOGETHER):
            askers.create_task(asker())
    return found
