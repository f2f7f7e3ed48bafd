"""The benchmark's arithmetic and what it writes."""

import asyncio
import json

from bench.drivers.loop import one_round
from bench.frame import Result
from bench.report import ratios, table, write

FIGURES = ("sagas_per_s", "p50_ms", "p99_ms", "cpu_us_per_saga", "memory_mib")


def ran(name: str, *rates: float) -> Result:
    rounds = [dict.fromkeys(FIGURES, rate) for rate in rates]
    return Result(name, "always", {"it": "1"}, concurrency=7, rounds=rounds, idle=rounds)


def test_medians_and_spread():
    result = ran("a", 30, 10, 20)
    assert (result.median("sagas_per_s"), result.spread("sagas_per_s")) == (20, (10, 30))
    assert (
        result.as_json()["success4"] | {"concurrency": 7, "least_per_s": 10, "most_per_s": 30}
        == result.as_json()["success4"]
    )


def test_the_absent_are_said_to_be():
    shown = table([ran("a", 10), Result("b", absent="not installed")])
    assert "| b | | absent: not installed |" in shown
    assert ratios([ran("a", 20), ran("c", 10), Result("b", absent="x")]).splitlines()[0] == "a: 2.00 x c"


def test_what_is_written(tmp_path):
    document, latest = tmp_path / "performance.md", tmp_path / "results" / "latest.json"
    document.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    write([ran("a", 10), Result("b", absent="why")], "abc", latest=latest, document=document)
    text = document.read_text()
    assert text.startswith("before\n<!-- bench -->\n| contestant")
    assert text.endswith("<!-- /bench -->\nafter\n")
    assert "old" not in text
    found = json.loads(latest.read_text())
    assert found["commit"] == "abc"
    assert found["contestants"]["b"] == {"absent": "why"}
    assert found["contestants"]["a"]["success4"]["sagas_per_s"] == 10


async def test_a_round_counts_what_was_finished():
    done = 0

    async def one() -> None:
        nonlocal done
        await asyncio.sleep(0.01)
        done += 1

    found = await one_round(one, 3, 0.1)
    assert found["sagas"] == done >= 3
    assert found["seconds"] >= 0.1
    assert 10 <= found["p50_ms"] <= found["p99_ms"]
