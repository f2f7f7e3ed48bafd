"""Hunting planted bugs: how many worlds it takes until the checker notices one.

``python -m tests.support.simulation.planted --table`` counts the seeds each needs and writes docs/reliability.md;
``--only NAME`` runs one and tells what it led to.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.support.planting import BrokenMutant, plant
from tests.support.planting.watch import OWN_ERRORS
from tests.support.simulation.bugs import BUGS
from tests.support.simulation.oracle import noticed
from tests.support.simulation.world import plan, run

SEEDS = 10_000
DOCUMENT = Path(__file__).parents[3] / "docs" / "reliability.md"


@dataclass(frozen=True, slots=True)
class Found:
    """``seeds`` is how many it took; None if none of them showed it."""

    name: str
    seeds: int | None
    why: str


def hunt(name: str, seeds: Iterable[int] = range(SEEDS)) -> Found:
    """Run worlds with a bug until the checker notices it. A world that crashes of it shows nothing and is passed over.

    Raises:
        BrokenMutant: It died of an error of its own.
    """
    bug = next(b for b in BUGS if b.name == name)
    with plant(bug):
        for number, seed in enumerate(seeds, 1):
            outcome = run(plan(seed))
            if isinstance(outcome.crashed, OWN_ERRORS):
                raise BrokenMutant(f"{name}: {type(outcome.crashed).__name__}: {outcome.crashed}")
            if why := noticed(outcome):
                return Found(name, number, why)
    return Found(name, None, "")


def table(found: list[Found]) -> str:
    """As Markdown."""
    lines = ["| bug | breaks | seeds needed | reported |", "|---|---|---|---|"]
    bugs = {b.name: b for b in BUGS}
    for f in found:
        numbers = ", ".join(dict.fromkeys(re.findall(r"invariant (\d+)", f.why))) or f.why
        lines.append(f"| {f.name} | {bugs[f.name].invariants} | {f.seeds or f'none of {SEEDS}'} | {numbers} |")
    return "\n".join(lines)


def main() -> int:
    """Exit status: 0 if all were found."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulation.planted", description=__doc__)
    parser.add_argument("--table", action="store_true", help="all bugs; writes docs/reliability.md")
    parser.add_argument("--only", help="one bug, by name")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    names = [given.only] if given.only else [b.name for b in BUGS]
    found = []
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for one in pool.map(hunt, names):
            found.append(one)
            print(f"{one.name}: {one.seeds or 'not found'}: {one.why[:200]}", flush=True)
    if given.table:
        text = DOCUMENT.read_text()
        begin, end = "<!-- planted -->\n", "<!-- /planted -->"
        head, rest = text[: text.index(begin) + len(begin)], text[text.index(end) :]
        DOCUMENT.write_text(f"{head}{table(found)}\n{rest}")
    return 0 if all(f.seeds for f in found) else 1


if __name__ == "__main__":
    sys.exit(main())
