"""``python -m bench.limits [--quick] [--only NAME]``; see ../README.md."""

import argparse
import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime

from bench.limits.experiments import run_growth, run_overload, run_two, run_watchers
from bench.limits.judge import Finding, table
from bench.report import DOCUMENT, LATEST, insert

RESULTS = LATEST.with_name("limits.json")
FULL: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
    "growth": lambda: run_growth(5, 4.0, 100_000),
    "two": lambda: run_two(5, 4.0),
    "watchers": lambda: run_watchers(5, 4.0, 900, 100),
    "overload": lambda: run_overload(60.0, 10.0),
}
QUICK: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
    "growth": lambda: run_growth(2, 2.0, 5_000),
    "two": lambda: run_two(2, 2.0),
    "watchers": lambda: run_watchers(2, 2.0, 90, 10),
    "overload": lambda: run_overload(10.0, 10.0),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small and short; nothing is written down")
    parser.add_argument("--only", choices=FULL, help="one of them; nothing is written down")
    given = parser.parse_args()
    findings: list[Finding] = []
    for name, experiment in (QUICK if given.quick else FULL).items():
        if given.only in (None, name):
            findings += asyncio.run(_run(experiment))
            print(table(findings), flush=True)
    if not (given.quick or given.only):
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
        made = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit.stdout.strip(),
            "findings": [asdict(f) for f in findings],
        }
        RESULTS.write_text(json.dumps(made, indent=2) + "\n")
        insert("limits", table(findings), DOCUMENT)


async def _run(experiment: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    return await experiment()


if __name__ == "__main__":
    main()
