"""Bugs planted in the machine, one at a time: the tests above must catch each, or they prove nothing.

A bug is a change to the machine's own source, so that it is exactly what somebody might write by mistake.
"""

import inspect
from collections.abc import Callable
from types import ModuleType

import pytest

from swit_saga_server.core import machine
from swit_saga_server.core.errors import IllegalTransition
from tests.support.core import drive
from tests.support.core.drive import Driven, chain, done, lost, no
from tests.support.invariants import Violated
from tests.unit.core import test_scenarios
from tests.unit.core.test_properties import finish


def plant(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    """Replace ``right`` by ``wrong`` in the machine, for this test."""
    source = inspect.getsource(machine)
    assert source.count(right) == 1, f"{right!r} stands {source.count(right)} times in the machine"
    broken = ModuleType("broken_machine")
    exec(compile(source.replace(right, wrong), "broken_machine", "exec"), broken.__dict__)
    monkeypatch.setattr(drive, "machine", broken)
    monkeypatch.setattr(test_scenarios, "due_at", broken.due_at)


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


PLANTED: dict[str, tuple[str, str, Callable[[], None]]] = {
    "unknown taken for rejected (11)": (
        "            case Unknown(error):\n                if latest:\n"
        "                    self._unanswered(step, error)",
        "            case Unknown(error):\n                if latest:\n"
        "                    self._set(step, call=evolve(call, in_flight=False), effect=Effect.NONE)\n"
        "                    self._give_up(step, error)",
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    "rejected after unknown not compensated (11)": (
        "certain = only or not call.doubt",
        "certain = True",
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    "a resend leaves no doubt (11)": (
        "resends=call.resends + 1, doubt=True,",
        "resends=call.resends + 1, doubt=False,",
        test_scenarios.test_rejection_of_a_resend_is_compensated,
    ),
    "compensation in wrong order (10)": (
        "for s in reversed(steps) if s.effect is not Effect.NONE]",
        "for s in steps if s.effect is not Effect.NONE]",
        two_steps_second_rejected,
    ),
    "steps in doubt are not compensated (10)": (
        "for s in reversed(steps) if s.effect is not Effect.NONE]",
        "for s in reversed(steps) if s.effect is Effect.DONE]",
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    "lost timer (14)": (
        "    return call.not_after + SKEW_ALLOWANCE if call.in_flight else call.retry_at",
        "    return call.not_after + SKEW_ALLOWANCE if call.in_flight else 1 << 62",
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    "counter reset on restart (18)": (
        "return evolve(call, resends=call.resends + 1,",
        "return evolve(call, attempts=1, resends=call.resends + 1,",
        takeover_then_retry,
    ),
    "retries do not end (18)": (
        "if call.attempts < policy.attempts_allowed and not (total",
        "if not (total",
        test_scenarios.test_unknown_is_retried_under_the_same_key_until_exhausted,
    ),
    "compensates while the attempt may still start (10)": (
        "                if step.call.doubt and not self._expired(step.call):\n                    return\n",
        "",
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
    "compensates while the step is open (10)": (
        "                if not self._expired(step.call):\n"
        "                    return  # Wait for what is open: an answer is worth more than a guess.\n",
        "                if not self._expired(step.call):\n                    continue\n",
        test_scenarios.TestCancel().test_in_flight_waits_for_the_answer_then_undoes,
    ),
    "version stands still (4)": (
        "version=self.before.version + 1,\n            updated_at=self.now,",
        "version=self.before.version,\n            updated_at=self.now,",
        two_steps_second_rejected,
    ),
    "failed compensation passed over (16)": (
        "            if comp.status is CompensationStatus.FAILED:\n                self._fail(step, comp)",
        "            if comp.status is CompensationStatus.FAILED:\n                continue",
        test_scenarios.TestCompensation().test_rejected_is_not_retried_and_fails_the_saga,
    ),
    "an event is numbered twice (15)": (
        "sequence = self.before.last_sequence + len(self.events) + 1",
        "sequence = self.before.last_sequence + max(len(self.events), 1)",
        two_steps_second_rejected,
    ),
    "no doubt is recorded, so a compensation comes too early (10)": (
        "call = evolve(step.call, in_flight=False, doubt=True)",
        "call = evolve(step.call, in_flight=False)",
        test_scenarios.test_rejection_after_an_unknown_attempt_is_compensated,
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bug_is_found(bug, monkeypatch):
    right, wrong, story = PLANTED[bug]
    story()  # Without the bug it passes.
    plant(monkeypatch, right, wrong)
    with pytest.raises((Violated, AssertionError, IllegalTransition)):
        story()
