"""A participant that is down is told of once, and once when it is back, however many sagas need it."""

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered
from swit_saga_server.core.units import NO_TIME, Instant, Span
from swit_saga_server.engine.doubts import QUIET, Doubts
from swit_saga_server.engine.options import CacheOptions
from swit_saga_server.engine.working_set import Entry, WorkingSet
from tests.support.core.drive import chain, done, lost, sent
from tests.support.logs import logged


class Hands:
    """A clock that is set."""

    def __init__(self) -> None:
        self.time = NO_TIME

    def now(self) -> Instant:
        return Instant(1)

    def elapsed(self) -> Span:
        return self.time

    def align(self, store_now: Instant) -> None:
        pass


def test_a_participant_goes_and_comes_back():
    clock, sagas = Hands(), WorkingSet(CacheOptions())
    doubts = Doubts(sagas, clock)
    for n in range(2000):
        sagas.pin(Entry(f"s{n}", 0, definition=chain("a")))
    unknown, well = lost(), Answered(Kind.EXECUTE, 0, sent(1), done())
    with logged() as lines:
        for n in range(2000):
            doubts.note(f"s{n}", Answered(Kind.EXECUTE, 0, sent(1), unknown), unknown.error)
            doubts.note_answer("s1", well)
        assert [(line["event"], line["participant"]) for line in lines] == [("step_in_doubt", "p")]
        clock.time += QUIET
        for _ in range(2000):
            if doubts.of_late:
                doubts.note_answer("s1", well)
        (_, back) = lines
        assert (back["event"], back["participant"]) == ("participant_answers_again", "p")
        assert back["in_doubt"] == 2000
    assert not doubts.of_late, "then certain answers cost nothing again"


def test_what_nobody_knows_here_is_told_of_too():
    unknown = lost()
    with logged() as lines:
        doubts = Doubts(WorkingSet(CacheOptions()), Hands())
        doubts.note("x", Answered(Kind.EXECUTE, 7, sent(1), unknown), unknown.error)
    assert [line["participant"] for line in lines] == [""]
