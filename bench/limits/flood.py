"""More starts than can be taken, at a fixed rate, whatever becomes of those before.

On the machine's two cores the flood must cost little, or it would be what slows the coordinator: its messages are put
together from bytes, many starts to each, on the stream that clients use anyway; only the answers are read as messages.
"""

import asyncio
import time
from typing import Any

import grpc.aio
from google.rpc import code_pb2, error_details_pb2

from bench.drivers.loop import PAYLOAD
from swit_saga import AsyncSagaClient
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb

TICK_S = 0.02
END_S = 120.0
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
        ``offered``, ``admitted``, ``rejected`` (with RESOURCE_EXHAUSTED and RetryInfo), ``other`` answers,
        ``rejected_p50_ms`` and ``rejected_p99_ms`` from the message written to the answer read, ``completed_per_s``
        while it lasted, ``completed`` of those admitted in the end, and this process's ``cpu_share`` of one core.
    """
    start = pb.StartSagaRequest(definition_id="four", initial_data=Codecs().encode(PAYLOAD)).SerializeToString()
    sent: list[float] = []
    admitted: list[str] = []
    late: list[float] = []
    other = 0
    offered = 0
    with_info = True

    async def read(call: Any) -> None:
        nonlocal other, with_info
        while (response := await call.read()) is not grpc.aio.EOF:
            now = time.perf_counter()
            for item in response.items:
                if item.status.code == code_pb2.OK:
                    admitted.append(item.saga.id)
                elif item.status.code == code_pb2.RESOURCE_EXHAUSTED:
                    late.append(now - sent[item.item_id - 1])
                    if len(late) % 1_000 == 1:
                        with_info = with_info and any(
                            d.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for d in item.status.details
                        )
                else:
                    other += 1

    completed_before = (await client.metrics()).completed_sagas
    cpu = time.process_time()
    begun = time.perf_counter()
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.stream_stream(
            "/swit_saga.v1.CoordinatorService/StartSagas",
            request_serializer=lambda made: made,
            response_deserializer=pb.StartSagasResponse.FromString,
        )()
        reading = asyncio.create_task(read(call))
        while (elapsed := time.perf_counter() - begun) < seconds:
            due = int(rate * elapsed) - offered
            if due > 0:
                sent.append(time.perf_counter())
                await call.write(message(len(sent), due, start))
                offered += due
            await asyncio.sleep(TICK_S)
        elapsed = time.perf_counter() - begun
        cpu = time.process_time() - cpu
        completed = (await client.metrics()).completed_sagas - completed_before
        await call.done_writing()
        async with asyncio.timeout(END_S):
            await reading
    late.sort()
    return {
        "offered": offered,
        "seconds": elapsed,
        "admitted": len(admitted),
        "rejected": len(late),
        "with_retry_info": with_info,
        "other": other,
        "rejected_p50_ms": late[len(late) // 2] * 1e3 if late else 0.0,
        "rejected_p99_ms": late[len(late) * 99 // 100] * 1e3 if late else 0.0,
        "completed_per_s": completed / elapsed,
        "cpu_share": cpu / elapsed,
        "completed": await _completed(client, admitted),
    }


async def _completed(client: AsyncSagaClient, saga_ids: list[str]) -> int:
    """How many of them complete. Raises if one has another outcome."""
    todo = iter(saga_ids)
    found = 0

    async def asker() -> None:
        nonlocal found
        for saga_id in todo:
            await client.result(saga_id, str)
            found += 1

    async with asyncio.timeout(END_S), asyncio.TaskGroup() as askers:
        for _ in range(TOGETHER):
            askers.create_task(asker())
    return found
