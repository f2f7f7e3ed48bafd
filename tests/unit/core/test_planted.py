"""Bugs planted in the machine, one at a time: the tests above must catch each, or they prove nothing.

A bug is a change to the machine's own source, so that it is exactly what somebody might write by mistake.
"""

from collections.abc import Callable

import pytest

from tests.support.core.drive import Driven, chain, done, lost, no
from tests.support.planting import Bug, caught
from tests.unit.core import test_scenarios
from tests.unit.core.test_properties import finish

MACHINE = "swit_saga_server.core.machine"


def two_steps_second_rejected() -> None:
    s = Driven(chain("a", "b", "c")).start().ran(0, done()).ran(1, done()).ran(2, no())
    s.undid(1).undid(0)
    assert s.saga.state == "compensated"


def takeover_then_retry() -> None:
    s = Driven(chain("a")).start().ran(0, lost()).wake()
    s.taken_over()
    assert s.saga.steps[0].call.attempts == 2


def backoff_ends() -> None:
    finish(Driven(chain("a")).start().ran(0, lost()))


def late_success_then_time() -> None:
    s = Driven(chain("a", "b")).start().ran(0, lost()).wake().ran(0, done(), attempt=1)
    s.ran(0, lost(), attempt=2)
    finish(s)


PLANTED: tuple[tuple[Bug, Callable[[], None]], ...] = (
    (
        Bug(
            name="unknown taken for rejected",
            invariants="11",
            module=MACHINE,
            function="_Turn.executed",
            right="""
                if latest:
                    self._unanswered(step, error)
                """,
            wrong="""
                if latest:
                    self._set(step, call=evolve(call, in_flight=False), effect=Effect.NONE)
                    self._give_up(step, error)
                """,
        ),
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    (
        Bug(
            name="rejected after unknown not compensated",
            invariants="11",
            module=MACHINE,
            function="_Turn.executed",
            right="certain = only or not call.doubt",
            wrong="certain = True",
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    (
        Bug(
            name="a resend leaves no doubt",
            invariants="11",
            module=MACHINE,
            function="_resent",
            right="doubt=True",
            wrong="doubt=False",
        ),
        test_scenarios.test_rejection_of_a_resend_is_compensated,
    ),
    (
        Bug(
            name="compensation in wrong order",
            invariants="10",
            module=MACHINE,
            function="undo_order",
            right="for s in reversed(steps)",
            wrong="for s in steps",
        ),
        two_steps_second_rejected,
    ),
    (
        Bug(
            name="steps in doubt are not compensated",
            invariants="10",
            module=MACHINE,
            function="undo_order",
            right="if s.effect is not Effect.NONE",
            wrong="if s.effect is Effect.DONE",
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    (
        Bug(
            name="lost timer",
            invariants="14",
            module=MACHINE,
            function="_call_wait",
            right="else call.retry_at",
            wrong="else 1 << 62",
        ),
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    (
        Bug(
            name="counter reset on restart",
            invariants="18",
            module=MACHINE,
            function="_resent",
            right="resends=call.resends + 1",
            wrong="attempts=1, resends=call.resends + 1",
        ),
        takeover_then_retry,
    ),
    (
        Bug(
            name="retries do not end",
            invariants="18",
            module=MACHINE,
            function="_Turn._unanswered",
            right="if call.attempts < policy.attempts_allowed and not (total",
            wrong="if not (total",
        ),
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    (
        Bug(
            name="compensates while the attempt may still start",
            invariants="10",
            module=MACHINE,
            function="_Turn._backward",
            right="""
                if step.call.doubt and not self._expired(step.call):
                    return
                self._intend_compensation(step, CompensationState())
                """,
            wrong="""
                self._intend_compensation(step, CompensationState())
                """,
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    (
        Bug(
            name="compensates while the step is open",
            invariants="10",
            module=MACHINE,
            function="_Turn._backward",
            right="return  # Wait for what is open: an answer is worth more than a guess.",
            wrong="continue",
        ),
        test_scenarios.TestCancel().test_in_flight_waits_for_the_answer_then_undoes,
    ),
    (
        Bug(
            name="version stands still",
            invariants="4",
            module=MACHINE,
            function="_Turn.decision",
            right="version=self.before.version + 1",
            wrong="version=self.before.version",
        ),
        two_steps_second_rejected,
    ),
    (
        Bug(
            name="failed compensation passed over",
            invariants="16",
            module=MACHINE,
            function="_Turn._backward",
            right="self._fail(step, comp)",
            wrong="continue",
        ),
        test_scenarios.TestCompensation().test_rejected_is_not_retried_and_fails_the_saga,
    ),
    (
        Bug(
            name="an event is numbered twice",
            invariants="15",
            module=MACHINE,
            function="_Turn._event",
            right="+ len(self.events) + 1",
            wrong="+ max(len(self.events), 1)",
        ),
        two_steps_second_rejected,
    ),
    (
        Bug(
            name="no doubt is recorded, so a compensation comes too early",
            invariants="10",
            module=MACHINE,
            function="_Turn._unanswered",
            right="in_flight=False, doubt=True",
            wrong="in_flight=False",
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
)


@pytest.mark.parametrize(("bug", "story"), PLANTED, ids=[bug.name for bug, _ in PLANTED])
def test_planted_bug_is_found(bug, story):
    story()  # Without the bug it passes.
    with caught(bug):
        story()
