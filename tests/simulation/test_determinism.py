"""The same seed shows the same world: in this process, again, and in processes that hash differently."""

import os
import subprocess
import sys

from tests.support.simulation.world import plan, run

SEEDS = range(40, 60)
SCRIPT = f"""
from tests.support.simulation.world import plan, run
print(*(run(plan(seed)).trace_hash for seed in {SEEDS!r}))
"""


def hashes_with(hash_seed: str) -> list[str]:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_seed_is_one_trace_everywhere():
    here = [run(plan(seed)).trace_hash for seed in SEEDS]
    assert here == [run(plan(seed)).trace_hash for seed in SEEDS]
    assert hashes_with("1") == hashes_with("4242") == here
    assert len(set(here)) == len(here)
