"""What was wanted, what was found, and whether that is enough. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was to be shown.

    Attributes:
        experiment: Of which it is.
        what: In words.
        wanted, found: As they are shown.
        ok: Whether it is enough.
    """

    experiment: str
    what: str
    wanted: str
    found: str
    ok: bool


def ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of rounds that followed each other: what the machine does meanwhile meets both."""
    return median(a / b for a, b in zip(ones, others, strict=True))


def growth(few: Sequence[float], many: Sequence[float], waiting: int, bytes_each: float, up_s: float) -> list[Finding]:
    """Sagas per second with few and with many waiting, memory for each that waits, and time to be up with many."""
    found = ratio(many, few)
    name = "growth"
    return [
        Finding(
            name, f"throughput with {waiting:,} waiting, to that with 1,000", ">= 0.9", f"{found:.2f}", found >= 0.9
        ),
        Finding(name, "memory of a waiting saga", "<= 4 KiB", f"{bytes_each / 1024:.2f} KiB", bytes_each <= 4096),
        Finding(name, f"start, with {waiting:,}, to a new saga completed", "<= 15 s", f"{up_s:.1f} s", up_s <= 15),
    ]


def two(one: Sequence[float], both: Sequence[float], together: int) -> list[Finding]:
    """Processor time per saga of one coordinator, and of two, with so many sagas at a time."""
    found = ratio(both, one)
    what = f"CPU per saga of two coordinators, to that of one; {together} sagas at a time"
    return [Finding("two", what, "<= 1.15", f"{found:.2f}", found <= 1.15)]


def watchers(alone: Sequence[float], watched: Sequence[float], mib: float, told: Mapping[str, Any]) -> list[Finding]:
    """Sagas per second without and with watchers, and what the watchers say.

    Args:
        alone, watched: Sagas per second, round by round.
        mib: What the coordinator's memory grew by.
        told: ``Watching.finish``'s, with ``reading`` and ``idle``, how many there were of each.
    """
    kept = ratio(watched, alone)
    name, reading, idle = "watchers", told["reading"], told["idle"]
    return [
        Finding(name, f"throughput lost to {reading + idle:,}", "<= 15 %", f"{1 - kept:.0%}", kept >= 0.85),
        Finding(name, "memory they cost the coordinator", "<= 256 MiB", f"{mib:.0f} MiB", mib <= 256),
        Finding(
            name,
            f"of {idle} that never read: cut with where to resume; had the rest from there",
            f"{idle}, {idle}",
            f"{told['cut']}, {told['resumed']}",
            told["cut"] == told["resumed"] == idle,
        ),
        Finding(
            name,
            f"of {reading} that read: have every event, once, in order",
            str(reading),
            f"{told['complete']} ({told['events']:,} events)",
            told["complete"] == reading,
        ),
    ]


def overload(peak: float, told: Mapping[str, Any]) -> list[Finding]:
    """Sagas per second at the peak, and what ``flood`` found."""
    times, goodput = told["offered"] / told["seconds"] / peak, told["completed_per_s"] / peak
    p99, taken = told["rejected_p99_ms"], told["admitted"]
    name = "overload"
    return [
        Finding(
            name, f"starts offered in {told['seconds']:.0f} s, to the peak", ">= 9.5", f"{times:.1f}", times >= 9.5
        ),
        Finding(name, "goodput, to the peak", ">= 0.8", f"{goodput:.2f}", goodput >= 0.8),
        Finding(
            name,
            "of the admitted: completed",
            f"{taken:,}",
            f"{told['completed']:,}",
            told["completed"] == taken > 0,
        ),
        Finding(name, "rejections answered, p99", "< 50 ms", f"{p99:.1f} ms", p99 < 50),
        Finding(
            name,
            "answers that are neither; rejections without RetryInfo",
            "0, 0",
            f"{told['other']}, {0 if told['with_retry_info'] else 'some'}",
            not told["other"] and told["with_retry_info"] and told["rejected"] > 0,
        ),
    ]


def table(findings: Sequence[Finding]) -> str:
    """As Markdown."""
    lines = ["| experiment | what | wanted | found | |", "|---|---|---|---|---|"]
    lines += [
        f"| {f.experiment} | {f.what} | {f.wanted} | {f.found} | {'yes' if f.ok else '**no**'} |" for f in findings
    ]
    return "\n".join(lines)
