"""Run worlds from the command line.

``python -m tests.support.simulation --seeds 2000``; ``--seed 1234``, one again; ``--record 1234 "why"``, from now on;
``--seeds 2000 --choose`` chooses the seeds that CI runs besides those recorded.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from tests.support.simulation.recorded import choose, record
from tests.support.simulation.report import explain
from tests.support.simulation.sweep import Sweep, marks, sweep

BATCH = 50

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 if no run showed a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many worlds to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one only, and tell what happened")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--shown", type=int, default=3, help="failing seeds to shrink and show")
    parser.add_argument("--record", nargs=2, metavar=("SEED", "WHY"), help="keep a seed: CI runs it from now on")
    parser.add_argument("--choose", action="store_true", help="choose anew, among these, the seeds that CI runs")
    given = parser.parse_args(arguments)
    if given.record is not None:
        seed, why = given.record
        record(int(seed), why)
        return explain(int(seed), always=False)
    seeds = range(given.start, given.start + given.seeds)
    if given.choose:
        found = {seed: reached for part in _each_part(marks, seeds, given.processes) for seed, reached in part.items()}
        choose(found)
        print(f"{len(seeds) - len(found)} of {len(seeds)} worlds failed, and were not chosen from")
        return 0 if len(found) == len(seeds) else 1
    if given.seed is not None:
        return explain(given.seed, always=True)
    return _many(seeds, given.processes, given.shown)


def _many(seeds: range, processes: int, shown: int) -> int:
    begun = time.monotonic()
    total = Sweep()
    for found in run_all(seeds, processes):
        total += found
        print(f"\r{total.runs} worlds, {len(total.failed)} failed", end="", file=sys.stderr, flush=True)
    took = time.monotonic() - begun
    print(f"\n{total.runs} worlds in {took:.1f} s: {total.runs / took:.1f}/s, {total.virtual_s:.0f} virtual s")
    for what, counts in total.counts.items():
        print(f"  {what}: {_listed(counts)}")
    print(f"  fingerprint of all: {total.fingerprint}")
    for seed, why in sorted(total.failed.items()):
        print(f"SEED={seed}: {why}")
    for seed in sorted(total.failed)[:shown]:
        explain(seed, always=False)
    return 1 if total.failed else 0


def run_all(seeds: range, processes: int) -> Iterator[Sweep]:
    """Sweeps over parts of ``seeds``, in order, as they come."""
    return _each_part(sweep, seeds, processes)


def _each_part(work: Callable[[Sequence[int]], T], seeds: range, processes: int) -> Iterator[T]:
    parts = [seeds[i : i + BATCH] for i in range(0, len(seeds), BATCH)]
    if processes == 1:
        yield from map(work, parts)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, parts)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
