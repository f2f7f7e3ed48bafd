"""Every reply of Redis lost once, at each point of a saga: what it answered was done, and nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import hiredis
import pytest

from swit_saga import Participant, Reject, Saga, SagaHandle, SagaView, Step, StepContext, UnavailableError, fixed
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.link import Filter, Link, linked
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import eventually

STEPS = ("a", "b", "c")
ORDER = Saga("order", retry=fixed("50ms", max_attempts=5), steps=[Step(name, "shop", timeout="20s") for name in STEPS])
NOTHING_YET = object()


@dataclass
class LoseReply:
    """Loses the ``doomed``-th reply from now, over all connections, and cuts the connection it was due on."""

    doomed: int = 0
    seen: int = 0
    lost: int = 0

    def watch(self, doomed: int) -> None:
        self.seen, self.lost, self.doomed = 0, 0, doomed

    def filter(self) -> Filter:
        reader = hiredis.Reader(notEnoughData=NOTHING_YET)

        def look(data: bytes) -> tuple[bytes, bool]:
            start = 0
            for end in range(1, len(data) + 1):
                reader.feed(data[end - 1 : end])
                if reader.gets() is NOTHING_YET:
                    continue
                self.seen += 1
                if self.seen == self.doomed:
                    self.lost += 1
                    return data[:start], True
                start = end
            return data, False

        return look


def shop() -> Participant:
    made = Participant("shop")
    for name in STEPS:

        async def execute(order: str, step: StepContext) -> str:
            if order == "rejected at the end" and step.step_id == STEPS[-1]:
                raise Reject("NO", "not this one")
            return order

        async def undo(order: str) -> None:
            """Nothing is to be put back."""

        made.step(name)(execute).compensate(undo)
    return made


async def live(coordinator: Coordinator, way: str, saga_id: str) -> tuple[SagaView, Sequence[str]]:
    """Start it until somebody says that it is there, see it to its end."""

    async def started() -> SagaHandle | None:
        try:
            return await coordinator.start("order", way, saga_id=saga_id)
        except UnavailableError:
            return None

    handle = await eventually(started, within_s=60)
    events = [event async for event in handle.watch()]
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    return await handle.get(), [e.type for e in events]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", ["completed", "rejected at the end"])
async def test_every_reply_lost_once(tmp_path, way, capsys):
    loss = LoseReply()
    with running(RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")) as redis:
        async with linked(Link(redis.port, loss.filter)) as link:
            where = {"address": f"127.0.0.1:{link.port}", "durability": "fsync"}
            config = SagaConfig.load(overrides={"storage": {"type": "redis", "redis": where, "partitions": 4}})
            async with Coordinator.open(config, participants=[shop()]) as coordinator:
                await coordinator.register(ORDER)
                await live(coordinator, way, "first")  # Scripts are loaded, connections made.
                expected, usual = await live(coordinator, way, "undisturbed")
                replies = 0
                while True:
                    loss.watch(replies + 1)
                    saga, events = await live(coordinator, way, f"lost-{replies + 1}")
                    # One more or one less transition would show in the version, a repeated one in the events.
                    assert (saga.state, saga.version, events) == (expected.state, expected.version, usual), replies
                    if not loss.lost:
                        break  # There were fewer replies than that.
                    replies += 1
    assert replies >= expected.version, "not even every commit's reply was lost"
    with capsys.disabled():
        print(f"\n{way}: {replies} replies of Redis, each lost once; every time {expected.version} transitions")
