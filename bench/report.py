"""The figures as JSON, and as tables between markers in docs/performance.md."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.frame import Result
from bench.machine import facts

ROOT = Path(__file__).parents[1]
LATEST = ROOT / "bench" / "results" / "latest.json"
DOCUMENT = ROOT / "docs" / "performance.md"
COORDINATOR, PIPE = "swit-saga, Redis everysec", "limit: bare pipe, Redis everysec"
WANTED = 0.5
"""Of the pipe's sagas/s, the coordinator's."""


def write(results: Sequence[Result], commit: str, *, latest: Path = LATEST, document: Path = DOCUMENT) -> None:
    """Write both."""
    latest.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": facts(),
        "contestants": {r.name: r.as_json() for r in results},
    }
    if (found := of_pipe(results)) is not None:
        made["of_bare_pipe"] = {"sagas_per_s": round(found[0], 3), "cpu_us_per_saga": round(found[1], 2)}
    latest.write_text(json.dumps(made, indent=2) + "\n")
    insert("bench", table(results), document)


def insert(name: str, shown: str, document: Path) -> None:
    """Put it between the document's markers of this name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{shown}\n{end}", document.read_text(), flags=re.S)
    document.write_text(text)


def table(results: Sequence[Result]) -> str:
    """One line per contestant: throughput with its spread, latencies, cost."""
    lines = [
        "| contestant | durable when done | sagas/s: median (least to most) | at a time | p50 | p99 "
        "| coordinator CPU per saga | memory | one alone: p50 "
        "| at half of that rate: p50, p99 | a tenth rejected | ten steps |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        if r.absent:
            lines.append(f"| {r.name} | | absent: {r.absent} | | | | | | | | | |")
            continue
        low, high = r.spread("sagas_per_s")
        cells = (
            r.name,
            r.durability,
            f"{r.median('sagas_per_s'):.0f} ({low:.0f} to {high:.0f})",
            str(r.concurrency),
            f"{r.median('p50_ms'):.0f} ms",
            f"{r.median('p99_ms'):.0f} ms",
            f"{r.median('cpu_us_per_saga'):.0f} us" if r.median("cpu_us_per_saga") else "",
            f"{r.median('memory_mib'):.0f} MiB" if r.median("memory_mib") else "",
            f"{r.median('p50_ms', 'idle'):.1f} ms",
            f"{r.median('p50_ms', 'half'):.0f} ms, {r.median('p99_ms', 'half'):.0f} ms" if "half" in r.rounds else "",
            f"{r.median('sagas_per_s', 'rejected'):.0f}/s" if "rejected" in r.rounds else "",
            f"{r.median('sagas_per_s', 'steps10'):.0f}/s" if "steps10" in r.rounds else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratios(results: Sequence[Result]) -> str:
    """Everybody's throughput as a multiple of everybody else's, of those that ran."""
    ran = [r for r in results if not r.absent and r.median("sagas_per_s")]
    lines = []
    for r in ran:
        others = (f"{r.median('sagas_per_s') / o.median('sagas_per_s'):.2f} x {o.name}" for o in ran if o is not r)
        lines.append(f"{r.name}: {'; '.join(others)}")
        if r.transitions:
            lines[-1] += f"; {r.median('cpu_us_per_saga') / r.transitions:.0f} us of CPU per transition"
    if (found := of_pipe(results)) is not None:
        verdict = "yes" if found[0] >= WANTED else "no"
        lines.append(
            f"{COORDINATOR}, to the bare pipe: {found[0]:.0%} of its sagas/s (wanted: {WANTED:.0%}: {verdict}), "
            f"{found[1]:.1f} times its CPU per saga"
        )
    return "\n".join(lines)


def of_pipe(results: Sequence[Result]) -> tuple[float, float] | None:
    """The coordinator's sagas/s and CPU per saga as multiples of the bare pipe's; None if either did not run.

    The first is bound by Redis, which runs the script, before the pipe's process is busy; the second is about the
    processes alone.
    """
    ran = {r.name: r for r in results if not r.absent and r.median("cpu_us_per_saga")}
    if COORDINATOR not in ran or PIPE not in ran:
        return None
    ours, pipe = ran[COORDINATOR], ran[PIPE]
    rate, cost = (ours.median(figure) / pipe.median(figure) for figure in ("sagas_per_s", "cpu_us_per_saga"))
    return rate, cost
