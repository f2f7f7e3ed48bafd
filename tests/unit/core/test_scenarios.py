"""What becomes of a saga, as stories. Every transition of every story is checked against the invariants."""

import pytest

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.dataflow import current_data, input_of, result_data
from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.errors import SagaAlreadyFinished
from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.inputs import Wake
from swit_saga_server.core.quarantine import quarantine
from swit_saga_server.core.retry import NO_RETRY
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState, StepStatus, StopCause
from swit_saga_server.core.units import MINUTE, SECOND, SKEW_ALLOWANCE
from tests.support.core.drive import NO_UNDO, Driven, chain, done, lost, no, sent


def test_every_step_completes():
    s = Driven(chain("a", "b")).start().ran(0, done("1")).ran(1, done("2"))
    assert s.saga.state is SagaState.COMPLETED
    assert result_data(s.saga) == done("2").output
    assert s.types == [
        "saga.started", "saga.step.started a", "saga.step.completed a", "saga.step.started b",
        "saga.step.completed b", "saga.completed",
    ]  # fmt: skip


def test_completing_a_step_and_intending_the_next_is_one_transition():
    s = Driven(chain("a", "b")).start()
    version = s.saga.version
    s.ran(0, done())
    assert (s.saga.version, s.saga.steps[1].call.in_flight) == (version + 1, True)


def test_output_of_a_step_is_the_next_ones_input():
    s = Driven(chain("a", "b")).start().ran(0, done("from a"))
    assert input_of(s.saga, 1) == current_data(s.saga) == done("from a").output


def test_rejection_undoes_what_was_done_in_reverse():
    s = Driven(chain("a", "b", "c")).start().ran(0, done()).ran(1, done()).ran(2, no())
    assert s.saga.steps[2].effect is Effect.NONE
    s.undid(1).undid(0)
    assert s.saga.state is SagaState.COMPENSATED
    undone = [e.step_id for e in s.events if e.type == "compensation.step.completed"]
    assert undone == ["b", "a"]
    assert s.types[-1] == "compensation.completed"


def test_rejection_of_the_first_step_leaves_nothing_to_undo():
    s = Driven(chain("a")).start().ran(0, no())
    assert s.saga.state is SagaState.COMPENSATED
    assert s.types[-2:] == ["compensation.started", "compensation.completed"]


def test_rejection_after_an_unknown_attempt_is_compensated():
    """Invariant 11: the earlier attempt may have taken the last item, and the rejection be its echo."""
    s = Driven(chain("a")).start().ran(0, lost()).wake().ran(0, no("OUT_OF_STOCK"))
    assert s.saga.steps[0].effect is Effect.MAYBE
    assert s.saga.state is SagaState.COMPENSATING
    assert s.saga.steps[0].compensation is None, "the lost attempt may still start"
    s.wake()
    assert s.saga.steps[0].compensation is not None
    assert s.undid(0).saga.state is SagaState.COMPENSATED


def test_rejection_of_a_resend_is_compensated():
    """Invariant 11: a former life may have sent the command, and its reply be lost."""
    s = Driven(chain("a")).start().taken_over().ran(0, no())
    assert (s.saga.steps[0].effect, s.saga.state) == (Effect.MAYBE, SagaState.COMPENSATING)
    assert s.wake().undid(0).saga.state is SagaState.COMPENSATED


def test_unknown_is_retried_under_the_same_key_until_exhausted():
    s = Driven(chain("a", "b")).start().ran(0, done())
    for attempt in (1, 2):
        s.ran(1, lost())
        assert s.saga.steps[1].call.attempts == attempt
        assert due_at(s.saga) == s.now + SECOND
        s.wake()
    s.ran(1, lost())
    assert s.types[-3:] == ["saga.step.failed b", "retry.exhausted b", "compensation.started"]
    assert s.saga.error is not None
    assert s.saga.error.code == "RETRY_EXHAUSTED"
    s.wake().undid(1).undid(0)
    assert s.saga.state is SagaState.COMPENSATED


def test_unknown_that_is_not_worth_a_retry_fails_at_once_and_stays_in_doubt():
    s = Driven(chain("a")).start().ran(0, lost(retryable=False))
    assert (s.saga.state, s.saga.steps[0].effect) == (SagaState.COMPENSATING, Effect.MAYBE)


def test_silence_is_taken_for_unknown_once_nothing_can_start_any_more():
    """Invariant 14: no transport's silence strands a saga."""
    s = Driven(chain("a")).start()
    assert due_at(s.saga) == s.saga.steps[0].call.not_after + SKEW_ALLOWANCE
    s.wake()
    assert s.saga.steps[0].call.doubt
    assert s.types[-1] == "saga.step.failed a"


def test_total_timeout_spans_attempts():
    s = Driven(chain("a", total_timeout=5 * SECOND)).start()
    assert s.saga.steps[0].call.not_after == s.now + 5 * SECOND
    s.now += 4 * SECOND
    s.ran(0, lost())
    assert s.saga.error is not None
    assert s.saga.error.code == "STEP_TIMED_OUT"


def test_late_success_of_an_earlier_attempt_counts_while_the_step_is_open():
    s = Driven(chain("a", "b")).start().ran(0, lost()).wake().ran(0, done(), attempt=1)
    assert s.saga.steps[0].status is StepStatus.COMPLETED


def test_late_rejection_of_an_earlier_attempt_says_nothing_about_the_open_one():
    s = Driven(chain("a")).start().ran(0, lost()).wake()
    before = s.saga
    assert s.ran(0, no(), attempt=1).saga is before


def test_late_success_while_waiting_to_undo_is_undone_as_certain():
    s = Driven(chain("a")).start().ran(0, lost(retryable=False)).ran(0, done("late"))
    step = s.saga.steps[0]
    assert (step.effect, step.output) == (Effect.DONE, done("late").output)
    assert step.compensation is not None, "the only send is answered: nothing to wait for"


def test_late_rejection_of_the_only_send_leaves_nothing_to_undo():
    s = Driven(chain("a")).start().ran(0, lost(retryable=False)).ran(0, no())
    assert s.saga.state is SagaState.COMPENSATED
    assert s.saga.steps[0].compensation is None


@pytest.mark.parametrize("attempt", [0, 2, 99])
def test_answer_to_an_attempt_never_made_is_ignored(attempt):
    s = Driven(chain("a")).start()
    before = s.saga
    from swit_saga_server.core.inputs import Answered

    assert s.give(Answered(Kind.EXECUTE, 0, sent(attempt), done())).saga is before


def test_duplicate_answers_change_nothing():
    s = Driven(chain("a", "b")).start().ran(0, done())
    before = s.saga
    assert s.ran(0, done("again"), attempt=1).saga is before
    assert s.ran(0, no(), attempt=1).saga is before


def test_delayed_step_waits_between_steps():
    d = Definition(
        id="d", steps=(StepDefinition(id="a", participant="p"), StepDefinition(id="b", participant="p", delay=SECOND))
    )
    s = Driven(d).start().ran(0, done())
    assert (s.saga.state, due_at(s.saga)) == (SagaState.STEP_COMPLETED, s.now + SECOND)
    assert s.types[-1] == "state.changed"
    s.wake()
    assert (s.saga.state, s.saga.steps[1].call.in_flight) == (SagaState.RUNNING, True)


class TestCancel:
    def test_pending(self):
        s = Driven(chain("a")).cancel()
        assert (s.saga.state, s.types) == (SagaState.CANCELLED, ["saga.cancelled"])

    def test_between_steps_with_nothing_done(self):
        assert Driven(chain("a", delay=SECOND)).start().cancel().saga.state is SagaState.CANCELLED

    def test_in_flight_waits_for_the_answer_then_undoes(self):
        s = Driven(chain("a", "b")).start().ran(0, done()).cancel()
        assert s.saga.state is SagaState.COMPENSATING
        assert all(step.compensation is None for step in s.saga.steps)
        s.ran(1, done()).undid(1).undid(0)
        assert (s.saga.state, s.types[-2:]) == (SagaState.CANCELLED, ["compensation.completed", "saga.cancelled"])

    def test_in_flight_then_rejected(self):
        s = Driven(chain("a", "b")).start().ran(0, done()).cancel().ran(1, no())
        assert s.saga.steps[1].effect is Effect.NONE
        assert s.undid(0).saga.state is SagaState.CANCELLED

    def test_in_flight_then_unknown_waits_until_nothing_can_start(self):
        s = Driven(chain("a")).start()
        not_after = s.saga.steps[0].call.not_after
        s.cancel().ran(0, lost())
        assert due_at(s.saga) == not_after + SKEW_ALLOWANCE
        assert s.wake().undid(0).saga.state is SagaState.CANCELLED

    def test_in_flight_then_silence(self):
        s = Driven(chain("a")).start().cancel().wake()
        assert s.saga.steps[0].compensation is not None
        assert s.undid(0).saga.state is SagaState.CANCELLED

    def test_in_backoff_sends_nothing_more(self):
        s = Driven(chain("a")).start().ran(0, lost()).cancel()
        assert s.wake().saga.steps[0].call.attempts == 1

    def test_again_changes_nothing(self):
        s = Driven(chain("a")).start().cancel()
        before = s.saga
        assert s.cancel().saga is before
        s.ran(0, no())
        before = s.saga
        assert s.cancel().saga is before

    def test_after_a_failure_keeps_the_first_cause(self):
        s = Driven(chain("a", "b")).start().ran(0, done()).ran(1, no()).cancel().undid(0)
        assert (s.saga.state, s.saga.stop_cause) == (SagaState.COMPENSATED, StopCause.FAILURE)

    def test_of_a_finished_saga_is_refused(self):
        s = Driven(chain("a")).start().ran(0, done())
        with pytest.raises(SagaAlreadyFinished):
            s.cancel()


class TestDeadline:
    def test_pending(self):
        s = Driven(chain("a"))
        assert s.give(Wake(), 11 * MINUTE).saga.state is SagaState.TIMED_OUT

    def test_in_flight(self):
        s = Driven(chain("a", timeout=MINUTE * 30)).start()
        assert s.saga.steps[0].call.not_after == s.saga.deadline, "no attempt outlives the saga"
        s.wake()
        assert s.saga.stop_cause is StopCause.DEADLINE
        s.wake().undid(0)
        assert (s.saga.state, s.types[-1]) == (SagaState.TIMED_OUT, "saga.timed_out")
        assert s.saga.timed_out_at > 0

    def test_between_steps(self):
        s = Driven(chain("a", delay=20 * MINUTE)).start().wake()
        assert s.saga.state is SagaState.TIMED_OUT

    def test_does_not_cut_a_compensation_short(self):
        s = Driven(chain("a", "b")).start().ran(0, done())
        s.now = s.saga.deadline - SECOND
        s.ran(1, no())
        comp = s.saga.steps[0].compensation
        assert comp is not None
        assert comp.call.not_after > s.saga.deadline
        assert s.give(Wake(), 2 * SECOND).saga.state is SagaState.COMPENSATING


class TestCompensation:
    def failing(self) -> Driven:
        return Driven(chain("a", "b", "c")).start().ran(0, done()).ran(1, done()).ran(2, no())

    def test_rejected_is_not_retried_and_fails_the_saga(self):
        s = self.failing().undid(1, no("CANNOT"))
        assert s.saga.state is SagaState.FAILED
        assert s.types[-3:] == ["compensation.step.failed b", "compensation.failed b", "saga.failed"]
        assert s.saga.error is not None
        assert s.saga.error.cause is not None
        assert (s.saga.error.code, s.saga.error.cause.code) == ("COMPENSATION_FAILED", "CANNOT")
        assert s.saga.error.cause.cause is not None
        assert s.saga.error.cause.cause.code == "NO", "the first cause is not lost"

    def test_unknown_is_retried_until_exhausted(self):
        s = self.failing()
        s.undid(1, lost()).wake().undid(1, lost()).wake().undid(1, lost())
        assert s.saga.state is SagaState.FAILED
        assert "retry.exhausted b" in s.types

    def test_unknown_then_done(self):
        s = self.failing().undid(1, lost()).wake().undid(1).undid(0)
        assert s.saga.state is SagaState.COMPENSATED

    def test_silence_is_retried(self):
        s = self.failing().wake()
        assert s.saga.steps[1].compensation.call.attempts == 1  # type: ignore[union-attr]
        assert s.wake().saga.steps[1].compensation.call.attempts == 2  # type: ignore[union-attr]

    def test_disabled_is_skipped(self):
        d = Definition(
            id="d",
            steps=(
                StepDefinition(id="a", participant="p", compensation=NO_UNDO),
                StepDefinition(id="b", participant="p"),
            ),
        )
        s = Driven(d).start().ran(0, done()).ran(1, no())
        assert s.saga.state is SagaState.COMPENSATED
        assert s.saga.steps[0].compensation.status is CompensationStatus.SKIPPED  # type: ignore[union-attr]


class TestTakeover:
    def test_resends_under_the_same_number_uncharged_with_fresh_time(self):
        s = Driven(chain("a")).start()
        first = s.saga.steps[0].call
        s.taken_over(8 * SECOND)
        call = s.saga.steps[0].call
        assert (call.attempts, call.resends, call.doubt) == (1, 1, True)
        assert call.not_after == first.not_after + 8 * SECOND
        assert [(c.send_id.attempt, c.send_id.send) for c in s.commands] == [(1, 1), (1, 2)]

    def test_in_backoff_sends_nothing(self):
        s = Driven(chain("a")).start().ran(0, lost())
        before = s.saga
        assert s.taken_over().saga is before

    def test_keeps_counting(self):
        """Invariant 18: counters survive."""
        s = Driven(chain("a")).start().ran(0, lost()).wake().taken_over()
        assert s.saga.steps[0].call.attempts == 2

    def test_of_a_stopped_saga_does_not_send_the_step_again(self):
        s = Driven(chain("a")).start().cancel()
        sent = len(s.commands)
        s.taken_over()
        assert len(s.commands) == sent
        assert s.wake().undid(0).saga.state is SagaState.CANCELLED

    def test_resends_a_compensation(self):
        s = Driven(chain("a", "b")).start().ran(0, done()).ran(1, no()).taken_over()
        assert s.commands[-1].kind is Kind.COMPENSATE
        assert s.commands[-1].send_id == SendId(1, 1, 2)
        assert s.undid(0).saga.state is SagaState.COMPENSATED

    def test_past_the_deadline_stops_instead(self):
        s = Driven(chain("a")).start().taken_over(11 * MINUTE)
        assert s.saga.stop_cause is StopCause.DEADLINE


def test_no_retry_policy_gives_one_attempt():
    s = Driven(chain("a", retry_policy=NO_RETRY)).start().ran(0, lost())
    assert s.saga.state is SagaState.COMPENSATING


def test_a_parked_saga_is_visible_and_tried_again():
    """Invariants 14 and 16."""
    from swit_saga_server.core.errors import ErrorType, SagaError

    s = Driven(chain("a")).start()
    aside = quarantine(s.saga, SagaError(code="X", message="bug", type=ErrorType.SYSTEM), s.now)
    assert [e.type for e in aside.events] == ["saga.stuck"]
    assert due_at(aside.saga) == s.now + MINUTE
    s.saga = aside.saga
    assert s.give(Wake(), SECOND).saga is aside.saga, "not before its time"
    s.saga = quarantine(aside.saga, SagaError(code="X", message="bug", type=ErrorType.SYSTEM), s.now).saga
    assert due_at(s.saga) == s.now + 2 * MINUTE
    assert s.ran(0, done()).saga.state is SagaState.COMPLETED, "an answer is taken at once"
    assert s.saga.quarantined == 0
