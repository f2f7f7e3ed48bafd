"""Pictures of ``results/latest.json`` for docs/performance.md: ``python -m bench.plot``.

Runs with the benchmark's own environment (``bench/requirements.txt``), for only this needs matplotlib.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
OURS, OTHERS, LIMITS = "#2563a8", "#9aa3ad", "#d8dce1"


def main() -> None:
    mpl.rcParams["svg.hashsalt"] = "bench"  # The same figures, the same bytes.
    contestants = json.loads((ROOT / "bench" / "results" / "latest.json").read_text())["contestants"]
    ran = {name: found for name, found in contestants.items() if "absent" not in found}
    IMAGES.mkdir(parents=True, exist_ok=True)
    _bars(ran, "success4", "sagas_per_s", "four-step sagas per second: median, least to most", "throughput")
    _bars(ran, "idle", "p50_ms", "one saga alone, start to result: milliseconds, median", "latency")


def _bars(ran: dict[str, Any], workload: str, figure: str, title: str, name: str) -> None:
    names = [n for n in reversed(ran) if workload in ran[n]]
    values = [ran[n][workload][figure] for n in names]
    ours = {True: OURS, False: OTHERS}
    colours = [LIMITS if n.startswith("limit") else ours[n.startswith("swit")] for n in names]
    figures, axes = plt.subplots(figsize=(9, 0.45 * len(names) + 1))
    axes.barh(names, values, color=colours)
    ends = values
    if figure == "sagas_per_s":
        low = [v - ran[n][workload]["least_per_s"] for n, v in zip(names, values, strict=True)]
        ends = [ran[n][workload]["most_per_s"] for n in names]
        high = [end - v for end, v in zip(ends, values, strict=True)]
        axes.errorbar(values, names, xerr=[low, high], fmt="none", ecolor="#444444", capsize=2, linewidth=1)
    for place, end, v in zip(names, ends, values, strict=True):
        text = f"{v:.0f}" if v >= 100 else f"{v:.1f}"
        axes.annotate(text, (end, place), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_title(title, loc="left", fontsize=10)
    axes.margins(x=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figures.tight_layout()
    figures.savefig(IMAGES / f"bench-{name}.svg", metadata={"Date": None})
    plt.close(figures)


if __name__ == "__main__":
    main()
