"""What was wanted, what was found, and whether that is enough. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was to be shown.

    Attributes:
        experiment: Of which it is.
        what: In words.
        wanted, found: As they are shown; nothing is ``wanted`` of some, which are for information.
        ok: Whether it is enough.
        measured: What ``found`` was made of, for the JSON.
    """

    experiment: str
    what: str
    wanted: str
    found: str
    ok: bool
    measured: Mapping[str, Any] = field(default_factory=dict)


def ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of rounds that followed each other: what the machine does meanwhile meets both."""
    return median(a / b for a, b in zip(ones, others, strict=True))


def spread(ones: Sequence[float], others: Sequence[float]) -> str:
    """The median of those ratios with the least and the most: a figure near its limit may be on either side of it."""
    each = [a / b for a, b in zip(ones, others, strict=True)]
    return f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def growth(few: Sequence[float], many: Sequence[float], waiting: int, facts: Mapping[str, Any]) -> list[Finding]:
    """Throughput, memory and start-up with many waiting.

    Args:
        few, many: Sagas per second, round by round.
        waiting: How many of them there are.
        facts: ``grown`` bytes of the coordinator for ``in_memory`` sagas; ``stopped`` and ``killed``, the coordinator's
            next starts after SIGTERM and SIGKILL, each with ``ready_s`` and ``completed_s``, seconds from the start to
            when it listens and to a new saga completed, and ``waiting``, how many there are then.
    """
    found, each = ratio(many, few), facts["grown"] / max(facts["in_memory"], 1)
    name, which = "growth", {"stopped": "after a stop", "killed": "after kill -9"}
    rates = {"few": list(few), "many": list(many)}
    findings = [
        Finding(
            name, f"throughput with {waiting:,} waiting, to that with 1,000", ">= 0.9", spread(many, few),
            found >= 0.9, rates,
        ),
        Finding(
            name, f"memory of a waiting saga; {facts['in_memory']:,} in memory", "<= 4 KiB", f"{each / 1024:.2f} KiB",
            each <= 4096 and facts["in_memory"] >= waiting * 0.99, {k: facts[k] for k in ("grown", "in_memory")},
        ),
    ]  # fmt: skip
    for how, words in which.items():
        up = facts[how]
        findings.append(
            Finding(
                name, f"start {words}, with {waiting:,}: listens; a new saga is completed", "<= 15 s",
                f"{up['ready_s']:.1f} s; {up['completed_s']:.1f} s", up["completed_s"] <= 15, up,
            )
        )  # fmt: skip
    left = [facts[how]["waiting"] for how in which]
    findings.append(
        Finding(
            name, "still waiting after each", f"{waiting:,}", ", ".join(f"{n:,}" for n in left), set(left) == {waiting}
        )
    )
    return findings


def two(one: Sequence[float], both: Sequence[float], together: int) -> Finding:
    """Processor time per saga of one coordinator, and of two, with so many sagas at a time and ids of the SDK's."""
    return Finding(
        "two",
        f"CPU per saga of two coordinators, to that of one; {together} sagas at a time",
        "<= 1.15", spread(both, one), ratio(both, one) <= 1.15,
        {"one_us": list(one), "both_us": list(both)},
    )  # fmt: skip


def two_by_others(one: Sequence[float], both: Sequence[float], together: int) -> Finding:
    """The same with ids that the caller has from elsewhere: half of them fall to the other coordinator."""
    return Finding(
        "two", f"the same with the caller's own ids, half of them the other's; {together} at a time",
        "", spread(both, one), True, {"one_us": list(one), "both_us": list(both)},
    )  # fmt: skip


def watchers(alone: Sequence[float], watched: Sequence[float], mib: float, facts: Mapping[str, Any]) -> list[Finding]:
    """Sagas per second without and with watchers of long sagas, and what the watchers say.

    Args:
        alone, watched: Sagas per second, round by round.
        mib: What the coordinator's memory grew by.
        facts: ``Watching.finish``'s, with ``reading`` and ``idle``, how many there were of each.
    """
    kept = ratio(watched, alone)
    name, reading, idle = "watchers", facts["reading"], facts["idle"]
    rates = {"alone": list(alone), "watched": list(watched)}
    return [
        Finding(name, f"throughput with {reading + idle:,} who watch long sagas, to that without", ">= 0.85",
                spread(watched, alone), kept >= 0.85, rates),
        Finding(name, "memory they cost the coordinator", "<= 256 MiB", f"{mib:.0f} MiB", mib <= 256),
        Finding(
            name,
            f"of {idle} that never read: cut with where to resume; had the rest from there",
            f"{idle}, {idle}",
            f"{facts['cut']}, {facts['resumed']}",
            facts["cut"] == facts["resumed"] == idle,
        ),
        Finding(
            name,
            f"of {reading} that read: have every event up to the saga's last, once, in order",
            str(reading),
            f"{facts['complete']} ({facts['events']:,} events)",
            facts["complete"] == reading,
            dict(facts),
        ),
    ]  # fmt: skip


def followers(alone: Sequence[float], watched: Sequence[float], facts: Mapping[str, Any]) -> list[Finding]:
    """The same for watchers of the load itself.

    Args:
        alone, watched: Sagas per second, round by round.
        facts: ``Following.finish``'s.
    """
    name = "watchers"
    return [
        Finding(name, f"throughput with {facts['open']:,} who watch sagas of the load, to that without", ">= 0.85",
                spread(watched, alone), ratio(watched, alone) >= 0.85,
                {"alone": list(alone), "watched": list(watched)}),
        Finding(name, "of the sagas they watched: every event to the outcome, once, in order", f"{facts['watched']:,}",
                f"{facts['complete']:,} ({facts['events']:,} events)",
                facts["complete"] == facts["watched"] > 0, dict(facts)),
    ]  # fmt: skip


def overload(peak: float, facts: Mapping[str, Any]) -> list[Finding]:
    """Sagas per second at the peak, and what ``flood`` found."""
    times, goodput = facts["offered"] / facts["seconds"] / peak, facts["completed_per_s"] / peak
    p99, taken = facts["rejected_p99_ms"], facts["admitted"]
    name = "overload"
    return [
        Finding(
            name, f"starts offered in {facts['seconds']:.0f} s, to the peak", ">= 9.5",
            f"{times:.1f} ({facts['cpu_share']:.0%} of a core)", times >= 9.5, {"peak_per_s": peak, **facts},
        ),
        Finding(name, "goodput, to the peak just before", ">= 0.8", f"{goodput:.2f}", goodput >= 0.8),
        Finding(
            name, "the same, to the mean of the peaks before and after: the machine changes meanwhile", "",
            f"{2 * facts['completed_per_s'] / (peak + facts['peak_after_per_s']):.2f}", True,
        ),
        Finding(
            name,
            "of the admitted: completed",
            f"{taken:,}",
            f"{facts['completed']:,}",
            facts["completed"] == taken > 0,
        ),
        Finding(
            name, "of the admitted: under way or waiting when the offering ended; starts admitted, p99", "",
            f"{taken - facts['completed_per_s'] * facts['seconds']:,.0f}; {facts['admitted_p99_ms'] / 1e3:.1f} s", True,
        ),
        Finding(name, "rejections answered, p99", "< 50 ms", f"{p99:.1f} ms", p99 < 50),
        Finding(
            name,
            "starts unanswered; answers that are neither; rejections without RetryInfo",
            "0, 0, 0",
            f"{facts['unanswered']:,}, {facts['other']:,}, {facts['bare']:,}",
            not (facts["unanswered"] or facts["other"] or facts["bare"]) and facts["rejected"] > 0,
        ),
    ]  # fmt: skip


def table(findings: Sequence[Finding]) -> str:
    """As Markdown."""
    lines = ["| experiment | what | wanted | found | |", "|---|---|---|---|---|"]
    for f in findings:
        verdict = ("yes" if f.ok else "**no**") if f.wanted else ""
        lines.append(f"| {f.experiment} | {f.what} | {f.wanted} | {f.found} | {verdict} |")
    return "\n".join(lines)
