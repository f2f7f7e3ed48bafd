"""Random messages and bytes over every RPC of a coordinator: it answers each, and is none the worse for it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from swit_saga_server.rpc.serving import SERVICES
from tests.support.fuzz.extremes import extremes
from tests.support.fuzz.messages import random_bytes
from tests.support.fuzz.requests import valid_requests

METHODS: tuple[Any, ...] = (
    *(method for service in SERVICES for method in service.methods),
    health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name["Check"],
)
OUR_FAULT = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
"""What no caller may get, whatever he sends."""
CALLERS = 16
OPTIONS = [("grpc.max_receive_message_length", 64 << 20)]
PATIENCE_S = 0.3
"""Of a call: many of those that are understood would wait for a saga."""


@dataclass
class Report:
    """What came of it.

    Attributes:
        messages: Sent so far.
        statuses: How many calls, or items of streams, ended so, by method and status.
        faults: Calls that ended as none may, with what was sent, in hex.
        memory: What ``measure`` said, again and again.
    """

    messages: int = 0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield f"{self.messages} messages, {len(self.faults)} faults"
        yield from self.faults[:20]
        for (method, status), count in sorted(self.statuses.items()):
            yield f"{method:<24}{status:<24}{count:>8}"
        if self.memory:
            yield "memory, MB: " + " ".join(f"{value / 1e6:.0f}" for value in self.memory)


async def storm(
    address: str, messages: int, seed: int, ids: list[str], measure: Callable[[], int] | None = None
) -> Report:
    """Send so many, from several callers at once.

    Args:
        address: Of the coordinator.
        messages: In all.
        seed: The same one sends the same messages, in another order between callers.
        ids: Of sagas and definitions that exist.
        measure: The coordinator's memory, bytes; asked twenty times.
    """
    report = Report()
    nearly = {
        name.split()[0]: [extreme.message.SerializeToString() for extreme in extremes(valid)]
        for name, valid in valid_requests().items()
    }
    every = max(messages // 20, 1)

    async def call_on(caller: int) -> None:
        random = Random(f"{seed} {caller}")
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            while report.messages < messages:
                method = random.choice(METHODS)
                count = random.randint(1, 4) if method.client_streaming else 1
                sent = [_message(method, random, ids, nearly) for _ in range(count)]
                before = report.messages
                report.messages += len(sent)
                if measure is not None and before // every != report.messages // every:
                    report.memory.append(measure())
                await _send(channel, streams, method, sent, report)

    with grpc.insecure_channel(address, options=OPTIONS) as streams:
        async with asyncio.TaskGroup() as group:
            for caller in range(CALLERS):
                group.create_task(call_on(caller))
    return report


def _message(method: MethodDescriptor, random: Random, ids: list[str], nearly: Mapping[str, list[bytes]]) -> bytes:
    """Every second one is valid but for one field, where that means anything."""
    if nearly.get(method.name) and random.random() < 0.5:
        return random.choice(nearly[method.name])
    return random_bytes(method.input_type, random, ids)


def _both_ways(channel: grpc.Channel, path: str, sent: list[bytes]) -> list[bytes]:
    """Not by grpc.aio: it says INTERNAL of its own when a stream is refused before all of it was written."""
    raw: Any = channel
    return [*raw.stream_stream(path)(iter(sent), timeout=PATIENCE_S)]


async def _send(
    channel: grpc.aio.Channel, streams: grpc.Channel, method: MethodDescriptor, sent: list[bytes], report: Report
) -> None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    raw: Any = channel  # Without codecs: bytes go out and come in.
    answers: list[bytes]
    try:
        if method.client_streaming:
            answers = await asyncio.to_thread(_both_ways, streams, path, sent)
        elif method.server_streaming:
            answers = [data async for data in raw.unary_stream(path)(sent[0], timeout=PATIENCE_S)]
        else:
            answers = [await raw.unary_unary(path)(sent[0], timeout=PATIENCE_S)]
    except grpc.RpcError as error:
        refused: Any = error
        _note(report, method, refused.code(), refused.details() or "", sent)
    else:
        report.statuses[method.name, "OK"] += 1
        for data in answers:
            _look_into(report, method, data, sent)


def _look_into(report: Report, method: MethodDescriptor, data: bytes, sent: list[bytes]) -> None:
    """Items of a stream have statuses of their own."""
    answer: Any = GetMessageClass(method.output_type).FromString(data)
    if method.client_streaming:
        for item in answer.items:
            code = next(c for c in grpc.StatusCode if c.value[0] == item.status.code)
            _note(report, method, code, item.status.message, sent)


def _note(report: Report, method: MethodDescriptor, code: grpc.StatusCode, details: str, sent: list[bytes]) -> None:
    report.statuses[method.name, code.name] += 1
    if code in OUR_FAULT:
        report.faults.append(f"{method.name}: {code.name} {details[:200]!r} for {[data[:400].hex() for data in sent]}")
