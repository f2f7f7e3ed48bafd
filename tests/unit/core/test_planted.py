"""Bugs planted in the machine, one at a time: the tests above must catch each, or they prove nothing.

A bug is a change to the machine's own source, so that it is exactly what somebody might write by mistake.
"""

from collections.abc import Callable

import pytest

from tests.support.core.drive import Driven, chain, done, lost, no
from tests.support.planting import Bug, caught
from tests.unit.core import test_scenarios, test_unusable
from tests.unit.core.test_properties import finish

CORE = "swit_saga_server.core"


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
            name="output that cannot be used taken for a rejection",
            invariants="10",
            module=f"{CORE}.executing",
            function="take",
            right="_unusable(draft, step, error)",
            wrong="_rejected(draft, step, error)",
        ),
        test_unusable.test_it_is_undone_at_once,
    ),
    (
        Bug(
            name="output that cannot be used tried again",
            invariants="8",
            module=f"{CORE}.executing",
            function="take",
            right="_unusable(draft, step, error)",
            wrong="unanswered(draft, step.index, error)",
        ),
        test_unusable.test_it_is_undone_at_once,
    ),
    (
        Bug(
            name="unknown taken for rejected",
            invariants="11",
            module=f"{CORE}.executing",
            function="take",
            right="unanswered(draft, step.index, error)",
            wrong="""
                draft.set_step(step.index, call=evolve(step.call, in_flight=False), effect=Effect.NONE)
                _give_up(draft, step.index, error)
                """,
        ),
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    (
        Bug(
            name="rejected after unknown not compensated",
            invariants="11",
            module=f"{CORE}.executing",
            function="_rejected",
            right="step.call.sends == 1 or not step.call.doubt",
            wrong="True",
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    (
        Bug(
            name="a resend leaves no doubt",
            invariants="11",
            module=f"{CORE}.attempts",
            function="resend",
            right="doubt=True",
            wrong="doubt=False",
        ),
        test_scenarios.test_rejection_of_a_resend_is_compensated,
    ),
    (
        Bug(
            name="compensation in wrong order",
            invariants="10",
            module=f"{CORE}.undo",
            function="to_undo",
            right="for s in reversed(steps)",
            wrong="for s in steps",
        ),
        two_steps_second_rejected,
    ),
    (
        Bug(
            name="steps in doubt are not compensated",
            invariants="10",
            module=f"{CORE}.undo",
            function="to_undo",
            right="if s.effect is not Effect.NONE",
            wrong="if s.effect is Effect.DONE",
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    (
        Bug(
            name="lost timer",
            invariants="14",
            module=f"{CORE}.agenda",
            function="of_step",
            right="return step.call.retry_at,",
            wrong="return 1 << 62,",
        ),
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    (
        Bug(
            name="counter reset on restart",
            invariants="18",
            module=f"{CORE}.attempts",
            function="resend",
            right="sends=call.sends + 1",
            wrong="attempts=1, sends=call.sends + 1",
        ),
        takeover_then_retry,
    ),
    (
        Bug(
            name="retries do not end",
            invariants="18",
            module=f"{CORE}.attempts",
            function="leave_in_doubt",
            right="if call.attempts >= policy.attempts_allowed:",
            wrong="if False:",
        ),
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    (
        Bug(
            name="compensates while the attempt may still start",
            invariants="10",
            module=f"{CORE}.agenda",
            function="_undo",
            right="silent_at(step.call) if step.call.doubt else NEVER",
            wrong="0",
        ),
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    (
        Bug(
            name="compensates while the step is open",
            invariants="10",
            module=f"{CORE}.agenda",
            function="backward",
            right="still_open or ",
            wrong="",
        ),
        test_scenarios.TestCancel().test_in_flight_waits_for_the_answer_then_undoes,
    ),
    (
        Bug(
            name="version stands still",
            invariants="4",
            module=f"{CORE}.draft",
            function="Draft.decision",
            right="version=self.before.version + 1",
            wrong="version=self.before.version",
        ),
        two_steps_second_rejected,
    ),
    (
        Bug(
            name="failed compensation passed over",
            invariants="16",
            module=f"{CORE}.undo",
            function="sequential",
            right="not step.compensation.status.is_undone",
            wrong="step.compensation.status.value == 'running'",
        ),
        test_scenarios.TestCompensation().test_rejected_is_not_retried_and_fails_the_saga,
    ),
    (
        Bug(
            name="an event is numbered twice",
            invariants="15",
            module=f"{CORE}.draft",
            function="Draft.record",
            right="+ len(self.events) + 1",
            wrong="+ max(len(self.events), 1)",
        ),
        two_steps_second_rejected,
    ),
    (
        Bug(
            name="no doubt is recorded, so a compensation comes too early",
            invariants="10",
            module=f"{CORE}.attempts",
            function="leave_in_doubt",
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
