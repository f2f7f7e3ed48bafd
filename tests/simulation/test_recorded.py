"""Recorded worlds, replayed: nothing is wrong with any, and together they reach all that is to be tested."""

import pytest

from tests.support.simulation.coverage import missing
from tests.support.simulation.recorded import choose, record, recorded
from tests.support.simulation.sweep import Sweep, sweep


@pytest.fixture(scope="module")
def swept() -> Sweep:
    return sweep([one.seed for one in recorded()])


def test_nothing_is_wrong_with_any(swept):
    why = {one.seed: one.why for one in recorded()}
    assert {seed: (wrong, why[seed]) for seed, wrong in swept.failed.items()} == {}
    assert swept.runs == len(why) > 0


def test_together_they_reach_everything(swept):
    """If the worlds have changed: choose anew, as the file's head says."""
    assert missing(swept.counts) == []


@pytest.fixture
def file(tmp_path):
    kept = tmp_path / "seeds.txt"
    kept.write_text("# By hand:\n5       it showed something\n\n# Chosen:\n9       fault crash\n")
    return kept


def test_one_more_is_recorded(file):
    record(7, " it showed\nsomething  else ", file)
    record(9, "that, too", file)
    assert [(one.seed, one.why) for one in recorded(file)] == [
        (5, "it showed something"),
        (7, "it showed something else"),
        (9, "that, too"),
    ]


@pytest.mark.parametrize(("seed", "why"), [(5, "again"), (7, " ")])
def test_twice_or_without_a_reason_is_refused(file, seed, why):
    with pytest.raises(ValueError, match=f"seed {seed}"):
        record(seed, why, file)


@pytest.mark.parametrize("line", ["5 once more", "6", "seven because"])
def test_a_line_that_says_nothing_is_refused(file, line):
    file.write_text(f"5 it showed something\n{line}\n# Chosen:\n")
    with pytest.raises(ValueError, match="not a new seed"):
        recorded(file)


def test_few_are_chosen_and_each_thing_is_reached_three_times(file):
    common, rare = frozenset({"common"}), frozenset({"common", "rare"})
    seen = dict.fromkeys(range(20), common) | {5: rare, 12: rare, 13: frozenset({"rare"})}
    choose(seen, file, times=3)
    chosen = recorded(file)
    assert [(one.seed, one.why) for one in chosen] == [
        (5, "it showed something"),
        (0, "common"),
        (1, "common"),
        (12, "rare; common"),
        (13, "rare"),
    ]
    assert file.read_text().startswith("# By hand:\n5       it showed something\n\n# Chosen:\n0       common\n")
