"""From a bug to a page that shows it: a failing world is found, shrunk and told."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from swit_saga_server.core import machine
from tests.support.simulation.oracle import kinds, wrong
from tests.support.simulation.report import sizes, smallest, told
from tests.support.simulation.world import Outcome, plan, run


class Impatient:
    """A bug: the coordinator forgets that a participant's clock may lag, and undoes what may still begin."""

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(machine, "SKEW_ALLOWANCE", 0)
            yield


@pytest.fixture(scope="module")
def failing() -> Outcome:
    outcomes = (run(plan(seed), planted=Impatient()) for seed in range(40))
    return next(outcome for outcome in outcomes if wrong(outcome))


def test_the_small_world_shows_the_same(failing):
    small = smallest(failing, planted=Impatient(), budget=150)
    assert kinds(failing) & kinds(small)
    assert len(small.plan.sagas) == len(small.plan.coordinators) == 1
    assert len(small.plan.actions) <= 2 < len(failing.plan.actions)
    assert len(small.observations) < len(failing.observations) / 4
    assert not kinds(run(small.plan)), "without the bug, nothing is wrong with it"


def test_it_is_told_with_what_is_wrong(failing):
    text = told(failing)
    assert "WRONG" in text
    assert "invariant 10: step" in text
    assert sizes(failing.plan).startswith(f"{len(failing.plan.coordinators)} coordinators, ")
