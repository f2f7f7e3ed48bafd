"""Every field of Saga, StepState, CompensationState, SagaError and SagaEvent is really filled, in some run."""

import asyncio
from collections import defaultdict
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from swit_saga import AsyncSagaClient, Participant, Saga, SagaHandle, Step, StepContext, fixed
from swit_saga.v1 import error_pb2, event_pb2, saga_pb2
from tests.support.rpc.serve import ORDER, RETRY, serve
from tests.support.waiting import eventually

MESSAGES: tuple[Descriptor, ...] = (
    saga_pb2.Saga.DESCRIPTOR,
    saga_pb2.StepState.DESCRIPTOR,
    saga_pb2.CompensationState.DESCRIPTOR,
    error_pb2.SagaError.DESCRIPTOR,
    event_pb2.SagaEvent.DESCRIPTOR,
)
FILLED_ELSEWHERE = {
    "Saga": {"stuck", "started_by"},  # On a bug of ours: tests/engine. With authentication: test_principals.
    "SagaError": {"omitted_bytes"},  # Of what does not fit: tests/unit/wire/test_fitting.py.
    "SagaEvent": {"principal"},  # The same.
}
SLOW = Saga(
    "slow",
    retry=RETRY,
    compensation_retry=RETRY,
    steps=[Step("reserve", "shop"), Step("pay", "slow", timeout="10s", metadata={"k": 1})],
)
PATIENT = fixed("20s", max_attempts=3)
WAITING = Saga(
    "waiting", retry=PATIENT, compensation_retry=PATIENT, steps=[Step(n, "shop") for n in ("reserve", "pay")]
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def note(message: Message, seen: dict[str, set[str]]) -> None:
    """Remember which fields are set to other than their default, at any depth."""
    for field, value in message.ListFields():
        seen[message.DESCRIPTOR.name].add(field.name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in value if field.is_repeated else [value]:
                note(part, seen)


async def _note(handle: SagaHandle, seen: dict[str, set[str]]) -> None:
    saga = await handle.get()
    note(saga.proto, seen)
    if saga.is_terminal:
        async for event in handle.watch():
            note(event.proto, seen)


async def _runs(client: AsyncSagaClient) -> list[SagaHandle]:
    """One saga of each ending, and the ways there."""
    await client.register(ORDER)
    wishes: list[dict[str, Any]] = [
        {},
        {"pay": "rejected"},
        {"pay": "flaky"},
        {"pay": "rejected", "release": "flaky"},
        {"pay": "rejected", "release": "rejected"},
    ]
    return [
        await client.start("order", wish, labels={"n": str(n)}, correlation_id="c-1") for n, wish in enumerate(wishes)
    ]


async def test_every_field_is_filled(tmp_path):
    slow, hold = Participant("slow"), asyncio.Event()

    @slow.step("pay")
    async def pay(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
        await hold.wait()
        return order

    @pay.compensate
    async def refund(order: dict[str, Any], output: Any, step: StepContext) -> None:
        await hold.wait()

    seen: defaultdict[str, set[str]] = defaultdict(set)
    async with (
        serve(tmp_path, [slow]) as s,
        AsyncSagaClient(channel=s.channel, service="tests", metadata={"traceparent": TRACEPARENT}) as client,
    ):
        handles = await _runs(client)
        under_way = await client.start(SLOW, {"a": 1}, saga_id="under-way")
        stopped = await client.start(SLOW, {"a": 1}, saga_id="stopped", timeout="300ms")
        await eventually(lambda: s.runtime.engine.transport.in_flight >= 2)
        await _note(under_way, seen)
        waiting = [
            await client.start(WAITING, {"pay": "flaky"}),
            await client.start(WAITING, {"pay": "rejected", "release": "flaky"}),
        ]
        for handle, failure in zip(waiting, ["saga.step.failed", "compensation.step.failed"], strict=True):
            events = handle.watch()
            while (await anext(events)).type != failure:
                pass
            await _note(handle, seen)
        await stopped.wait(states=["compensating"])
        for handle in handles:
            await handle.wait()
    # A restart: what was in flight is sent again.
    async with serve(tmp_path, [slow]) as s, AsyncSagaClient(channel=s.channel) as client:
        await eventually(lambda: s.runtime.engine.transport.in_flight >= 1)
        stopped = client.handle("stopped")
        events = stopped.watch()
        while (await anext(events)).type != "compensation.step.started":
            pass
        await _note(stopped, seen)
        hold.set()
        for saga_id in ["under-way", "stopped", *(h.id for h in handles)]:
            handle = client.handle(saga_id)
            await handle.wait()
            await _note(handle, seen)
    unset = {
        message.name: {f.name for f in message.fields} - seen[message.name] - FILLED_ELSEWHERE.get(message.name, set())
        for message in MESSAGES
    }
    assert {name: fields for name, fields in unset.items() if fields} == {}
