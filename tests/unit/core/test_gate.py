"""Steps that wait for a place: nothing is intended, the attempt's time has not begun, the saga's deadline runs on."""

import pytest

from swit_saga_server.core import agenda, machine
from swit_saga_server.core.gate import UNLIMITED, Reason
from swit_saga_server.core.identity import FIRST_SEND, Kind
from swit_saga_server.core.inputs import Answered, Cancel, Input, TakenOver, Wake
from swit_saga_server.core.states import Effect, SagaState, StepStatus, StopCause
from swit_saga_server.core.units import MILLISECOND, MINUTE, NO_TIME, SECOND, Span
from tests.support.core.drive import Driven, chain, done, lost, no
from tests.support.invariants import Transition, check_transition


class Full:
    """Every place is taken."""

    def in_all(self, kind: Kind) -> int:
        return 0 if kind is Kind.EXECUTE else UNLIMITED

    def places(self, participant: str, kind: Kind) -> int | Reason:
        return UNLIMITED


def without_a_place(d: Driven, given: Input, after: Span = NO_TIME) -> Driven:
    """As ``Driven.give``, without a place for a step."""
    d.now += after
    before = d.saga
    decision = machine.decide(before, d.definition, given, d.now, 0.5, Full())
    d.saga = decision.saga
    check_transition(Transition(given, before, d.saga, decision.events, agenda.due_at(d.saga)), d.definition)
    return d


def test_a_new_saga_begins_and_waits_with_its_first_step():
    d = without_a_place(Driven(chain("a", "b")), Wake())
    assert (d.saga.state, d.saga.steps[0].status) == (SagaState.STEP_COMPLETED, StepStatus.PENDING)
    assert d.saga.steps[0].effect is Effect.NONE
    assert agenda.due_at(d.saga) == d.now, "overdue, so that whoever comes next finds it (invariant 14)"


def test_waiting_on_changes_nothing():
    d = without_a_place(Driven(chain("a")), Wake())
    waiting = d.saga
    assert without_a_place(d, Wake(), 20 * SECOND).saga is waiting


def test_with_room_the_attempt_has_all_its_time():
    d = without_a_place(Driven(chain("a", "b")), Wake())
    d.give(Wake(), 5 * MINUTE)
    call = d.saga.steps[0].call
    assert (call.in_flight, call.attempts, call.not_after) == (True, 1, d.now + 10 * SECOND)


def test_a_result_counts_and_the_next_step_waits():
    d = Driven(chain("a", "b")).start()
    without_a_place(d, Answered(Kind.EXECUTE, 0, FIRST_SEND, done()), MILLISECOND)
    assert d.saga.steps[0].status is StepStatus.COMPLETED
    assert (d.saga.state, d.saga.steps[1].call.in_flight) == (SagaState.STEP_COMPLETED, False)
    d.give(Wake(), SECOND).ran(1, done())
    assert d.saga.state is SagaState.COMPLETED


def test_the_last_result_needs_no_room():
    d = Driven(chain("a")).start()
    assert (
        without_a_place(d, Answered(Kind.EXECUTE, 0, FIRST_SEND, done()), MILLISECOND).saga.state is SagaState.COMPLETED
    )


def test_a_retry_waits_too():
    d = Driven(chain("a")).start().ran(0, lost())
    waiting = d.saga
    d.now = agenda.due_at(waiting)
    assert without_a_place(d, Wake()).saga is waiting
    assert d.give(Wake(), SECOND).saga.steps[0].call.attempts == 2


def test_a_delay_is_kept_besides():
    d = without_a_place(Driven(chain("a", delay=MINUTE)), Wake())
    assert agenda.due_at(d.saga) == d.now + MINUTE
    d.give(Wake(), SECOND)
    assert not d.saga.steps[0].call.in_flight
    assert d.wake().saga.steps[0].call.in_flight


@pytest.mark.parametrize(
    ("given", "after", "cause"),
    [(Cancel("enough"), 1000, StopCause.CANCEL), (Wake(), 10 * MINUTE, StopCause.DEADLINE)],
    ids=["cancel", "deadline"],
)
def test_a_saga_that_waits_can_be_stopped(given, after, cause):
    d = without_a_place(Driven(chain("a", "b")), Wake())
    assert without_a_place(d, given, after).saga.stop_cause is cause
    assert d.saga.state.is_terminal, "there is nothing to undo"


def test_compensations_need_no_room():
    d = Driven(chain("a", "b")).start().ran(0, done())
    without_a_place(d, Answered(Kind.EXECUTE, 1, FIRST_SEND, no()), MILLISECOND)
    comp = d.saga.steps[0].compensation
    assert comp is not None
    assert comp.call.in_flight


def test_resends_need_no_room():
    d = Driven(chain("a")).start()
    assert without_a_place(d, TakenOver(), MILLISECOND).saga.steps[0].call.resends == 1
