"""Small versions of what ``takeover`` and ``losses`` measure."""

import pytest

from tests.support.soak.losses import WAYS, one_round
from tests.support.soak.takeover import takeovers

LEASE_S = 3.0


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_commands_of_a_killed_coordinator_are_sent_again_soon(tmp_path):
    for takeover in await takeovers(tmp_path, kills=2, in_flight=300, lease_s=LEASE_S):
        assert takeover.quantile(0.99) <= LEASE_S + 2, takeover
        assert takeover.quantile(1) < float("inf"), "some were never sent again"


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_what_a_crash_of_redis_takes(tmp_path):
    """The modes keep what they promise, and the measurement sees a loss where there is one."""
    for number, way in enumerate(WAYS):
        if way.lag_s:
            count = await one_round(tmp_path / str(number), way)
            assert count["acknowledged"] > 100
            lost = count["starts_lost"] + count["outcomes_taken_back"]
            assert (lost > 0) is (way.durability == "relaxed"), (way, count)
