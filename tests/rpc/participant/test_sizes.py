"""What was accepted can be undone: large commands and answers arrive, and one that does not hurts no other."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from swit_saga import Participant, Payload, Reject, Saga, Step, StepContext, fixed
from swit_saga.participant import answers, serving
from swit_saga.participant import stream as stream_module
from swit_saga.v1.command_pb2 import Completed as CompletedMessage
from swit_saga.v1.participant_service_pb2 import CompensateRequest, CompensateResponse, ExecuteRequest, ExecuteResponse
from swit_saga.v1.participant_service_pb2_grpc import (
    ParticipantServiceServicer,
    add_ParticipantServiceServicer_to_server,
)
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Completed, Rejected, Unknown
from swit_saga_server.participants.grpc_connection import GrpcConnection
from swit_saga_server.participants.stream import StreamTransport
from swit_saga_server.wire.answer import AnswerReader
from tests.rpc.participant.test_transports import BOTH, Heard, reach, server
from tests.support.participant.sends import command
from tests.support.waiting import eventually

MB = 1_000_000
RETRY = fixed("50ms", max_attempts=2)
TWO = Saga(
    "two", [Step("a", "p"), Step("b", "p", compensation=False)], retry=RETRY, compensation_retry=RETRY, timeout="60s"
)


def data(size: int) -> Payload:
    return Payload(content_type="text/plain", text="x" * size)


def config(folder: Path, port: int, *, stream: bool, **coordinator: Any) -> SagaConfig:
    return SagaConfig.load(
        overrides={
            "coordinator": coordinator,
            "storage": {"connection": str(folder / "saga.db")},
            "participants": {"p": {"address": f"127.0.0.1:{port}", "stream": stream}},
        }
    )


def shop(size: int) -> tuple[Participant, list[tuple[str, int]]]:
    """Step a returns ``size`` bytes where it was given as many; step b rejects what is large."""
    undone: list[tuple[str, int]] = []
    made = Participant("p")

    @made.step("a")
    async def a(value: Payload) -> Payload:
        return value

    @a.compensate
    async def undo(value: Payload, output: Payload, step: StepContext) -> None:
        initial = step.initial_data(Payload)
        undone.append((step.saga_id, sum(len(p.text) for p in (value, output, initial) if p is not None)))

    @made.step("b")
    async def b(value: Payload) -> None:
        if len(value.text) >= size:
            raise Reject("TOO_MUCH")

    return made, undone


@pytest.mark.parametrize("size", [6 * MB, 8 << 20])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "calls"])
async def test_a_large_compensation_is_delivered_and_hurts_no_other(size: int, stream: bool, tmp_path: Path) -> None:
    made, undone = shop(size)
    async with made.serve("127.0.0.1:0") as serving_it:
        settings = config(tmp_path, serving_it.port, stream=stream, max_payload_bytes=8 << 20)
        async with Coordinator.open(settings) as c:
            large = await c.start(TWO, data(size), saga_id="large")
            small = [await c.start(TWO, data(10), saga_id=f"small-{n}") for n in range(20)]
            assert (await large.wait()).state == "compensated"
            for handle in small:
                ended = await handle.wait()
                assert (ended.state, [step.attempts for step in ended.steps]) == ("completed", [1, 1])
            assert [step.attempts for step in (await c.get("large")).steps] == [1, 1]
    assert undone == [("large", 3 * size)]


class Stock(ParticipantServiceServicer):
    """From the stubs, on a server as it comes: it takes 4 MiB."""

    def __init__(self) -> None:
        self.undone: list[int] = []

    def Execute(self, request: ExecuteRequest, context: grpc.ServicerContext) -> ExecuteResponse:
        if request.command.step_id == "b":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
        return ExecuteResponse(completed=CompletedMessage(output=request.input))

    def Compensate(self, request: CompensateRequest, context: grpc.ServicerContext) -> CompensateResponse:
        self.undone.append(request.ByteSize())
        return CompensateResponse(completed=CompletedMessage())


@pytest.fixture
def stock():
    made, servicer = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)]), Stock()
    add_ParticipantServiceServicer_to_server(servicer, made)
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    yield port, servicer
    made.stop(0)


async def test_a_stock_server_takes_all_that_default_settings_allow(stock, tmp_path: Path) -> None:
    """Thrice the largest payload, the longest ids and the most labels and metadata beside them."""
    port, servicer = stock
    metadata = {"k": "v" * 60_000}
    most = Saga(
        "most",
        [Step("a", "p", metadata=metadata), Step("b", "p")],
        retry=RETRY,
        compensation_retry=RETRY,
    )
    labels = {f"{n}{'l' * 60}": "😀" * 200 for n in range(8)}
    async with Coordinator.open(config(tmp_path, port, stream=True)) as c:
        ended = await (await c.start(most, data(1 << 20), saga_id="😀" * 200, labels=labels)).wait()
        assert ended.state == "compensated"
        assert ended.steps[0].compensation_state is not None
        assert ended.steps[0].compensation_state.attempts == 1
    assert len(servicer.undone) == 1
    assert 3 << 20 < servicer.undone[0] < 4 << 20


async def test_where_more_is_allowed_than_a_stock_server_takes_it_is_said_what_to_raise(stock, tmp_path: Path) -> None:
    port, servicer = stock
    settings = config(tmp_path, port, stream=True, max_payload_bytes=8 << 20)
    async with Coordinator.open(settings) as c:
        ended = await (await c.start(TWO, data(2 << 20))).wait()
        assert ended.state == "failed", "a may have been done, and cannot be told to undo it"
        undoing = ended.steps[0].compensation_state
        assert undoing is not None
        assert undoing.error is not None
        assert undoing.error.code == "RESOURCE_EXHAUSTED"
        assert "grpc.max_receive_message_length" in undoing.error.message
        assert "max_payload_bytes" in undoing.error.message
    assert servicer.undone == []


async def test_a_command_too_large_for_a_stock_server_ends_no_stream(tmp_path: Path) -> None:
    """It goes by a call: what is on the stream beside it is answered at the first attempt."""
    made, going = Participant("p"), asyncio.Event()

    @made.step("do")
    async def do(value: str) -> int:
        if value == "slow":
            await going.wait()
        return len(value)

    async with server(lambda s: made.add_to(s)) as port, reach(by_stream, port) as (transport, heard):
        transport.send([command("slow", "slow")])
        transport.send([command("large", "x" * (5 << 20)), command("small")])
        answer = await heard.of("large")
        assert isinstance(answer, Unknown)
        assert answer.error.code == "RESOURCE_EXHAUSTED"
        assert isinstance(await heard.of("small"), Completed)
        assert ("slow", Kind.EXECUTE) not in heard.answers
        going.set()
        assert isinstance(await heard.of("slow"), Completed)


def by_stream(connection: Any, deliver: Any) -> StreamTransport:
    return StreamTransport("shop", connection, deliver)


async def test_a_large_command_is_handed_over_once_and_can_be_called_off() -> None:
    made, stopped, calls = Participant("p"), asyncio.Event(), list[str]()

    @made.step("do")
    async def do(value: str, step: StepContext) -> None:
        calls.append(step.saga_id)
        await stopped.wait()

    async with made.serve("127.0.0.1:0") as serving_it, reach(by_stream, serving_it.port) as (transport, heard):
        large = command("large", "x" * (5 << 20))
        transport.send([large, *(command(f"s{n}") for n in range(3))])
        await eventually(lambda: len(calls) == 4)
        transport.cancel([large.command_id])
        stopped.set()
        for n in range(3):
            assert isinstance(await heard.of(f"s{n}"), Completed)
        assert sorted(calls) == ["large", "s0", "s1", "s2"]
        assert ("large", Kind.EXECUTE) not in heard.answers


@BOTH
async def test_an_answer_too_large_to_send_is_done_all_the_same(kind, monkeypatch) -> None:
    """The handler's output, a rejection's reason, a failure's traceback: the certainty arrives."""
    for module in (answers, serving, stream_module):
        monkeypatch.setattr(module, "ANSWER_BYTES", 100_000)
    made = Participant("p")

    @made.step("do")
    async def do(value: str) -> str:
        if value == "rejects":
            raise Reject("NO", "x" * 200_000)
        return "x" * 200_000

    async with made.serve("127.0.0.1:0") as serving_it, reach(kind, serving_it.port) as (transport, heard):
        transport.send([command("a"), command("b", "rejects")])
        done, no = await heard.of("a"), await heard.of("b")
        assert isinstance(done, Completed)
        assert done.error is not None
        assert done.error.code == "OUTPUT_TOO_LARGE"
        assert isinstance(no, Rejected)
        assert no.error.code == "NO"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "calls"])
async def test_seventy_megabytes_are_done_and_hurt_no_other(stream: bool, tmp_path: Path) -> None:
    """More than a coordinator receives."""
    made = Participant("p")

    @made.step("a")
    async def a(value: Payload) -> Payload:
        return data(70 * MB if value.text == "large" else 1)

    @a.compensate
    async def undo(value: Payload) -> None: ...

    @made.step("b")
    async def b() -> None: ...

    async with (
        made.serve("127.0.0.1:0") as serving_it,
        Coordinator.open(config(tmp_path, serving_it.port, stream=stream)) as c,
    ):
        handles = [await c.start(TWO, Payload(content_type="text/plain", text=t)) for t in ("large", *"abcde")]
        ended = [await handle.wait() for handle in handles]
        assert [saga.state for saga in ended] == ["compensated", *["completed"] * 5]
        assert ended[0].steps[0].error is not None
        assert (ended[0].steps[0].error.code, ended[0].steps[0].effect) == ("OUTPUT_TOO_LARGE", "done")
        assert all(step.attempts == 1 for saga in ended[1:] for step in saga.steps)


async def test_an_output_over_the_coordinators_limit_is_judged_by_the_coordinator() -> None:
    heard = Heard()
    made = Participant("p")

    @made.step("do")
    async def do(value: str) -> Payload:
        return data(17 * MB)

    async with made.serve("127.0.0.1:0") as serving_it:
        there = GrpcConnection(f"127.0.0.1:{serving_it.port}")
        transport = StreamTransport("p", there, heard.deliver, reader=AnswerReader(1_000))
        transport.send([command("a"), command("b")])
        for saga_id in "ab":
            answer = await heard.of(saga_id)
            assert isinstance(answer, Completed)
            assert answer.error is not None
            assert answer.error.message == "the output has 17000000 bytes; at most 1000 (max_payload_bytes)"
        await transport.close()
