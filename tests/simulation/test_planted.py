"""Every planted bug can still be planted, changes something, and is found quickly; nothing of it stays behind."""

import pytest

from tests.support.planting import plant
from tests.support.simulation.bugs import BUGS
from tests.support.simulation.oracle import wrong
from tests.support.simulation.planted import hunt, table
from tests.support.simulation.world import plan, run

SLOW = {"watch does not look back when it is notified"}
"""Bugs that take thousands of worlds: only ``make planted`` hunts them."""
SHOWN_BY = {
    "superseded command sent": 71,
    "watch ends with the outcome, not with its event": 180,
    "no epoch check": 204,
    "fence ignored": 204,
    "newer record quarantined": 107,
    "partition of a newer saga kept": 111,
    "what older ones decline is left over": 111,
}
"""Worlds that once showed a bug that is found late; tried first, and of no other meaning."""


def test_there_are_many_of_different_kinds():
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 14
    assert len({number for bug in BUGS for number in bug.invariants.split(", ")}) >= 10


@pytest.mark.parametrize("bug", [b for b in BUGS if b.name not in SLOW], ids=lambda b: b.name)
@pytest.mark.timeout(60)
def test_it_is_found(bug):
    seeds = [*([SHOWN_BY[bug.name]] if bug.name in SHOWN_BY else []), *range(200)]
    found = hunt(bug.name, seeds)
    assert found.seeds, f"not in 200 seeds; it should break {bug.invariants}"
    assert wrong(run(plan(seeds[found.seeds - 1]))) == "", "it stayed behind"
    assert bug.name in table([found])


def test_a_slow_one_can_be_planted():
    for bug in BUGS:
        if bug.name in SLOW:
            with plant(bug):
                pass
