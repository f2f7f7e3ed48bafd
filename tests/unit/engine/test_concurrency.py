"""Capacity for open commands: who has it, who waits for it, whose turn it is."""

from dataclasses import replace
from typing import Any

import pytest

from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Cancel, Input, TakenOver, Wake
from swit_saga_server.core.machine import decide
from swit_saga_server.core.model import Saga, TraceContext
from swit_saga_server.core.start import StartRequest, new_saga
from swit_saga_server.core.units import SECOND
from swit_saga_server.engine.concurrency import ConcurrencyLimiter
from tests.support.core.drive import SETTINGS, T0, done, lost, no


class Capacity:
    """Sagas that go through the limiter as the engine has them."""

    def __init__(self, max_open: int | None, **max_of: int) -> None:
        self.limiter = ConcurrencyLimiter(max_open, max_of)
        self.sagas: dict[str, Saga] = {}
        self.definitions: dict[str, Definition] = {}
        self.now = T0

    def begin(self, saga_id: str, *participants: str) -> bool:
        steps = tuple(StepDefinition(id=f"s{i}", participant=p) for i, p in enumerate(participants or ("p",)))
        definition = self.definitions[saga_id] = Definition(id="d", steps=steps)
        self.sagas[saga_id] = new_saga(
            StartRequest(), definition, saga_id=saga_id, version=1, digest="d", fingerprint="f",
            defaults=SETTINGS, trace=TraceContext(), source="test", now=self.now,
        )  # fmt: skip
        return self.give(saga_id, Wake())

    def give(self, saga_id: str, given: Input) -> bool:
        """Whether there was capacity for what followed."""
        self.now += 2 * SECOND  # So that retries are due.
        before, definition = self.sagas[saga_id], self.definitions[saga_id]
        decision = decide(before, definition, given, self.now, 0.5, self.limiter.gate(saga_id))
        self.limiter.note(decision.saga, definition, decision.waiting)
        self.sagas[saga_id] = decision.saga
        return not decision.waiting

    def answer(self, saga_id: str, answer: Any, kind: Kind = Kind.EXECUTE) -> bool:
        saga = self.sagas[saga_id]
        index, send_id = next(
            (s.index, c.send_id)
            for s in saga.steps
            if (c := s.call if kind is Kind.EXECUTE else s.compensation and s.compensation.call) and c.in_flight
        )
        return self.give(saga_id, Answered(kind, index, send_id, answer))

    def called(self) -> list[str]:
        """Everybody whose turn it is, each getting its wake-up."""
        found = []
        while (saga_id := self.limiter.call()) is not None:
            assert self.give(saga_id, Wake()), "capacity was kept for it"
            found.append(saga_id)
        return found


def test_they_wait_in_order():
    capacity = Capacity(2)
    assert [capacity.begin(s) for s in "abcde"] == [True, True, False, False, False]
    assert (capacity.limiter.open, capacity.limiter.waiting) == (2, 3)
    assert capacity.called() == []
    capacity.answer("a", done())
    assert capacity.called() == ["c"]
    assert not capacity.begin("f"), "behind those who came before"
    capacity.answer("b", done())
    capacity.answer("c", done())
    assert capacity.called() == ["d", "e"]
    capacity.answer("d", done())
    assert capacity.called() == ["f"]
    assert (capacity.limiter.open, capacity.limiter.waiting) == (2, 0)


def test_what_was_begun_goes_on_before_what_is_new():
    capacity = Capacity(1)
    assert capacity.begin("a", "p", "q", "p")
    assert not capacity.begin("b")
    assert capacity.answer("a", done()), "with the capacity its last step had"
    assert capacity.answer("a", done())
    assert capacity.called() == []
    capacity.answer("a", done())
    assert capacity.called() == ["b"]


def test_a_participants_own_limit_holds_up_nobody_elses():
    capacity = Capacity(None, slow=1)
    assert capacity.begin("a", "slow")
    assert not capacity.begin("b", "slow")
    assert not capacity.begin("c", "slow")
    assert capacity.begin("d", "fast")
    assert capacity.begin("e", "fast", "slow")
    assert not capacity.answer("e", done()), "its next step is the slow one's, and others wait for that"
    capacity.answer("a", done())
    assert capacity.called() == ["b"]
    capacity.answer("b", done())
    assert capacity.called() == ["c"]
    capacity.answer("c", done())
    assert capacity.called() == ["e"]


def test_both_limits_together_call_who_has_waited_longest():
    capacity = Capacity(2, slow=1)
    assert capacity.begin("a", "slow")
    assert not capacity.begin("b", "slow")
    assert capacity.begin("c", "fast")
    assert not capacity.begin("d", "fast")
    capacity.answer("c", done())
    assert capacity.called() == ["d"], "b has waited longer, but there is no capacity for it"
    capacity.answer("a", done())
    assert capacity.called() == ["b"]


def test_a_saga_in_backoff_has_no_room():
    capacity = Capacity(1)
    capacity.begin("a")
    capacity.begin("b")
    capacity.answer("a", lost())
    assert capacity.called() == ["b"]
    assert not capacity.give("a", Wake()), "its retry waits as everybody does"
    capacity.answer("b", done())
    assert capacity.called() == ["a"]


def test_compensations_and_resends_count_and_never_wait():
    capacity = Capacity(1)
    assert capacity.begin("a", "p", "q")
    capacity.answer("a", done())
    assert capacity.answer("a", no())
    assert capacity.limiter.open == 1, "the compensation of the first step"
    assert not capacity.begin("b")
    capacity.sagas["c"] = replace(decided("c", capacity), version=7)
    assert capacity.give("c", TakenOver())
    assert capacity.limiter.open == 2
    assert capacity.called() == []
    capacity.answer("a", done(), Kind.COMPENSATE)
    assert capacity.called() == []
    capacity.answer("c", done())
    assert capacity.called() == ["b"]


def decided(saga_id: str, capacity: Capacity) -> Saga:
    """A saga with a step in flight of which nothing is known here."""
    other = Capacity(None)
    other.begin(saga_id)
    capacity.definitions[saga_id] = other.definitions[saga_id]
    return other.sagas[saga_id]


def test_who_waits_can_leave():
    capacity = Capacity(1)
    capacity.begin("a")
    capacity.begin("b")
    capacity.begin("c")
    assert capacity.limiter.is_waiting("b")
    assert capacity.give("b", Cancel("enough"))
    assert not capacity.limiter.is_waiting("b")
    capacity.answer("a", done())
    assert capacity.called() == ["c"]


def test_room_is_kept_for_who_was_called():
    capacity = Capacity(1)
    for s in "abc":
        capacity.begin(s)
    capacity.answer("a", done())
    assert capacity.limiter.call() == "b"
    assert capacity.limiter.call() is None, "it is not decided yet"
    assert not capacity.begin("d")
    assert capacity.give("b", Wake())
    assert capacity.limiter.open == 1


@pytest.mark.parametrize("how", ["forgotten", "cancelled"])
def test_room_kept_for_nothing_is_free_again(how):
    capacity = Capacity(1)
    for s in "abc":
        capacity.begin(s)
    capacity.answer("a", done())
    assert capacity.limiter.call() == "b"
    if how == "forgotten":
        capacity.limiter.forget("b")
    else:
        capacity.give("b", Cancel("enough"))
    assert capacity.called() == ["c"]
    assert capacity.limiter.known() == {"c"}


def test_nothing_is_left_of_what_is_over():
    capacity = Capacity(2, p=1)
    for s in "abc":
        capacity.begin(s)
    while capacity.sagas["c"].state not in ("completed",):
        for s in "abc":
            if any(step.call.in_flight for step in capacity.sagas[s].steps):
                capacity.answer(s, done())
        capacity.called()
    assert capacity.limiter.known() == set()
    assert (capacity.limiter.open, capacity.limiter.waiting) == (0, 0)
