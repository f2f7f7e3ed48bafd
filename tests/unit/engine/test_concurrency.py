"""Room for open commands: who has it, who waits for it, whose turn it is."""

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


class Room:
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
        """Whether there was room for what followed."""
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
            assert self.give(saga_id, Wake()), "room was kept for it"
            found.append(saga_id)
        return found


def test_they_wait_in_order():
    room = Room(2)
    assert [room.begin(s) for s in "abcde"] == [True, True, False, False, False]
    assert (room.limiter.open, room.limiter.waiting) == (2, 3)
    assert room.called() == []
    room.answer("a", done())
    assert room.called() == ["c"]
    assert not room.begin("f"), "behind those who came before"
    room.answer("b", done())
    room.answer("c", done())
    assert room.called() == ["d", "e"]
    room.answer("d", done())
    assert room.called() == ["f"]
    assert (room.limiter.open, room.limiter.waiting) == (2, 0)


def test_what_was_begun_goes_on_before_what_is_new():
    room = Room(1)
    assert room.begin("a", "p", "q", "p")
    assert not room.begin("b")
    assert room.answer("a", done()), "with the room its last step had"
    assert room.answer("a", done())
    assert room.called() == []
    room.answer("a", done())
    assert room.called() == ["b"]


def test_a_participants_own_limit_holds_up_nobody_elses():
    room = Room(None, slow=1)
    assert room.begin("a", "slow")
    assert not room.begin("b", "slow")
    assert not room.begin("c", "slow")
    assert room.begin("d", "fast")
    assert room.begin("e", "fast", "slow")
    assert not room.answer("e", done()), "its next step is the slow one's, and others wait for that"
    room.answer("a", done())
    assert room.called() == ["b"]
    room.answer("b", done())
    assert room.called() == ["c"]
    room.answer("c", done())
    assert room.called() == ["e"]


def test_both_limits_together_call_who_has_waited_longest():
    room = Room(2, slow=1)
    assert room.begin("a", "slow")
    assert not room.begin("b", "slow")
    assert room.begin("c", "fast")
    assert not room.begin("d", "fast")
    room.answer("c", done())
    assert room.called() == ["d"], "b has waited longer, but there is no room for it"
    room.answer("a", done())
    assert room.called() == ["b"]


def test_a_saga_in_backoff_has_no_room():
    room = Room(1)
    room.begin("a")
    room.begin("b")
    room.answer("a", lost())
    assert room.called() == ["b"]
    assert not room.give("a", Wake()), "its retry waits as everybody does"
    room.answer("b", done())
    assert room.called() == ["a"]


def test_compensations_and_resends_count_and_never_wait():
    room = Room(1)
    assert room.begin("a", "p", "q")
    room.answer("a", done())
    assert room.answer("a", no())
    assert room.limiter.open == 1, "the compensation of the first step"
    assert not room.begin("b")
    room.sagas["c"] = replace(decided("c", room), version=7)
    assert room.give("c", TakenOver())
    assert room.limiter.open == 2
    assert room.called() == []
    room.answer("a", done(), Kind.COMPENSATE)
    assert room.called() == []
    room.answer("c", done())
    assert room.called() == ["b"]


def decided(saga_id: str, room: Room) -> Saga:
    """A saga with a step in flight of which nothing is known here."""
    other = Room(None)
    other.begin(saga_id)
    room.definitions[saga_id] = other.definitions[saga_id]
    return other.sagas[saga_id]


def test_who_waits_can_leave():
    room = Room(1)
    room.begin("a")
    room.begin("b")
    room.begin("c")
    assert room.limiter.is_waiting("b")
    assert room.give("b", Cancel("enough"))
    assert not room.limiter.is_waiting("b")
    room.answer("a", done())
    assert room.called() == ["c"]


def test_room_is_kept_for_who_was_called():
    room = Room(1)
    for s in "abc":
        room.begin(s)
    room.answer("a", done())
    assert room.limiter.call() == "b"
    assert room.limiter.call() is None, "it is not decided yet"
    assert not room.begin("d")
    assert room.give("b", Wake())
    assert room.limiter.open == 1


@pytest.mark.parametrize("how", ["forgotten", "cancelled"])
def test_room_kept_for_nothing_is_free_again(how):
    room = Room(1)
    for s in "abc":
        room.begin(s)
    room.answer("a", done())
    assert room.limiter.call() == "b"
    if how == "forgotten":
        room.limiter.forget("b")
    else:
        room.give("b", Cancel("enough"))
    assert room.called() == ["c"]
    assert room.limiter.known() == {"c"}


def test_nothing_is_left_of_what_is_over():
    room = Room(2, p=1)
    for s in "abc":
        room.begin(s)
    while room.sagas["c"].state not in ("completed",):
        for s in "abc":
            if any(step.call.in_flight for step in room.sagas[s].steps):
                room.answer(s, done())
        room.called()
    assert room.limiter.known() == set()
    assert (room.limiter.open, room.limiter.waiting) == (0, 0)
