"""``python -m bench.against COMMIT [--pairs N] [--limit R]``; see ../README.md."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.against.checkout import Side, Unusable, prepare, working_tree
from bench.against.pairs import Load, Pair, compare
from bench.against.report import Comparison, comparisons, differing, line, table
from bench.contestants import Absent
from bench.machine import facts
from bench.report import DOCUMENT, LATEST, insert

PAIRS, ENOUGH = 16, 15
"""Unless told otherwise; of fewer than ``ENOUGH`` nothing is written down."""
LIMIT = 1.03
DRIVEN_BY = "client and participant of the working tree, for both sides"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("commit", help="what the working tree is compared with: a commit, tag or branch")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of measurements, per store (%(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT, help="of the median ratio (%(default)s)")
    given = parser.parse_args()
    if given.pairs < 1:
        parser.error("one pair is the least")
    try:
        old, new = prepare(given.commit), working_tree()
        begun, load_before = time.monotonic(), os.getloadavg()[0]
        print(f"old: {old.label}, new: {new.label}; {DRIVEN_BY}; the machine's load is {load_before:.1f}", flush=True)
        pairs = asyncio.run(_measured(old, new, given.pairs))
    except (Unusable, Absent, RuntimeError, TimeoutError) as problem:
        print(f"bench: {problem or 'it took too long'}", file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        print("bench: ended by a signal", file=sys.stderr)
        return 128 + signal.SIGTERM
    found = comparisons(pairs, given.limit)
    shown, unlike = table(found, old.label, new.label), differing(old.versions(), new.versions())
    print(shown, *([f"dependencies differ: {unlike}"] if unlike else []), sep="\n")
    if given.pairs < ENOUGH:
        print(f"fewer than {ENOUGH} pairs: nothing is written down")
    else:
        made = as_json(old, new, found, took_s=time.monotonic() - begun, load_before=load_before)
        note(made, shown)
    return 0 if all(one.ok for one in found) else 1


async def _measured(old: Side, new: Side, pairs: int) -> list[Pair]:
    """All pairs; each is told when it is there. SIGTERM, too, ends every process that was started."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    found: list[Pair] = []
    numbers: dict[str, int] = {}
    async for pair in compare(old, new, pairs=pairs, load=Load()):
        number = numbers[pair.store] = numbers.get(pair.store, -1) + 1
        print(line(number, pair), flush=True)
        found.append(pair)
    return found


def as_json(old: Side, new: Side, found: list[Comparison], *, took_s: float, load_before: float) -> dict[str, Any]:
    """Everything that was found, where and of what."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(took_s),
        "machine": {**facts(), "load_before": round(load_before, 2)},
        "old": {"commit": old.commit, "dirty": old.dirty, "versions": old.versions()},
        "new": {"commit": new.commit, "dirty": new.dirty, "versions": new.versions()},
        "driven_by": DRIVEN_BY,
        "load": asdict(Load()),
        "limit": found[0].limit,
        "stores": {one.store: one.as_json() for one in found},
    }


def note(made: dict[str, Any], shown: str, results: Path = LATEST.parent, document: Path = DOCUMENT) -> Path:
    """Write down what was found: the JSON by the older side's commit, the table in place of the last one."""
    written = results / f"against-{made['old']['commit'][:7]}.json"
    written.write_text(json.dumps(made, indent=2) + "\n")
    insert("against", shown, document)
    return written


if __name__ == "__main__":
    sys.exit(main())
