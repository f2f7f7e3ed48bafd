"""From a bug to a page that shows it: a failing world is found, shrunk and shown as a story."""

import pytest

from tests.support.planting import plant
from tests.support.simulation.bugs import BUGS
from tests.support.simulation.oracle import kinds, wrong
from tests.support.simulation.report import sizes, smallest, story
from tests.support.simulation.world import Outcome, plan, run

(IMPATIENT,) = (bug for bug in BUGS if bug.name == "compensate racing execute")
"""The coordinator forgets that a participant's clock may lag, and undoes what may still begin."""


@pytest.fixture(scope="module")
def failing() -> Outcome:
    with plant(IMPATIENT):
        outcomes = (run(plan(seed)) for seed in range(200))
        return next(outcome for outcome in outcomes if len(outcome.plan.sagas) > 3 and wrong(outcome))


def test_the_small_world_shows_the_same(failing):
    with plant(IMPATIENT):
        small = smallest(failing, budget=150)
    assert kinds(failing) & kinds(small)
    assert len(small.plan.sagas) == len(small.plan.coordinators) == 1
    assert len(small.plan.actions) <= 2 < len(failing.plan.actions)
    assert len(small.observations) < len(failing.observations) / 4
    assert not kinds(run(small.plan)), "without the bug, nothing is wrong with it"


def test_it_is_told_with_what_is_wrong(failing):
    text = story(failing)
    assert "WRONG" in text
    assert "invariant 10: step" in text
    assert sizes(failing.plan).startswith(f"{len(failing.plan.coordinators)} coordinators, ")
