"""The book of what is out: queued, handed over, and over exactly once."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

import pytest

from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.inputs import Answered, Completed, Rejected, Unknown
from swit_saga_server.participants.ledger import Ledger, Send
from tests.support.participant.sends import command
from tests.support.waiting import eventually


@dataclass(eq=False)
class Wire:
    """A carrier that remembers what it was told."""

    called_off: list[Send] = field(default_factory=list)

    def call_off(self, send: Send) -> None:
        """See ``Carrier``."""
        self.called_off.append(send)


class Book:
    """A ledger, what it delivered, and something to hand over to."""

    def __init__(self, **options: Any) -> None:
        self.delivered: list[tuple[str, Answered]] = []
        self.ledger = Ledger(lambda saga_id, answered: self.delivered.append((saga_id, answered)), **options)
        self.wire = Wire()

    def enter(self, *saga_ids: str, left_s: float = 60) -> list[Send]:
        return self.ledger.enter([command(saga_id, left_s=left_s) for saga_id in saga_ids])

    @property
    def sagas(self) -> list[str]:
        return [saga_id for saga_id, _ in self.delivered]


def lost(**details: Any) -> SagaError:
    return SagaError(code="LOST", message="", type=ErrorType.NETWORK, retryable=True, **details)


async def test_a_send_is_queued_until_it_is_handed_over():
    book = Book()
    a, b = book.enter("a", "b")
    assert book.ledger.queued(1) == [a]
    assert (a.carrier, book.ledger.in_flight) == (None, 2)
    book.ledger.hand_over([a], book.wire)
    assert (a.carrier, book.ledger.queued(9), book.ledger.in_flight) == (book.wire, [b], 2)
    book.ledger.hand_over([b], book.wire)
    assert not book.ledger.has_queued
    assert [book.ledger.find(s.number) for s in (a, b)] == [a, b] == list(book.ledger)


async def test_an_answer_is_delivered_once_and_as_that_of_its_send():
    book = Book()
    (a,) = book.enter("a")
    book.ledger.hand_over([a], book.wire)
    for _ in range(2):
        book.ledger.answer(a, Completed())
    assert book.delivered == [("a", command("a").answered(Completed()))]
    assert (a.is_over, book.ledger.in_flight, book.ledger.find(a.number)) == (True, 0, None)
    assert book.wire.called_off == []


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_cancelled_send_is_never_answered_and_its_carrier_hears_of_it(handed_over):
    book = Book()
    a, b = book.enter("a", "b")
    if handed_over:
        book.ledger.hand_over([a], book.wire)
    for _ in range(2):
        book.ledger.cancel([a.command_id, "never/0/execute/1.1.1"])
    book.ledger.answer(a, Completed())
    assert (book.delivered, book.ledger.in_flight) == ([], 1)
    assert book.wire.called_off == ([a] if handed_over else [])
    assert book.ledger.queued(1) == [b]


async def test_a_cancelled_send_says_nothing_of_the_next_attempt():
    book = Book()
    first, second = book.ledger.enter([command("a"), command("a", attempt=2)])
    book.ledger.cancel([first.command_id])
    book.ledger.answer(first, Rejected(lost()))
    book.ledger.answer(second, Completed())
    assert [answered.send_id.attempt for _, answered in book.delivered] == [2]


async def test_entered_twice_the_later_one_is_found_by_their_id():
    book = Book()
    first, second = book.enter("a", "a")
    book.ledger.answer(first, Completed())
    book.ledger.cancel([second.command_id])
    assert (book.sagas, book.ledger.in_flight) == (["a"], 0)


@pytest.mark.parametrize("handed_over", [False, True])
async def test_out_of_time_it_is_answered_unknown_and_called_off(handed_over):
    book = Book()
    (late,), (b,) = book.enter("late", left_s=0.01), book.enter("b")
    if handed_over:
        book.ledger.hand_over([late], book.wire)
    await eventually(lambda: book.delivered)
    ((saga_id, answered),) = book.delivered
    assert isinstance(answered.answer, Unknown)
    assert (saga_id, answered.answer.error.code) == ("late", "DEADLINE_EXCEEDED")
    assert book.wire.called_off == ([late] if handed_over else [])
    assert book.ledger.queued(1) == [b]
    book.ledger.close()


async def test_sends_that_end_in_the_middle_leave_the_queue_in_order():
    book = Book()
    a, b, c, d = book.enter(*"abcd")
    book.ledger.cancel([b.command_id])
    book.ledger.answer(c, Unknown(lost()))
    assert book.ledger.queued(1) == [a]
    book.ledger.hand_over([a], book.wire)
    assert book.ledger.queued(1) == [d]


async def test_errors_without_a_time_get_the_ledgers():
    book = Book(clock=lambda: 77)
    for send, error in zip(
        book.enter(*"abc"), (lost(), lost(timestamp=5), lost(timestamp=5, cause=lost())), strict=True
    ):
        book.ledger.answer(send, Unknown(error))
    errors = [answered.answer.error for _, answered in book.delivered if isinstance(answered.answer, Unknown)]
    assert [error.timestamp for error in errors] == [77, 5, 5]
    assert errors[2].cause is not None
    assert errors[2].cause.timestamp == 77


async def test_a_closed_one_delivers_nothing_and_takes_nothing():
    book = Book()
    (a,) = book.enter("a")
    (late,) = book.enter("late", left_s=0.005)
    book.ledger.close()
    book.ledger.close()
    book.ledger.answer(a, Completed())
    assert book.enter("b") == []
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, over.set)
    await over.wait()
    assert (book.delivered, book.ledger.in_flight, late.is_over) == ([], 0, True)


@pytest.mark.parametrize("ended_by", ["answer", "cancel"])
async def test_what_is_over_is_let_go_of_though_the_first_one_waits_for_hours(ended_by):
    """A participant that takes nothing: its commands run out of time behind one that has a lot."""
    book = Book()
    (first,) = book.enter("first", left_s=3_600)
    for n in range(3_000):
        (send,) = book.enter(f"s{n}")
        if ended_by == "answer":
            book.ledger.answer(send, Completed())
        else:
            book.ledger.cancel([send.command_id])
    book.delivered.clear()
    assert sum(type(one) is Send for one in gc.get_objects()) < 1_000
    (last,) = book.enter("last")
    assert book.ledger.queued(9_999) == [first, last], "in their order"
