"""Many worlds in a row: what failed, and how much was really tested."""

import gc
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.simulation.coverage import counted, reached
from tests.support.simulation.oracle import wrong
from tests.support.simulation.world import plan, run

FREED_EVERY = 20
"""Runs between garbage collections; within a run there are none."""


@dataclass(slots=True, kw_only=True)
class Sweep:
    """What a number of runs showed.

    Attributes:
        failed: By seed, what was wrong.
        counts: How often each thing was seen: faults, outcomes, answers, verdicts, situations.
        fingerprint: Over the trace hashes of all runs, in order.
    """

    runs: int = 0
    virtual_s: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    fingerprint: str = ""

    def __iadd__(self, other: "Sweep") -> "Sweep":
        self.runs += other.runs
        self.virtual_s += other.virtual_s
        self.failed |= other.failed
        for what, counts in other.counts.items():
            self.counts.setdefault(what, Counter()).update(counts)
        self.fingerprint = hashlib.sha256((self.fingerprint + other.fingerprint).encode()).hexdigest()[:16]
        return self


def marks(seeds: Sequence[int]) -> dict[int, frozenset[str]]:
    """By seed, what of all that is wanted its world reached; without those that failed."""
    found = {}
    for seed in seeds:
        outcome = run(plan(seed))
        if not wrong(outcome):
            found[seed] = reached(counted(outcome.observations))
    gc.collect()
    return found


def sweep(seeds: Sequence[int]) -> Sweep:
    """Run and check ``seeds``, in this process."""
    found = Sweep()
    for n, seed in enumerate(seeds):
        outcome = run(plan(seed))
        why = wrong(outcome)
        found += Sweep(
            runs=1,
            virtual_s=outcome.virtual / 1e6,
            failed={seed: why} if why else {},
            counts=counted(outcome.observations),
            fingerprint=outcome.trace_hash,
        )
        if n % FREED_EVERY == FREED_EVERY - 1:
            gc.collect()
    return found
