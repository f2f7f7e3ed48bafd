"""Sagas far larger than a message, over real sockets: read, listed, watched and waited for, on both stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from swit_saga import (
    AsyncSagaClient,
    InvalidRequestError,
    Participant,
    Payload,
    PayloadLeftOut,
    Reject,
    Saga,
    SagaClient,
    SagaCompensated,
    Step,
    StepContext,
)
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, definition_service_pb2_grpc
from swit_saga.v1 import definition_service_pb2 as dpb
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.rpc.server import serving
from swit_saga_server.runtime import Runtime, open_runtime
from swit_saga_server.service import Limits
from tests.support.waiting import eventually

MIB = 1 << 20
STOCK = 4 * MIB
"""What a gRPC client receives that nobody told otherwise."""


class Grower:
    """A participant whose steps return so many bytes; a step named ``gate`` waits until it is opened."""

    def __init__(self, size: int) -> None:
        self.participant = Participant("grower")
        self.gate = asyncio.Event()
        self.undone: list[str] = []

        @self.participant.step("grow")
        async def grow(data: bytes, step: StepContext) -> bytes:
            return step.step_id[-1:].encode() * size

        @grow.compensate
        async def shrink(data: bytes, output: bytes, step: StepContext) -> None:
            self.undone.append(step.step_id)

        @self.participant.step("gate")
        async def gate(data: bytes) -> bytes:
            await self.gate.wait()
            return b"done" * (size // 4)

        @self.participant.step("reject")
        async def reject(data: bytes) -> None:
            raise Reject("NO", "m" * 4_000)


def grow(name: str, count: int, last: str = "grow") -> Saga:
    steps = [Step(f"s{i}", "grower", "grow", timeout="30s") for i in range(count - 1)]
    return Saga(name, [*steps, Step("last", "grower", last, timeout="30s", compensation=False)])


@asynccontextmanager
async def served(storage: dict[str, Any], grower: Grower, **coordinator: Any) -> AsyncIterator[tuple[Runtime, str]]:
    server = {"listen": "127.0.0.1:0", "drain_timeout": "100ms"}
    config = SagaConfig.load(overrides={"storage": storage, "coordinator": coordinator, "server": server})
    async with open_runtime(config, [grower.participant], grace_s=0.1) as runtime, serving(config, runtime) as made:
        yield runtime, f"127.0.0.1:{made.port}"


class Stock:
    """Every reading call, over a channel that nobody told to receive more; no answer may be over the budget."""

    def __init__(self, channel: grpc.aio.Channel, budget: int = Limits().message) -> None:
        self.coordinator: Any = coordinator_service_pb2_grpc.CoordinatorServiceStub(channel)
        self.definitions: Any = definition_service_pb2_grpc.DefinitionServiceStub(channel)
        self.budget = budget

    def checked(self, response: Any) -> Any:
        assert response.ByteSize() <= self.budget
        return response

    async def get(self, saga_id: str, *step_ids: str) -> Any:
        return self.checked(await self.coordinator.GetSaga(pb.GetSagaRequest(saga_id=saga_id, step_ids=step_ids))).saga

    async def wait(self, saga_id: str, view: Any) -> Any:
        return self.checked(await self.coordinator.WaitSaga(pb.WaitSagaRequest(saga_id=saga_id, view=view))).saga

    async def pages(self, view: Any, size: int = 1_000) -> list[list[str]]:
        pages: list[list[str]] = []
        token = ""
        while not pages or token:
            request = pb.ListSagasRequest(view=view, page_size=size, page_token=token)
            found = self.checked(await self.coordinator.ListSagas(request))
            assert found.sagas or not pages, "no page is empty"
            pages.append([saga.id for saga in found.sagas])
            token = found.next_page_token
        return pages

    async def waits(self, saga_ids: list[str], view: Any) -> list[Any]:
        call = self.coordinator.WaitSagas()
        items = [
            pb.WaitSagasRequest.Item(item_id=n, wait=pb.WaitSagaRequest(saga_id=i, view=view))
            for n, i in enumerate(saga_ids)
        ]
        await call.write(pb.WaitSagasRequest(items=items))
        found: list[Any] = []
        while len(found) < len(saga_ids):
            found += self.checked(await call.read()).items
        await call.done_writing()
        return sorted(found, key=lambda item: item.item_id)

    async def watch(self, saga_id: str) -> list[Any]:
        request = pb.WatchSagaRequest(saga_id=saga_id)
        return [self.checked(m).event async for m in self.coordinator.WatchSaga(request)]


@pytest.mark.timeout(120)
async def test_forty_steps_of_a_megabyte(storage: dict[str, Any]) -> None:
    """A saga of 40 MB at default settings: begun, taken up by the next life, ended, and read by a stock client."""
    grower = Grower(MIB)
    async with served(storage, grower) as (_, address), AsyncSagaClient(address) as client:
        await client.register(grow("large", 40, "gate"))
        await client.start("large", b"i" * MIB, saga_id="forty")

        async def at_the_gate() -> bool:
            return (await client.get("forty", full=False)).current_step == 39

        await eventually(at_the_gate, within_s=30)
    grower.gate.set()
    async with served(storage, grower) as (_, address), grpc.aio.insecure_channel(address) as channel:
        stock = Stock(channel)
        saga = await stock.wait("forty", pb.SAGA_VIEW_FULL)
        assert saga == await stock.get("forty")
        assert (len(saga.initial_data.binary), len(saga.result_data.binary)) == (MIB, MIB)
        assert len((await stock.wait("forty", pb.SAGA_VIEW_RESULT)).result_data.binary) == MIB
        assert [len(step.output_data.binary) + step.output_data.omitted_bytes for step in saga.step_states] == [
            MIB
        ] * 40
        for step in saga.step_states[::13]:  # The first, the last, and two that were left out.
            (alone,) = (await stock.get("forty", step.id)).step_states
            assert (len(alone.input_data.binary), len(alone.output_data.binary)) == (MIB, MIB)
        assert await stock.pages(pb.SAGA_VIEW_FULL) == await stock.pages(pb.SAGA_VIEW_BASIC) == [["forty"]]
        events = await stock.watch("forty")
        assert sum(len(e.data.binary) for e in events) == 41 * MIB
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))
        (waited,) = await stock.waits(["forty"], pb.SAGA_VIEW_FULL)
        assert waited.saga == saga


async def test_pages_of_large_sagas(storage: dict[str, Any]) -> None:
    """Pages end by bytes, whatever size is asked for; a thousand results come a few to a message."""
    grower = Grower(MIB // 2)
    async with served(storage, grower) as (_, address), AsyncSagaClient(address) as client:
        await client.register(grow("one", 1))
        ids = [f"saga-{n:02}" for n in range(12)]
        await asyncio.gather(*(client.start("one", b"", saga_id=i) for i in ids))
        async with grpc.aio.insecure_channel(address) as channel:
            stock = Stock(channel)
            items = await stock.waits(ids, pb.SAGA_VIEW_RESULT)
            assert [len(item.saga.result_data.binary) for item in items] == [MIB // 2] * 12
            for view, size in ((pb.SAGA_VIEW_FULL, 1_000), (pb.SAGA_VIEW_FULL, 5), (pb.SAGA_VIEW_BASIC, 5)):
                pages = await stock.pages(view, size)
                assert sorted(i for page in pages for i in page) == ids
                assert len(pages) > 2
        assert sorted([s.id async for s in client.list(full=True)]) == ids


async def test_three_of_the_largest_allowed(storage: dict[str, Any]) -> None:
    """At 8 MiB the SDK's clients read everything, of a failed saga too; what was left out says so."""
    largest = 8 * MIB
    grower = Grower(largest)
    limits = Limits(payload=largest)
    async with served(storage, grower, max_payload_bytes=largest) as (runtime, address):
        assert runtime.service.limits.message == limits.message == 16 * MIB + (MIB >> 1)
        async with AsyncSagaClient(address) as client:
            await client.register(grow("three", 3))
            await client.register(grow("undone", 4, "reject"))
            handle = await client.start("three", b"i" * largest, saga_id="three")
            assert await handle.result(bytes) == b"t" * largest
            with pytest.raises(SagaCompensated) as undone:
                await (await client.start("undone", b"i" * largest)).result()
            assert grower.undone == ["s2", "s1", "s0"]
            assert undone.value.saga.proto.ByteSize() <= limits.message
            saga = await handle.get()
            assert saga.proto.ByteSize() <= limits.message
            assert saga.result_data(bytes) == b"t" * largest
            assert saga.step("s0").output.omitted_bytes == largest
            with pytest.raises(PayloadLeftOut, match=r"8388608 bytes .* get\('three', steps=\['s0'\]\) reads it"):
                saga.step("s0").output()
            assert (await handle.get(steps=["s0"])).step("s0").output(bytes) == b"0" * largest
            with pytest.raises(InvalidRequestError, match="has no step 'none'"):
                await handle.get(steps=["s0", "none"])
            assert [s.id async for s in client.list(definitions=["three"], full=True)] == ["three"]

        def read() -> bytes | None:
            with SagaClient(address) as plain:
                return plain.get("three", steps=["s1"]).step("s1").input(bytes)

        assert await asyncio.to_thread(read) == b"0" * largest


async def test_starting_and_cancelling_a_large_one(tmp_path: Path) -> None:
    """Whoever starts it again, or stops it, is answered with all of it, as far as it fits."""
    grower = Grower(MIB)
    async with (
        served({"connection": str(tmp_path / "saga.db")}, grower) as (_, address),
        AsyncSagaClient(address) as client,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stock = Stock(channel)
        await client.register(grow("large", 5, "gate"))
        request = pb.StartSagaRequest(
            saga_id="l-1",
            definition_id="large",
            initial_data=Payload(content_type="application/octet-stream", binary=b"i" * MIB),
        )
        assert stock.checked(await stock.coordinator.StartSaga(request)).created

        async def at_the_gate() -> bool:
            return (await client.get("l-1", full=False)).current_step == 4

        await eventually(at_the_gate)
        again = stock.checked(await stock.coordinator.StartSaga(request))
        assert not again.created
        stopped = stock.checked(await stock.coordinator.CancelSaga(pb.CancelSagaRequest(saga_id="l-1", reason="r")))
        for saga in (again.saga, stopped.saga):
            assert len(saga.initial_data.binary) == MIB
            assert [len(s.output_data.binary) + s.output_data.omitted_bytes for s in saga.step_states] == [MIB] * 4 + [
                0
            ]
        grower.gate.set()
        assert (await client.wait("l-1")).state == "cancelled"


async def test_embedded_answers_the_same(tmp_path: Path) -> None:
    grower = Grower(MIB)
    config = SagaConfig.load(overrides={"storage": {"connection": str(tmp_path / "saga.db")}})
    async with Coordinator.open(config, participants=[grower.participant]) as coordinator:
        await coordinator.register(grow("large", 5))
        handle = await coordinator.start("large", b"i" * MIB)
        assert await handle.result(bytes) == b"t" * MIB
        saga = await handle.get()
        assert saga.proto.ByteSize() <= Limits().message
        assert saga.step("s2").output.omitted_bytes == MIB
        assert (await handle.get(steps=["s2"])).step("s2").output(bytes) == b"2" * MIB


async def test_definitions_come_in_pages_that_fit(tmp_path: Path) -> None:
    grower = Grower(1)
    async with (
        served({"connection": str(tmp_path / "saga.db")}, grower) as (_, address),
        AsyncSagaClient(address) as client,
        grpc.aio.insecure_channel(address) as channel,
    ):
        for n in range(6):
            steps = [Step(f"s{k}", "grower", "grow", metadata={"k": "x" * 60_000}) for k in range(15)]
            await client.register(Saga(f"d{n}", steps))
        stock, token = Stock(channel), ""
        pages: list[list[str]] = []
        while not pages or token:
            request = dpb.ListDefinitionsRequest(page_token=token)
            found = stock.checked(await stock.definitions.ListDefinitions(request))
            pages.append([d.id for d in found.definitions])
            token = found.next_page_token
        assert pages == [["d0", "d1", "d2", "d3"], ["d4", "d5"]]
        assert [d.id async for d in client.definitions.list()] == [f"d{n}" for n in range(6)]


@pytest.mark.parametrize("view", [pb.SAGA_VIEW_BASIC, pb.SAGA_VIEW_RESULT, pb.SAGA_VIEW_HEAD])
async def test_steps_are_asked_of_the_full_view_only(tmp_path: Path, view: Any) -> None:
    grower = Grower(1)
    async with (
        served({"connection": str(tmp_path / "saga.db")}, grower) as (_, address),
        AsyncSagaClient(address) as client,
        grpc.aio.insecure_channel(address) as channel,
    ):
        handle = await client.start(grow("one", 1))
        request = pb.GetSagaRequest(saga_id=handle.id, view=view, step_ids=["last"])
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Stock(channel).coordinator.GetSaga(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "step_ids" in (refused.value.details() or "")
