"""The comparison with another commit, in little: both sides are the working tree, and nothing is left running."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.against.checkout import Side, working_tree
from bench.against.pairs import Load, compare

pytestmark = pytest.mark.e2e
LITTLE = Load(sagas_at_a_time=20, warm_up_s=0.1, turn_s=0.15)


def children() -> set[str]:
    """Processes that this one has."""
    found = Path("/proc/self/task").glob("*/children")
    return {pid for one in found for pid in one.read_text().split()}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


async def test_one_pair():
    side = working_tree()
    (pair,) = [one async for one in compare(side, side, pairs=1, load=LITTLE, stores=["everysec"])]
    assert (pair.store, pair.first) == ("everysec", "old")
    for measured in (pair.old, pair.new):
        assert measured.sagas_per_s > 10
        assert 10 < measured.cpu_us_per_saga < 1e6 / measured.sagas_per_s * 2, "of one thread and a little"
    assert 1 / 10 < pair.cpu_ratio < 10


async def test_a_side_that_does_not_start_ends_the_comparison():
    broken = Side("0" * 40, "/bin/false")
    with pytest.raises(RuntimeError, match="coordinator0 did not start"):
        await anext(compare(working_tree(), broken, pairs=1, load=LITTLE, stores=["everysec"]))
