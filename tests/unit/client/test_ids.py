"""Ids that sort by time."""

import time

from swit_saga.ids import new_saga_id


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
