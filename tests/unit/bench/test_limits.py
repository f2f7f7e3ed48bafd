"""What counts as enough under strain, and the flood's hand-made messages."""

import json

import pytest

from bench.drivers.loop import PAYLOAD
from bench.limits.__main__ import note
from bench.limits.flood import message
from bench.limits.oracle import (
    Finding,
    followers,
    growth,
    overload,
    ratio,
    spread,
    table,
    two,
    two_by_others,
    watchers,
)
from bench.limits.watching import Watcher
from bench.report import insert
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb

FACTS = {"reading": 900, "idle": 100, "complete": 900, "events": 9_000, "cut": 100, "resumed": 100}
FLOOD = {
    "offered": 1_000,
    "seconds": 10.0,
    "completed_per_s": 8.0,
    "peak_after_per_s": 6.0,
    "rejected_p99_ms": 49.9,
    "admitted": 90,
    "completed": 90,
    "rejected": 910,
    "bare": 0,
    "other": 0,
    "unanswered": 0,
    "cpu_share": 0.1,
    "admitted_p99_ms": 2_000.0,
}
UP = {"ready_s": 1.0, "completed_s": 15.0, "waiting": 100_000}
GROWN = {"grown": 4096 * 100_000, "in_memory": 100_000, "stopped": UP, "killed": UP}
FOLLOWED = {"open": 900, "watched": 5_000, "complete": 5_000, "events": 50_000}


def oks(findings):
    return [f.ok for f in findings]


def test_a_ratio_is_of_rounds_that_followed_each_other():
    assert ratio([10, 100, 4], [10, 50, 1]) == 2


def test_a_ratio_is_shown_with_the_least_and_the_most():
    assert spread([10, 100, 4], [10, 50, 1]) == "2.00 (1.00 to 4.00)"


@pytest.mark.parametrize(
    ("many", "changed", "bad"),
    [
        (90, {}, set()),
        (89, {}, {0}),
        (90, {"grown": 4097 * 100_000}, {1}),
        (90, {"grown": 4096 * 90_000, "in_memory": 90_000}, {1}),
        (90, {"stopped": {**UP, "completed_s": 15.1}}, {2}),
        (90, {"killed": {**UP, "completed_s": 15.1}}, {3}),
        (90, {"killed": {**UP, "waiting": 99_999}}, {4}),
    ],
)
def test_growth(many, changed, bad):
    found = oks(growth([100], [many], 100_000, {**GROWN, **changed}))
    assert {i for i, ok in enumerate(found) if not ok} == bad


def test_two():
    assert two([100], [115], 500).ok
    assert not two([100], [116], 500).ok
    assert two_by_others([100], [300], 500).ok, "it is shown, nothing is wanted of it"


@pytest.mark.parametrize(
    ("changed", "bad"),
    [
        ({}, set()),
        ({"cut": 99, "resumed": 99}, {2}),
        ({"resumed": 99}, {2}),
        ({"complete": 899}, {3}),
    ],
)
def test_watchers(changed, bad):
    found = oks(watchers([100], [85], 256, {**FACTS, **changed}))
    assert {i for i, ok in enumerate(found) if not ok} == bad


def test_watchers_that_cost_too_much():
    assert oks(watchers([100], [84], 257, FACTS))[:2] == [False, False]


@pytest.mark.parametrize(
    ("watched", "changed", "bad"),
    [
        (85, {}, set()),
        (84, {}, {0}),
        (85, {"complete": 4_999}, {1}),
        (85, {"watched": 0, "complete": 0}, {1}),
    ],
)
def test_followers(watched, changed, bad):
    found = oks(followers([100], [watched], {**FOLLOWED, **changed}))
    assert {i for i, ok in enumerate(found) if not ok} == bad


@pytest.mark.parametrize(
    ("changed", "bad"),
    [
        ({}, set()),
        ({"offered": 900}, {0}),
        ({"completed_per_s": 7.9}, {1}),
        ({"completed": 89}, {3}),
        ({"admitted": 0, "completed": 0}, {3}),
        ({"rejected_p99_ms": 50.0}, {5}),
        ({"other": 1}, {6}),
        ({"bare": 1}, {6}),
        ({"unanswered": 1}, {6}),
        ({"rejected": 0}, {6}),
    ],
)
def test_overload(changed, bad):
    found = oks(overload(10.0, {**FLOOD, **changed}))
    assert {i for i, ok in enumerate(found) if not ok} == bad


def test_a_table_says_what_is_not_enough():
    shown = table([two([100], [116], 500), two([100], [100], 500), two_by_others([100], [300], 500)])
    assert shown.count("**no**") == shown.count("| yes |") == shown.count("|  |\n") + shown.endswith("|  |") == 1


@pytest.mark.parametrize("number", [1, 127, 128, 300_000])
def test_a_flood_is_made_of_starts(number):
    start = pb.StartSagaRequest(definition_id="four", initial_data=Codecs().encode(PAYLOAD))
    item = pb.StartSagasRequest.Item(item_id=number, start=start)
    made = pb.StartSagasRequest.FromString(message(number, 3, start.SerializeToString()))
    assert made == pb.StartSagasRequest(items=[item, item, item])


@pytest.mark.parametrize(
    ("sequences", "until", "all_there"),
    [
        ([1, 2, 3], 3, True),
        ([1, 2, 3], 2, True),
        ([1, 2, 3], 4, False),
        ([], 0, False),
        ([2, 3], 2, False),
        ([1, 3], 2, False),
        ([1, 1], 1, False),
    ],
)
def test_a_watcher_that_has_all(sequences, until, all_there):
    assert Watcher("s", None, sequences).has_until(until) is all_there


def test_a_watcher_has_the_outcome_when_that_is_what_it_read_last():
    assert Watcher("s", None, latest="saga.completed").has_outcome
    assert not Watcher("s", None, latest="saga.step.completed").has_outcome


def test_what_is_noted_replaces_its_own_experiment_only(tmp_path):
    results, document = tmp_path / "limits.json", tmp_path / "d.md"
    document.write_text("<!-- limits -->\n<!-- /limits -->\n")
    for name, found, commit in (("two", "1", "a"), ("growth", "2", "b"), ("two", "3", "c")):
        note(name, [Finding(name, "w", ">= 1", found, True, {"x": [1]})], 7.4, commit, results, document)
    kept = json.loads(results.read_text())["experiments"]
    assert [(n, e["commit"], e["took_s"], e["findings"][0]["found"]) for n, e in kept.items()] == [
        ("growth", "b", 7, "2"),
        ("two", "c", 7, "3"),
    ]
    assert kept["two"]["findings"][0]["measured"] == {"x": [1]}
    assert document.read_text().count("| w |") == 2


def test_what_is_inserted_stands_between_its_own_markers(tmp_path):
    document = tmp_path / "d.md"
    document.write_text("a\n<!-- x -->\nold\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\n")
    insert("x", r"new \1", document)
    assert document.read_text() == "a\n<!-- x -->\nnew \\1\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\n"
