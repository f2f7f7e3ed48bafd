"""A thousand worlds, each from one seed: every saga comes to its outcome, and a great deal went wrong on the way."""

from dataclasses import replace

import pytest

from swit_saga_server.core.units import NO_TIME
from tests.support.simulation.__main__ import run_all
from tests.support.simulation.coverage import missing
from tests.support.simulation.observed import Fault, Observation, Remains, Said
from tests.support.simulation.oracle import wrong
from tests.support.simulation.scene import BEGINNING, CALM
from tests.support.simulation.sweep import Sweep
from tests.support.simulation.world import Outcome, plan, run

SEEDS = range(1_000)


@pytest.fixture(scope="module")
def swept() -> Sweep:
    total = Sweep()
    for part in run_all(SEEDS, processes=2):
        total += part
    return total


@pytest.mark.timeout(300)
def test_every_world_settles(swept):
    assert swept.failed == {}
    assert swept.runs == len(SEEDS)


def test_what_was_to_be_tested_happened(swept):
    assert missing(swept.counts, 10) == []


def test_without_faults_every_saga_ends_as_scripted():
    """The calm world is the control: nothing is lost, so nothing may be lost."""
    for seed in range(20):
        drawn = plan(seed)
        participants = tuple(replace(p, skew=NO_TIME) for p in drawn.participants)
        outcome = run(replace(drawn, faults=(), weather=CALM, participants=participants))
        assert wrong(outcome) == ""
        assert {f.kind for f in outcome.observations if isinstance(f, Fault)} <= {"eviction"}
        assert any(isinstance(seen, Said) for seen in outcome.observations)
        started = {a.saga_id for a in drawn.actions}
        assert {r.saga.id for r in outcome.observations if isinstance(r, Remains)} == started


@pytest.mark.parametrize("seed", range(5))
def test_taking_the_last_action_away_changes_nothing_before_it(seed):
    """Shrinking relies on it: chances hang on what a message is, not on how many came before."""
    drawn = plan(seed)
    last = max(drawn.actions, key=lambda a: a.at)
    fewer = replace(drawn, actions=tuple(a for a in drawn.actions if a is not last))
    until = BEGINNING + last.at

    def before(outcome: Outcome) -> list[Observation]:
        return [seen for seen in outcome.observations if seen.at < until]

    assert before(run(fewer)) == before(run(drawn)) != []
