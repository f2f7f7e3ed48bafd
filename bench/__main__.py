"""``python -m bench [--quick]``; see README.md here."""

import argparse
import asyncio
import subprocess

from bench.contestants import Contestant, Dbos, Pipe, Raw, Restate, Swit
from bench.frame import run
from bench.report import ratios, table, write


def everybody() -> list[Contestant]:
    """All contestants, those of the project first."""
    return [
        Swit("everysec", "in Redis's memory; its disk within a second or two"),
        Swit("always", "synced by Redis, round by round"),
        Swit("sqlite", "synced, round by round"),
        Swit("everysec", "in Redis's memory; its disk within a second or two", unary=True),
        Restate(),
        Restate(local=True),
        Dbos(),
        Raw(),
        Pipe(),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="three short rounds instead of five")
    parser.add_argument("--only", help="those whose name contains this; nothing is written down")
    given = parser.parse_args()
    contestants = [c for c in everybody() if not given.only or given.only.lower() in c.name.lower()]
    rounds, seconds = (3, 2.5) if given.quick else (5, 3.0)
    workloads = ("success4", "idle") if given.quick else ("success4", "idle", "half", "rejected", "steps10")
    results = asyncio.run(run(contestants, workloads, rounds=rounds, seconds=seconds))
    print(table(results))
    print(ratios(results))
    if given.only:
        return
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    write(results, commit.stdout.strip())


if __name__ == "__main__":
    main()
