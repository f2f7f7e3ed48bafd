"""The comparison with another commit: its statistics, its order, what it says and what it keeps."""

import json
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from bench.against.__main__ import as_json, note
from bench.against.checkout import Side, Unusable, resolve, unpack, working_tree
from bench.against.interval import Median, coverage, median_of, rank
from bench.against.pairs import Load, Measured, Pair, turns
from bench.against.report import Comparison, comparisons, differing, line, table

OLD, NEW = Side("a" * 40, sys.executable), Side("b" * 40, sys.executable, dirty=True)


def pair(cpu: float, *, store: str = "sqlite", throughput: float = 1.0) -> Pair:
    """Its new side costs ``cpu`` times its old one."""
    return Pair(store, "old", Measured(5e5, 1_000, 1.0), Measured(5e5 * cpu, 1_000, 1.0 / throughput))


@pytest.mark.parametrize(
    ("size", "k", "covered"),
    [
        (5, 0, None),
        (6, 1, 1 - 2 / 2**6),
        (15, 4, 1 - 2 * (1 + 15 + 105 + 455) / 2**15),
        (16, 4, 1 - 2 * (1 + 16 + 120 + 560) / 2**16),
        (20, 6, 1 - 2 * (1 + 20 + 190 + 1140 + 4845 + 15504) / 2**20),
    ],
)
def test_the_interval_is_between_the_order_statistics_of_the_sign_test(size: int, k: int, covered: float | None):
    assert rank(size) == k
    sample = [float(n) for n in range(1, size + 1)]
    random.Random(size).shuffle(sample)
    found = median_of(sample)
    assert found.value == median(sample)
    if covered is None:
        assert (found.low, found.high, found.coverage) == (None, None, 0.0)
        assert str(found) == "3.000 (too few for an interval)"
        return
    assert (found.low, found.high) == (k, size + 1 - k)
    assert found.coverage == pytest.approx(covered)
    assert found.coverage >= 0.95
    assert coverage(size, k + 1) < 0.95, "a narrower one would do"


def test_the_interval_has_the_true_median_as_often_as_it_says():
    draw = random.Random(1).lognormvariate
    samples = ([draw(0.0, 0.1) for _ in range(15)] for _ in range(4_000))
    has_it = [found.low <= 1.0 <= found.high for found in map(median_of, samples) if found.low and found.high]
    assert len(has_it) == 4_000
    assert sum(has_it) / 4_000 == pytest.approx(coverage(15, 4), abs=0.01)


def test_the_sides_take_turns_within_a_pair_and_in_going_first():
    assert [turns(number) for number in range(4)] == [
        ("old", "new", "new", "old"),
        ("new", "old", "old", "new"),
        ("old", "new", "new", "old"),
        ("new", "old", "old", "new"),
    ]


def test_ratios_are_new_to_old():
    one = pair(1.1, throughput=0.9)
    assert one.cpu_ratio == pytest.approx(1.1)
    assert one.throughput_ratio == pytest.approx(0.9)
    assert line(2, one) == "pair 3, SQLite FULL: old 500 us, new 550 us: 1.100"


@pytest.mark.parametrize(
    ("ratios", "ok", "verdict"),
    [
        ([1.0] * 15, True, "yes, with the whole interval"),
        ([1.0] * 8 + [1.05] * 7, True, "yes, but the interval has the limit in it"),
        ([1.0] * 7 + [1.05] * 8, False, "no, but the interval has the limit in it"),
        ([1.0] * 3 + [1.05] * 12, False, "no, with the whole interval"),
        ([1.0], True, "yes, without an interval"),
    ],
)
def test_the_verdict_is_the_medians_and_says_how_sure_it_is(ratios: list[float], ok: bool, verdict: str):
    found = Comparison("sqlite", [pair(ratio) for ratio in ratios], 1.03)
    assert (found.ok, found.verdict) == (ok, verdict)


def test_what_is_shown():
    pairs = [*(pair(1.0 + n / 500) for n in range(15)), *(pair(1.1, store="everysec") for _ in range(6))]
    shown = table(comparisons(pairs, 1.03), "aaaaaaa", "bbbbbbb-dirty").splitlines()
    assert shown[0].startswith("| store | pairs | CPU per saga: `aaaaaaa`, `bbbbbbb-dirty` |")
    assert "| <= 1.03 |" in shown[0]
    assert shown[2] == (
        "| Redis everysec | 6 | 500 us, 550 us | 1.100 (1.100 to 1.100) | no, with the whole interval "
        "| 1.000 (1.000 to 1.000) |"
    )
    assert shown[3] == (
        "| SQLite FULL | 15 | 500 us, 507 us | 1.014 (1.006 to 1.022) | yes, with the whole interval "
        "| 1.000 (1.000 to 1.000) |"
    )
    assert len({row.count("|") for row in shown}) == 1


def test_dependencies_that_differ_are_said_to():
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == ""
    assert (
        differing({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == "a 1 against absent; b 2 against 3; c absent against 4"
    )


def test_what_is_kept(tmp_path: Path):
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- against -->\nold\n<!-- /against -->\nafter\n")
    found = comparisons([pair(1.02) for _ in range(15)], 1.03)
    made = as_json(OLD, NEW, found, took_s=300.4, load_before=0.123)
    written = note(made, "| the table |", tmp_path, document)
    assert written.name == "against-aaaaaaa.json"
    assert document.read_text() == "before\n<!-- against -->\n| the table |\n<!-- /against -->\nafter\n"
    kept = json.loads(written.read_text())
    assert (kept["old"]["commit"], kept["new"]["commit"]) == (OLD.commit, NEW.commit)
    assert (kept["old"]["dirty"], kept["new"]["dirty"]) == (False, True)
    assert kept["old"]["versions"]["grpcio"]
    assert kept["machine"]["cpus"] >= 1
    assert kept["load"]["turn_s"] == Load().turn_s
    of_store = kept["stores"]["sqlite"]
    assert (of_store["ok"], len(of_store["pairs"])) == (True, 15)
    assert of_store["pairs"][0]["new"] == {"cpu_us": pytest.approx(5.1e5), "sagas": 1_000, "seconds": 1.0}
    assert Median(**of_store["cpu_ratio"]).value == pytest.approx(1.02)


def test_what_is_no_commit_is_said_to_be_none():
    with pytest.raises(Unusable, match="'no-such-branch' is no commit"):
        resolve("no-such-branch")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit, tagged ``first``, and a change since."""
    root = tmp_path / "repository"
    root.mkdir()

    def git(*arguments: str) -> None:
        as_someone = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *as_someone, *arguments], cwd=root, check=True, capture_output=True)

    git("init")
    (root / "file").write_text("first")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "first")
    (root / "file").write_text("changed")
    return root


def test_a_commit_is_unpacked_as_it_was(repository: Path, tmp_path: Path):
    commit = resolve("first", repository)
    assert len(commit) == 40
    unpack(commit, tmp_path / "made" / "tree", repository)
    assert (tmp_path / "made" / "tree" / "file").read_text() == "first"
    assert not (repository / ".git" / "worktrees").exists()


def test_an_interpreter_with_another_trees_coordinator_is_refused(repository: Path):
    with pytest.raises(Unusable, match="which is not of"):
        working_tree(repository)


def test_the_working_tree_is_run_by_this_interpreter():
    side = working_tree()
    assert (side.commit, side.python) == (resolve("HEAD"), sys.executable)
    assert side.label == side.commit[:7] + ("-dirty" if side.dirty else "")
