"""Participants in the coordinator's own process: whatever they raise, it is answered, and the program goes on."""

import asyncio
import sys
from typing import Any

import pytest

from swit_saga import Participant, Saga, Step, fixed
from swit_saga.v1.participant_service_pb2 import (
    CompensateRequest,
    CompensateResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.core.inputs import Unknown
from swit_saga_server.participants.local import LocalTransport
from tests.rpc.participant.test_survival import RAISED
from tests.support.participant.sends import command


class Own:
    """Not made with the SDK."""

    name = "shop"
    actions = frozenset({"do"})

    def __init__(self, make: Any) -> None:
        self._make = make

    async def execute(self, request: ExecuteRequest) -> ExecuteResponse:
        raise self._make()

    async def compensate(self, request: CompensateRequest) -> CompensateResponse:
        raise self._make()


@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
async def test_whatever_a_participant_of_ones_own_raises_is_unknown(make):
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    transport = LocalTransport([Own(make)], lambda _, given: answered.set_result(given.answer))
    transport.send([command()])
    async with asyncio.timeout(5):
        answer = await answered
    assert isinstance(answer, Unknown)
    assert answer.error.stack_trace
    await transport.close()


async def test_a_handler_that_ends_the_program_does_not(tmp_path):
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(how: str) -> None:
        if how == "interrupt":
            raise KeyboardInterrupt
        sys.exit(3)

    @reserve.compensate
    def release() -> None: ...

    saga = Saga("order", [Step("reserve", "shop", timeout="200ms")], retry=fixed("1ms", max_attempts=2))
    config = SagaConfig.load(overrides={"storage": {"connection": str(tmp_path / "saga.db")}})
    async with Coordinator.open(config, participants=[shop]) as coordinator:
        for started in [await coordinator.start(saga, how) for how in ("exit", "interrupt")]:
            ended = await started.wait(timeout="20s")
            assert ended.state == "compensated"
            assert ended.steps[0].attempts == 2
        await coordinator.health()


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ([Participant("shop"), Participant("shop")], "two participants are called 'shop'"),
        (["shop"], "a str is no participant"),
        ({"shop": Participant("shop")}, "participants must be a list of participants"),
        ([Participant], "Participant is no participant"),
        ([object()], "a object is no participant"),
    ],
)
async def test_what_is_no_list_of_participants_is_refused_before_anything_is_opened(given, wrong, tmp_path):
    config = SagaConfig.load(overrides={"storage": {"connection": str(tmp_path / "saga.db")}})
    with pytest.raises((TypeError, ValueError), match=wrong):
        async with Coordinator.open(config, participants=given):
            raise AssertionError
    assert not list(tmp_path.iterdir())
