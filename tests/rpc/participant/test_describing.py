"""What definitions ask and participants cannot do is said as soon as a participant is reached, and counted."""

import asyncio
from typing import Any

import grpc
import pytest

from swit_saga import Participant, Saga, Step, no_retry
from swit_saga.v1 import participant_stream_service_pb2_grpc
from swit_saga.v1.participant_service_pb2_grpc import add_ParticipantServiceServicer_to_server
from swit_saga.v1.participant_stream_service_pb2 import DescribeRequest, DescribeResponse
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.participants.connection import CallFailed
from swit_saga_server.participants.grpc_connection import GrpcConnection
from tests.support.logs import logged
from tests.support.waiting import eventually

SAGA = Saga(
    "order",
    [Step("reserve", "shop"), Step("pay", "shop"), Step("mail", "shop", compensation=False), Step("fly", "shop")],
    retry=no_retry(),
)


def shop(*compensated: str) -> Participant:
    made = Participant("shop")
    for action in ("reserve", "pay", "mail"):
        step = made.step(action)(lambda: None)
        if action in compensated:
            step.compensate(lambda: None)
    return made


def config(folder: Any, port: int, **options: Any) -> SagaConfig:
    where = {"shop": {"address": f"127.0.0.1:{port}", **options}}
    return SagaConfig.load(overrides={"storage": {"connection": str(folder / "saga.db")}, "participants": where})


def said(logs: Any) -> list[tuple[str, str]]:
    return [(line["event"], line["action"]) for line in logs if line["level"] == "error"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_participant_that_cannot_undo_what_a_definition_has_undone(tmp_path, stream):
    async with shop("reserve").serve("127.0.0.1:0") as serving:
        with logged() as logs:
            async with Coordinator.open(config(tmp_path, serving.port, stream=stream)) as coordinator:
                await coordinator.register(SAGA)
                assert (await coordinator.metrics()).uncompensatable_actions == 0, "nobody has asked it yet"
                first = await coordinator.start("order")
                await eventually(lambda: len(said(logs)) == 2)
                assert (await coordinator.metrics()).uncompensatable_actions == 1
                ended = await first.wait()
                assert ended.state == "compensated"
                assert ended.error is not None
                assert ended.error.code == "NO_COMPENSATION"
                assert (ended.steps[1].effect, ended.steps[1].attempts) == ("none", 1)
                await (await coordinator.start("order")).wait()
                # One that is seen later is compared, too; what was said is not said again.
                later = Saga("later", [Step("send", "shop", action="mail"), Step("pay", "shop")])
                await coordinator.register(later)
                assert (await coordinator.metrics()).uncompensatable_actions == 2
    assert sorted(said(logs)) == [
        ("participant_without_action", "fly"),
        ("participant_without_compensation", "mail"),
        ("participant_without_compensation", "pay"),
    ]


async def test_one_that_was_mended_counts_no_more(tmp_path):
    async with shop("reserve").serve("127.0.0.1:0") as serving:
        port = serving.port
        with logged() as logs:
            async with Coordinator.open(config(tmp_path, port)) as coordinator:
                await (await coordinator.start(SAGA)).wait()
                await eventually(lambda: said(logs))
                assert (await coordinator.metrics()).uncompensatable_actions == 1
                await serving.server.stop(0)
                async with shop("reserve", "pay").serve(f"127.0.0.1:{port}"):
                    await (await coordinator.start(Saga("other", [Step("reserve", "shop")]))).wait()
                    async with asyncio.timeout(10):
                        while (await coordinator.metrics()).uncompensatable_actions:
                            pass


async def test_a_participant_in_this_process(tmp_path):
    local = SagaConfig.load(overrides={"storage": {"connection": str(tmp_path / "saga.db")}})
    made = shop("reserve")
    made.step("fly")(lambda: None).compensate(lambda: None)
    with logged() as logs:
        async with Coordinator.open(local, participants=[made]) as coordinator:
            await coordinator.register(SAGA)
            assert said(logs) == [("participant_without_compensation", "pay")]
            assert (await coordinator.metrics()).uncompensatable_actions == 1


class Hostile(participant_stream_service_pb2_grpc.ParticipantStreamServiceServicer):
    """Describes itself as it is told to; serves no stream."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked = asyncio.Event()

    async def Stream(self, requests: Any, context: Any) -> Any:  # type: ignore[override]
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "calls only")

    async def Describe(self, request: DescribeRequest, context: Any) -> DescribeResponse:
        self.asked.set()
        made: DescribeResponse = await self._answer(context)
        return made


async def silent(context: Any) -> DescribeResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def refusing(context: Any) -> DescribeResponse:
    await context.abort(grpc.StatusCode.INTERNAL, "no")
    raise AssertionError


async def garbage(context: Any) -> DescribeResponse:
    answer = DescribeResponse(participant="\u202e" * 1_000)
    for n in range(1_000):
        answer.actions.add(name=f"\n{n}" * 500)
    return answer


@pytest.mark.parametrize("answer", [silent, refusing, garbage])
async def test_no_command_waits_for_a_description(tmp_path, answer):
    made, hostile = shop("reserve", "pay", "mail"), Hostile(answer)
    server = grpc.aio.server()
    participant_stream_service_pb2_grpc.add_ParticipantStreamServiceServicer_to_server(hostile, server)
    add_ParticipantServiceServicer_to_server(made.servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Coordinator.open(config(tmp_path, port, stream=False)) as coordinator:
        saga = Saga("short", [Step("reserve", "shop"), Step("pay", "shop")])
        assert (await (await coordinator.start(saga)).wait(timeout="10s")).state == "completed"
        await hostile.asked.wait()
    await server.stop(0)


@pytest.mark.parametrize("raw", [b"\x12\x00" * 1_100_000, b"\xff\xff"], ids=["two megabytes", "no message"])
async def test_a_description_that_cannot_be_one_is_not_read(raw: bytes) -> None:
    async def describe(request: Any, context: Any) -> bytes:
        return raw

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Describe": grpc.unary_unary_rpc_method_handler(describe)}
    service = "swit_saga.v1.ParticipantStreamService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = GrpcConnection(f"127.0.0.1:{port}")
    with pytest.raises(CallFailed, match="its description") as failed:
        await connection.describe(20.0)
    assert failed.value.code in ("RESOURCE_EXHAUSTED", "UNREADABLE_ANSWER")
    await connection.close()
    await server.stop(0)
