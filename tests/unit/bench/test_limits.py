"""What counts as enough under strain, and the flood's hand-made messages."""

import pytest

from bench.drivers.loop import PAYLOAD
from bench.limits.flood import message
from bench.limits.judge import growth, overload, ratio, table, two, watchers
from bench.limits.watching import Watcher
from bench.report import insert
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb

TOLD = {"reading": 900, "idle": 100, "complete": 900, "events": 9_000, "cut": 100, "resumed": 100}
FLOOD = {
    "offered": 1_000,
    "seconds": 10.0,
    "completed_per_s": 8.0,
    "rejected_p99_ms": 49.9,
    "admitted": 90,
    "completed": 90,
    "rejected": 910,
    "other": 0,
    "with_retry_info": True,
}


def oks(findings):
    return [f.ok for f in findings]


def test_a_ratio_is_of_rounds_that_followed_each_other():
    assert ratio([10, 100, 4], [10, 50, 1]) == 2


def test_growth():
    assert oks(growth([100], [90], 100_000, 4096, 15.0)) == [True] * 3
    assert oks(growth([100], [89], 100_000, 4097, 15.1)) == [False] * 3


def test_two():
    assert oks(two([100], [115], 500)) == [True]
    assert oks(two([100], [116], 500)) == [False]


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
    found = oks(watchers([100], [85], 256, {**TOLD, **changed}))
    assert {i for i, ok in enumerate(found) if not ok} == bad


def test_watchers_that_cost_too_much():
    assert oks(watchers([100], [84], 257, TOLD))[:2] == [False, False]


@pytest.mark.parametrize(
    ("changed", "bad"),
    [
        ({}, set()),
        ({"offered": 900}, {0}),
        ({"completed_per_s": 7.9}, {1}),
        ({"completed": 89}, {2}),
        ({"admitted": 0, "completed": 0}, {2}),
        ({"rejected_p99_ms": 50.0}, {3}),
        ({"other": 1}, {4}),
        ({"with_retry_info": False}, {4}),
        ({"rejected": 0}, {4}),
    ],
)
def test_overload(changed, bad):
    found = oks(overload(10.0, {**FLOOD, **changed}))
    assert {i for i, ok in enumerate(found) if not ok} == bad


def test_a_table_says_what_is_not_enough():
    shown = table([*two([100], [116], 500), *two([100], [100], 500)])
    assert shown.count("**no**") == shown.count("| yes |") == 1


@pytest.mark.parametrize("number", [1, 127, 128, 300_000])
def test_a_flood_is_made_of_starts(number):
    start = pb.StartSagaRequest(definition_id="four", initial_data=Codecs().encode(PAYLOAD))
    item = pb.StartSagasRequest.Item(item_id=number, start=start)
    made = pb.StartSagasRequest.FromString(message(number, 3, start.SerializeToString()))
    assert made == pb.StartSagasRequest(items=[item, item, item])


@pytest.mark.parametrize(
    ("sequences", "all_there"), [([1, 2, 3], True), ([], False), ([2, 3], False), ([1, 3], False), ([1, 1], False)]
)
def test_a_watcher_that_has_all(sequences, all_there):
    assert Watcher("s", None, sequences).has_all is all_there


def test_what_is_inserted_stands_between_its_own_markers(tmp_path):
    document = tmp_path / "d.md"
    document.write_text("a\n<!-- x -->\nold\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\n")
    insert("x", r"new \1", document)
    assert document.read_text() == "a\n<!-- x -->\nnew \\1\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\n"
