"""Who leaves memory first: each policy against a plain model of it, over whatever sequences of use there are."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swit_saga_server.core.units import Instant
from swit_saga_server.engine.idle import Idle, idle_sagas
from swit_saga_server.engine.options import CacheOptions, CachePolicy
from swit_saga_server.engine.working_set import Entry, WorkingSet
from tests.support.core.drive import Driven, chain

SIZE = 3
USES = st.lists(st.tuples(st.sampled_from(["use", "look", "drop"]), st.sampled_from("abcdefg")), max_size=60)


@dataclass
class Used:
    saga_id: str
    uses: int = 0
    came: int = 0


class Model:
    """By the words of the policies: who is in memory, since when, used how often, used last when."""

    def __init__(self, policy: CachePolicy) -> None:
        self.policy = policy
        self.known: dict[str, list[int]] = {}
        self.clock = 0

    def use(self, saga_id: str) -> None:
        self.clock += 1
        if saga_id not in self.known:
            if len(self.known) == SIZE:
                del self.known[min(self.known, key=self._rank)]
            self.known[saga_id] = [self.clock, 0, 0]
        self.known[saga_id][1] += 1
        self.known[saga_id][2] = self.clock

    def look(self, saga_id: str) -> None:
        if saga_id in self.known:
            self.use(saga_id)

    def _rank(self, saga_id: str) -> tuple[int, ...]:
        came, uses, last = self.known[saga_id]
        return {CachePolicy.LRU: (last,), CachePolicy.LFU: (uses, last), CachePolicy.FIFO: (came,)}[self.policy]


@given(policy=st.sampled_from(CachePolicy), uses=USES)
@settings(max_examples=400)
def test_as_the_model_has_it(policy, uses):
    idle: Idle[Used] = idle_sagas(policy, SIZE)
    model = Model(policy)
    for what, saga_id in uses:
        match what:
            case "use":
                # As the working set does: what is worked on is not idle meanwhile.
                idle.put(idle.pop(saga_id) or Used(saga_id))
                model.use(saga_id)
            case "look":
                assert (idle.get(saga_id) is not None) == (saga_id in model.known)
                model.look(saga_id)
            case "drop":
                idle.pop(saga_id)
                model.known.pop(saga_id, None)
        assert {entry.saga_id for entry in idle} == set(model.known)
        assert len(idle) <= SIZE


def test_the_books_of_ranks_stay_small():
    for policy in (CachePolicy.LFU, CachePolicy.FIFO):
        idle: Idle[Used] = idle_sagas(policy, SIZE)
        entry = Used("a")
        for _ in range(10_000):
            idle.put(entry)
            idle.get("a")
            idle.pop("a")
        assert len(idle) == 0
        for n in range(1000):
            idle.put(Used(str(n)))
        assert len(idle) == SIZE


@pytest.mark.parametrize(
    ("policy", "left"),
    [(CachePolicy.LRU, "often"), (CachePolicy.LFU, "once"), (CachePolicy.FIFO, "first")],
    ids=list(CachePolicy),
)
def test_in_the_working_set(policy, left):
    """What is worked on leaves the idle ones and comes back; a policy must not forget it meanwhile."""
    sagas, now = WorkingSet(CacheOptions(max_size=3, policy=policy)), Instant(1)
    entries = {
        name: Entry(name, 0, applied=Driven(chain("a")).start().saga) for name in ("first", "often", "once", "new")
    }
    for name in ("first", "often", "often", "often", "once", "first", "new"):
        sagas.pin(entries[name])
        sagas.rest(entries[name], now)
    assert {name for name in entries if sagas.find(name, lambda: now) is None} == {left}
