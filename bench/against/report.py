"""What was found: the verdict for people, the table for docs/performance.md, everything for the JSON. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.against.interval import Median, median_of
from bench.against.pairs import STORES, Pair


@dataclass(frozen=True)
class Comparison:
    """All pairs of one store.

    Attributes:
        store: A key of ``STORES``.
        limit: What the median ratio of processor time may be.
    """

    store: str
    pairs: Sequence[Pair]
    limit: float

    @property
    def cpu(self) -> Median:
        """Ratio of processor time per saga, new to old."""
        return median_of([pair.cpu_ratio for pair in self.pairs])

    @property
    def throughput(self) -> Median:
        """Ratio of sagas per second, new to old."""
        return median_of([pair.throughput_ratio for pair in self.pairs])

    @property
    def ok(self) -> bool:
        """Whether the median is within the limit."""
        return self.cpu.value <= self.limit

    @property
    def verdict(self) -> str:
        """Whether the median is within the limit, and whether that is beyond doubt."""
        found = self.cpu
        said = "yes" if self.ok else "no"
        if found.low is None or found.high is None:
            return f"{said}, without an interval"
        if found.low <= self.limit < found.high:
            return f"{said}, but the interval has the limit in it"
        return f"{said}, with the whole interval"

    def as_json(self) -> dict[str, Any]:
        """With every measurement: both turns of a side together."""
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "cpu_ratio": asdict(self.cpu),
            "throughput_ratio": asdict(self.throughput),
            "pairs": [
                {"first": p.first, "old": asdict(p.old), "new": asdict(p.new), "cpu_ratio": p.cpu_ratio}
                for p in self.pairs
            ],
        }


def comparisons(pairs: Sequence[Pair], limit: float) -> list[Comparison]:
    """One per store that was measured."""
    by_store = {store: [pair for pair in pairs if pair.store == store] for store in STORES}
    return [Comparison(store, found, limit) for store, found in by_store.items() if found]


def line(number: int, pair: Pair) -> str:
    """For people who wait; the pair's number from 0."""
    old, new = pair.old.cpu_us_per_saga, pair.new.cpu_us_per_saga
    return f"pair {number + 1}, {STORES[pair.store]}: old {old:.0f} us, new {new:.0f} us: {pair.cpu_ratio:.3f}"


def table(found: Sequence[Comparison], old: str, new: str) -> str:
    """A line per store. ``old`` and ``new`` name the two sides."""
    limit = found[0].limit
    lines = [
        f"| store | pairs | CPU per saga: `{old}`, `{new}` | ratio: median (95 % interval) | <= {limit:.2f} "
        "| sagas/s, ratio: median (95 % interval) |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        medians = (median(side.cpu_us_per_saga for side in sides) for sides in _sides(one.pairs))
        costs = ", ".join(f"{cost:.0f} us" for cost in medians)
        cells = (STORES[one.store], str(len(one.pairs)), costs, str(one.cpu), one.verdict, str(one.throughput))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Which dependencies differ between the two, for then not the code alone is compared; empty if none do."""
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return "; ".join(f"{name} {old.get(name, 'absent')} against {new.get(name, 'absent')}" for name in names)


def _sides(pairs: Sequence[Pair]) -> tuple[list[Any], list[Any]]:
    return [p.old for p in pairs], [p.new for p in pairs]
