"""``python -m bench.limits [--quick] [--only NAME]``; see ../README.md."""

import argparse
import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.limits.experiments import run_growth, run_overload, run_two, run_watchers
from bench.limits.oracle import Finding, table
from bench.report import DOCUMENT, LATEST, insert

RESULTS = LATEST.with_name("limits.json")
FULL: dict[str, Callable[[], Coroutine[Any, Any, list[Finding]]]] = {
    "growth": lambda: run_growth(5, 4.0, 100_000),
    "two": lambda: run_two(5, 4.0),
    "watchers": lambda: run_watchers(5, 4.0, 900, 100),
    "overload": lambda: run_overload(60.0, 10.0),
}
QUICK: dict[str, Callable[[], Coroutine[Any, Any, list[Finding]]]] = {
    "growth": lambda: run_growth(2, 2.0, 5_000),
    "two": lambda: run_two(2, 2.0),
    "watchers": lambda: run_watchers(2, 2.0, 90, 10, slow_s=5),
    "overload": lambda: run_overload(20.0, 10.0),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small and short; nothing is written down")
    parser.add_argument("--only", choices=FULL, help="one of them; what is written of the others stays")
    given = parser.parse_args()
    for name, experiment in (QUICK if given.quick else FULL).items():
        if given.only in (None, name):
            begun = time.monotonic()
            findings = asyncio.run(experiment())
            took_s = time.monotonic() - begun
            print(table(findings), f"{name} took {took_s:.0f} s", sep="\n", flush=True)
            if not given.quick:
                note(name, findings, took_s, _commit())


def note(
    name: str, findings: list[Finding], took_s: float, commit: str, results: Path = RESULTS, document: Path = DOCUMENT
) -> None:
    """Write down what an experiment found in place of what it found before, in the JSON and in the table."""
    known: dict[str, Any] = json.loads(results.read_text()).get("experiments", {}) if results.exists() else {}
    now: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "took_s": round(took_s),
        "findings": [asdict(f) for f in findings],
    }
    made = {n: now if n == name else known[n] for n in FULL if n == name or n in known}
    results.write_text(json.dumps({"experiments": made}, indent=2) + "\n")
    insert("limits", table([Finding(**f) for one in made.values() for f in one["findings"]]), document)


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
