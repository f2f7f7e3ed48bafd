"""Every field of every request at its extremes: refused by the field's path, or lived with, over a restart too."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from swit_saga import AsyncSagaClient, Participant, StepContext
from swit_saga_server.config import SagaConfig
from swit_saga_server.rpc.server import serving
from swit_saga_server.rpc.serving import SERVICES
from swit_saga_server.runtime import Runtime
from tests.support.fuzz.extremes import Extreme, extremes
from tests.support.fuzz.requests import KNOWN, valid_requests
from tests.support.rpc.serve import ORDER

METHODS = {method.name: method for service in SERVICES for method in service.methods}
REFUSED = frozenset(
    {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "UNIMPLEMENTED", "OUT_OF_RANGE", "FAILED_PRECONDITION"}
)
TOO_MUCH = "RESOURCE_EXHAUSTED"
TOGETHER = 32


def _shop() -> Participant:
    """Does whatever it is asked, with whatever."""
    shop = Participant("shop")
    for action in ("reserve", "pay"):

        @shop.step(action)
        async def do(given: Any, step: StepContext) -> None: ...

        @do.compensate
        async def undo(given: Any, output: Any, step: StepContext) -> None: ...

    return shop


@asynccontextmanager
async def _serving(storage: dict[str, Any]) -> AsyncIterator[tuple[grpc.aio.Channel, AsyncSagaClient]]:
    made = SagaConfig.load(
        overrides={
            "coordinator": {"name": "here", "step_timeout": "2s"},
            "storage": storage,
            "server": {"listen": "127.0.0.1:0", "drain_timeout": "1s"},
        }
    )
    runtime = Runtime(made, [_shop()], None, None)
    await runtime.start()
    async with (
        serving(made, runtime) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        AsyncSagaClient(channel=channel, timeout="20s") as client,
    ):
        yield channel, client


@pytest.mark.timeout(240)
async def test_every_field_at_its_extremes(storage):
    faults: list[str] = []
    async with _serving(storage) as (channel, client):
        await client.register(ORDER)
        await (await client.start("order", {}, saga_id=KNOWN)).wait()
        # The door is the same before both stores; what passes it differs in how it is written.
        accepted = await _send_all(channel, faults, every=3 if "redis" in storage else 1)
        assert len(accepted) > 100
        faults += await _read_all(client, accepted)
    async with _serving(storage) as (_, client):
        faults += await _read_all(client, accepted)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])


async def _send_all(channel: grpc.aio.Channel, faults: list[str], every: int) -> set[str]:
    """Each variant of each request, or one of so many; the ids of the sagas that were accepted."""
    accepted: set[str] = {KNOWN}
    variants = [(name.split()[0], extreme) for name, valid in valid_requests().items() for extreme in extremes(valid)]
    waiting = iter(enumerate(variants[::every]))

    async def sender() -> None:
        for n, (name, extreme) in waiting:
            _name_saga(extreme, f"new-{n}")
            wrong = await _send(channel, name, extreme, accepted)
            if wrong:
                faults.append(f"{extreme}: {wrong}")

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(sender())
    return accepted


def _name_saga(extreme: Extreme, saga_id: str) -> None:
    message: Any = extreme.message
    for start in (message, *(item.start for item in getattr(message, "items", ()) if hasattr(item, "start"))):
        if "definition_id" in start.DESCRIPTOR.fields_by_name and getattr(start, "saga_id", "") == "new":
            start.saga_id = saga_id


async def _send(channel: grpc.aio.Channel, name: str, extreme: Extreme, accepted: set[str]) -> str:
    """What is wrong with how it was answered; empty if nothing is."""
    method = METHODS[name]
    message: Any = extreme.message
    path = f"/{method.containing_service.full_name}/{name}"
    codec: dict[str, Any] = {
        "request_serializer": type(message).SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    try:
        if method.client_streaming:
            stream = channel.stream_stream(path, **codec)(iter([message]), timeout=10)
            for item in [item async for answer in stream for item in answer.items]:
                if item.status.code:
                    status = status_pb2.Status(code=item.status.code, details=item.status.details)
                    return _judged(extreme, status, item.status.message)
                accepted.add(item.saga.id)
        elif method.server_streaming:
            async for _ in channel.unary_stream(path, **codec)(message, timeout=1):
                pass
        else:
            answer = await channel.unary_unary(path, **codec)(message, timeout=10)
            if name == "StartSaga":
                accepted.add(answer.saga.id)
    except grpc.aio.AioRpcError as error:
        if name == "WatchSaga" and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ""  # One that follows on.
        found = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        status = status_pb2.Status.FromString(found) if isinstance(found, bytes) else status_pb2.Status()
        status.code = error.code().value[0]
        return _judged(extreme, status, error.details() or "")
    return ""


def _judged(extreme: Extreme, status: status_pb2.Status, text: str) -> str:
    code = next(c.name for c in grpc.StatusCode if c.value[0] == status.code)
    if code == TOO_MUCH:
        is_said = any(words in text for words in ("bytes", "larger", "would wait"))
        return "" if is_said else f"{code} {text[:200]}"
    if code not in REFUSED:
        return f"{code} {text[:200]}"
    if code != "INVALID_ARGUMENT":
        return ""
    named = [_bare(v.field) for v in _violations(status)]
    path = _bare(re.sub(r"^items\[0\]\.(start|wait)\.", "", extreme.path))
    if extreme.message.DESCRIPTOR.name in {"RegisterDefinitionRequest", "ValidateDefinitionRequest"}:
        path = path.removeprefix("definition.")
    # What a field must be may depend on its neighbour: a retry policy's delays, a step's participant and its action.
    meant = path.rpartition(".")[0] or path
    if path == "items" or any(meant.startswith(field) or field.startswith(meant) for field in named):
        return ""
    return f"refused without its path: {named} {text[:200]}"


def _violations(status: status_pb2.Status) -> Iterator[error_details_pb2.BadRequest.FieldViolation]:
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            yield from bad.field_violations


def _bare(path: str) -> str:
    return re.sub(r"\[.*?\]", "", path, flags=re.DOTALL)


async def _read_all(client: AsyncSagaClient, accepted: set[str]) -> list[str]:
    faults = []
    listed = {saga.id for saga in [saga async for saga in client.list(page_size=50)]}
    faults += [f"{saga_id!r} is not listed" for saga_id in accepted - listed]
    for saga_id in accepted:
        try:
            saga = await client.get(saga_id)
            _read(saga)
            async for event in client.watch(saga_id):
                _read(event)
                if event.sequence >= saga.proto.last_sequence:
                    break
        except Exception as error:
            faults.append(f"{saga_id!r} cannot be read: {type(error).__name__} {error}"[:300])
    async for found in client.definitions.list():
        MessageToDict(found)
    return faults


def _read(view: Any) -> None:
    """Whatever a program may read of it."""
    proto: Message = view.proto
    MessageToDict(proto)
    for name in dir(view):
        if not name.startswith("_"):
            getattr(view, name)
    repr(view)
