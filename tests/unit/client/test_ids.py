"""Ids that sort by time."""

import time
import zlib

import pytest

from swit_saga.ids import SagaIds, new_saga_id
from swit_saga_server.store.contract import partition_of


def test_unique_and_of_one_form():
    made = {new_saga_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert {len(x) for x in made} == {32}
    assert all(set(x) <= set("0123456789abcdef") for x in made)


def test_later_ones_sort_later(monkeypatch):
    made = []
    for ms in (0, 1_700_000_000_000, 1_700_000_000_001, (1 << 44) - 1):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        made.append(new_saga_id())
    assert made == sorted(made)


def test_ids_fall_where_the_coordinator_drives_them():
    ids = SagaIds()
    assert len(ids.new()) == 32, "nothing is known yet"
    ids.learn(64, [3, 17])
    made = {ids.new() for _ in range(100)}
    assert len(made) == 100
    assert {zlib.crc32(i.encode()) % 64 for i in made} == {3, 17}
    ids.learn(64, [5])
    assert zlib.crc32(ids.new().encode()) % 64 == 5


@pytest.mark.parametrize(("total", "held"), [(64, []), (0, []), (0, [1])])
def test_a_coordinator_that_drives_none_takes_any(total, held):
    ids = SagaIds()
    ids.learn(64, [3])
    ids.learn(total, held)
    assert len({zlib.crc32(ids.new().encode()) % 64 for _ in range(100)}) > 10


def test_the_client_counts_as_the_coordinator_does():
    ids = SagaIds()
    ids.learn(64, [7])
    assert {partition_of(ids.new(), 64) for _ in range(20)} == {7}
