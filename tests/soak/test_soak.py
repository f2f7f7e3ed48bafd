"""A short soak; ``make soak MINUTES=...`` is the long one."""

import pytest

from tests.support.soak.run import require_every_fault, soak


@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_a_short_soak(tmp_path, capsys):
    report = await soak(tmp_path, 40, seed=4)
    with capsys.disabled():
        print(f"\n{report}")
    require_every_fault(report)
