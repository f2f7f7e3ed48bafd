"""What the network cuts, in whatever words, is taken up again; what the coordinator refuses is not."""

import asyncio
from typing import Any

import pytest
from google.rpc import code_pb2

from swit_saga import AsyncSagaClient, CallError, SagaClient
from swit_saga.calls import MAX_CUTS
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import event_pb2, saga_pb2
from swit_saga_server.core import errors as core
from swit_saga_server.rpc.errors import CATALOGUE, to_status
from tests.support.rpc import resets
from tests.support.rpc.fake import GOT, STARTED, Cut, Fake, faking, refusal
from tests.support.rpc.resets import resetting

CUT = [code_pb2.INTERNAL, code_pb2.UNKNOWN, code_pb2.CANCELLED]
WAITED = pb.WaitSagaResponse(saga=saga_pb2.Saga(id="o-1", state=saga_pb2.SAGA_STATE_COMPLETED), done=True)
RESETS = {
    "protocol": resets.PROTOCOL_ERROR,
    "internal": resets.INTERNAL_ERROR,
    "refused": resets.REFUSED_STREAM,
    "cancelled": resets.CANCEL,
    "calm": resets.ENHANCE_YOUR_CALM,
}


def event(sequence: int) -> pb.WatchSagaResponse:
    return pb.WatchSagaResponse(event=event_pb2.SagaEvent(sequence=sequence, type="state.changed"))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    for module in ("calls", "watching"):
        monkeypatch.setattr(f"swit_saga.{module}.MAX_WAIT_S", 0.02)
        monkeypatch.setattr(f"swit_saga.{module}.FIRST_WAIT_S", 0.01)


@pytest.mark.parametrize("error", RESETS.values(), ids=RESETS)
async def test_a_watch_that_a_proxy_resets_goes_on(error):
    fake = Fake([event(1), event(2)])
    async with faking(fake), resetting(fake.address, error, times=2) as proxy:
        async with AsyncSagaClient(proxy.address) as client, asyncio.timeout(20):
            assert [e.sequence async for e in client.watch("o-1")] == [1, 2]
        assert proxy.done == 2


async def test_a_synchronous_watch_that_a_proxy_resets_goes_on():
    fake = Fake([event(1), event(2)])
    async with faking(fake), resetting(fake.address, resets.INTERNAL_ERROR, times=1) as proxy:

        def watch() -> list[int]:
            with SagaClient(proxy.address) as client:
                return [e.sequence for e in client.watch("o-1")]

        assert await asyncio.to_thread(watch) == [1, 2]
        assert proxy.done == 1


@pytest.mark.parametrize("batch", [True, False], ids=["stream", "unary"])
@pytest.mark.parametrize("error", RESETS.values(), ids=RESETS)
async def test_a_start_that_a_proxy_resets_is_made_again_under_its_id(error, batch):
    fake = Fake(STARTED)
    async with (
        faking(fake),
        resetting(fake.address, error, times=3) as proxy,
        AsyncSagaClient(proxy.address, batch_starts=batch) as client,
        asyncio.timeout(20),
    ):
        assert (await client.start("d", {"n": 1}, saga_id="o-1")).created
    assert {r.saga_id for r in fake.requests} == {"o-1"}


@pytest.mark.parametrize("code", CUT, ids=code_pb2.Code.Name)
async def test_calls_that_are_cut_are_made_again(code):
    async with faking(Fake(refusal(code), GOT)) as client:
        assert (await client.get("o-1")).id == "o-1"
    async with faking(Fake(Cut(refusal(code)), Cut(refusal(code)), refusal(code), WAITED)) as client:
        assert (await client.wait("o-1", timeout="20s")).state == "completed"


@pytest.mark.parametrize("code", [code_pb2.INTERNAL, code_pb2.UNKNOWN])
async def test_what_is_cut_every_time_is_not_tried_for_ever(code):
    fake = Fake([refusal(code)])
    async with faking(fake) as client:
        with pytest.raises(CallError) as cut:
            _ = [e async for e in client.watch("o-1")]
    assert cut.value.code.value[0] == code
    assert len(fake.requests) == MAX_CUTS
    fake = Fake(refusal(code))
    async with faking(fake) as client:
        with pytest.raises(CallError):
            await client.get("o-1")
    assert len(fake.requests) == MAX_CUTS


async def test_a_watch_that_comes_forward_is_taken_up_however_often_it_is_cut():
    cuts: list[Any] = [[event(n), refusal(code_pb2.INTERNAL)] for n in range(1, 2 * MAX_CUTS)]
    async with faking(Fake(*cuts, [event(2 * MAX_CUTS)])) as client:
        assert [e.sequence async for e in client.watch("o-1")] == list(range(1, 2 * MAX_CUTS + 1))


PASSING = (core.CoordinatorUnavailable, core.SlowWatcher)
DEFINITE = [kind for kind in CATALOGUE if not issubclass(kind, PASSING)]


@pytest.mark.parametrize("kind", DEFINITE, ids=lambda k: k.__name__)
async def test_a_refusal_of_the_coordinator_ends_a_watch(kind):
    fake = Fake([event(1), to_status(kind())], [event(2)])
    async with faking(fake) as client:
        watching = client.watch("o-1")
        assert (await anext(watching)).sequence == 1
        with pytest.raises(CallError) as refused:
            await anext(watching)
    assert refused.value.reason == kind.reason
    assert len(fake.requests) == 1


async def test_a_mistake_of_the_coordinators_own_is_not_taken_for_the_networks():
    fake = Fake([to_status(KeyError("a bug"))], [event(1)])
    async with faking(fake) as client:
        with pytest.raises(CallError, match="internal error") as refused:
            await anext(client.watch("o-1"))
    assert (refused.value.reason, refused.value.domain) == ("INTERNAL", "swit-saga")
