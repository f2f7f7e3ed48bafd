"""The real transports over a simulated connection: what the network does to calls and to streams."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from swit_saga.v1.command_pb2 import Completed
from swit_saga.v1.participant_service_pb2 import ExecuteRequest, ExecuteResponse
from swit_saga_server.core import inputs
from swit_saga_server.core.inputs import Answered, Unknown
from swit_saga_server.core.units import MILLISECOND, NO_TIME, SECOND, Span
from swit_saga_server.participants.stream import StreamTransport
from swit_saga_server.participants.unary import UnaryTransport
from tests.support.participant.sends import command
from tests.support.simulation.connection import SimConnection
from tests.support.simulation.observed import Fault, Noted
from tests.support.simulation.receiver import FOR_EVER, Reply, Request
from tests.support.simulation.scene import CALM, Scene, Weather
from tests.support.simulation.virtual_loop import Process, virtual_loop

STORM = Weather(message=1.0)
"""Every message is lost, and every stream breaks with what is written next."""


class Shop:
    """A participant that says yes after a while."""

    name = "shop"
    is_streamed = True

    def __init__(self, scene: Scene, *, serves_from: Span = NO_TIME, credits: int = 256, work: Span = NO_TIME) -> None:
        self.serves_from = serves_from
        self.credits = credits
        self.received: list[str] = []
        self._scene = scene
        self._work = work

    def receive(self, request: Request, copy: int, reply: Callable[[Reply], None]) -> None:
        """See ``Receiver``."""
        assert isinstance(request, ExecuteRequest)
        self.received.append(request.command.saga_id)
        self._scene.later(self._work, reply, ExecuteResponse(completed=Completed()))


class Stage:
    """A scene, a participant, a transport to it, and what that delivers."""

    def __init__(self, *, calls: bool = False, **shop: Any) -> None:
        self.scene = Scene(1, virtual_loop())
        self.shop = Shop(self.scene, **shop)
        self.connection = SimConnection(self.scene, "c0.0", self.shop)
        self.heard: list[tuple[str, str]] = []
        self.transport: UnaryTransport | StreamTransport = (
            UnaryTransport(self.connection, self._deliver, self.scene.now)
            if calls
            else StreamTransport("shop", self.connection, self._deliver, self.scene.now)
        )

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """To its end, and close everything."""
        try:
            self.scene.loop.run_until_complete(story)
        finally:
            self.scene.loop.close()

    def send(self, *saga_ids: str, left_s: float = 60) -> None:
        self.transport.send([command(saga_id, left_s=left_s) for saga_id in saga_ids])

    @property
    def noted(self) -> list[str]:
        return [seen.what for seen in self.scene.observations if isinstance(seen, Noted)]

    @property
    def faults(self) -> list[str]:
        return [seen.kind for seen in self.scene.observations if isinstance(seen, Fault)]

    def _deliver(self, saga_id: str, answered: Answered) -> None:
        answer = answered.answer
        self.heard.append((saga_id, answer.error.code if isinstance(answer, Unknown) else "completed"))
        assert isinstance(answer, inputs.Completed) or answer.error.timestamp == self.scene.now()


@pytest.mark.parametrize("calls", [False, True])
def test_what_is_sent_arrives_and_is_answered(calls):
    stage = Stage(calls=calls)

    async def story() -> None:
        stage.send("a", "b")
        await asyncio.sleep(1)
        await stage.transport.close()

    stage.run(story())
    assert sorted(stage.heard) == [("a", "completed"), ("b", "completed")]
    assert sorted(stage.shop.received) == ["a", "b"]
    assert stage.faults == []


def test_one_that_takes_one_at_a_time_gets_the_next_when_it_has_answered():
    stage = Stage(credits=1, work=SECOND)

    async def story() -> None:
        stage.send("a", "b", "late", left_s=1.5)
        await asyncio.sleep(1)
        assert stage.shop.received == ["a"]
        await asyncio.sleep(4)
        await stage.transport.close()

    stage.run(story())
    assert stage.shop.received == ["a", "b"], "the last one's time was up before its turn came"
    assert stage.heard == [("a", "completed"), ("b", "DEADLINE_EXCEEDED"), ("late", "DEADLINE_EXCEEDED")]
    assert "command waited for a credit" in stage.noted
    assert "called off by a stream" in stage.noted


def test_a_broken_stream_leaves_what_it_carried_unknown_and_the_rest_to_the_next():
    stage = Stage(credits=1, work=100 * MILLISECOND)

    async def story() -> None:
        stage.send("carried", "queued")
        await asyncio.sleep(0.06)
        assert stage.shop.received == ["carried"]
        stage.scene.weather = STORM  # The answer breaks the stream.
        await asyncio.sleep(0.2)
        stage.scene.weather = CALM
        await asyncio.sleep(5)
        await stage.transport.close()

    stage.run(story())
    assert stage.shop.received == ["carried", "queued"]
    assert stage.heard == [("carried", "UNAVAILABLE"), ("queued", "completed")]
    assert stage.faults in (["stream_broken"], ["stream_silent"])
    assert "queued commands left to the next stream" in stage.noted


def test_one_without_a_stream_is_called_until_another_version_takes_its_place():
    stage = Stage(serves_from=10 * SECOND)

    async def story() -> None:
        stage.send("a")
        await asyncio.sleep(1)
        stage.send("b")
        await asyncio.sleep(10)
        called = stage.noted.count("called for want of a stream")
        stage.send("c")
        await asyncio.sleep(1)
        assert (called, stage.noted.count("called for want of a stream")) == (2, 2)
        await stage.transport.close()

    stage.run(story())
    assert [saga_id for saga_id, how in stage.heard if how == "completed"] == ["a", "b", "c"]
    assert stage.noted.count("stream not served") == 1


def test_lost_calls_are_unknown_soon_or_at_their_deadline():
    stage = Stage(calls=True)
    stage.scene.weather = STORM

    async def story() -> None:
        stage.send(*"abcdefgh", left_s=2)
        await asyncio.sleep(3)
        await stage.transport.close()

    stage.run(story())
    assert sorted(saga_id for saga_id, _ in stage.heard) == list("abcdefgh")
    assert {how for _, how in stage.heard} == {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert stage.shop.received == []


def test_a_killed_coordinator_hears_nothing_more():
    stage = Stage(serves_from=FOR_EVER, work=SECOND)
    process = Process("c0.0")

    async def story() -> None:
        process.context.run(stage.send, "a")
        await asyncio.sleep(0.5)
        assert stage.shop.received == ["a"]
        stage.scene.loop.kill(process)
        await asyncio.sleep(100)

    stage.run(story())
    assert stage.heard == []
