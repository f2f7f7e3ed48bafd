"""The benchmark's arithmetic and what it writes."""

import asyncio
import json

from bench.contestants import Pipe, Swit
from bench.drivers.loop import one_paced_round, one_round, orders
from bench.frame import Result
from bench.report import COORDINATOR, PIPE, of_pipe, ratios, table, write

FIGURES = ("sagas_per_s", "p50_ms", "p99_ms", "cpu_us_per_saga", "memory_mib")


def ran(name: str, *rates: float) -> Result:
    rounds = [dict.fromkeys(FIGURES, rate) for rate in rates]
    return Result(name, "always", {"it": "1"}, concurrency=7, rounds={"success4": rounds, "idle": rounds})


def test_medians_and_spread():
    result = ran("a", 30, 10, 20)
    assert (result.median("sagas_per_s"), result.spread("sagas_per_s")) == (20, (10, 30))
    found = result.as_json()
    assert found["concurrency"] == 7
    assert (found["success4"]["p50_ms"], found["idle"]["least_per_s"], found["success4"]["most_per_s"]) == (20, 10, 30)
    assert "half" not in found


def test_the_absent_are_said_to_be():
    shown = table([ran("a", 10), Result("b", absent="not installed")])
    assert "| b | | absent: not installed |" in shown
    assert ratios([ran("a", 20), ran("c", 10), Result("b", absent="x")]).splitlines()[0] == "a: 2.00 x c"


def test_the_coordinator_beside_the_bare_pipe(tmp_path):
    assert (Swit("everysec", "").name, Pipe.name) == (COORDINATOR, PIPE)
    ours, pipe = ran(COORDINATOR, 40), ran(PIPE, 100)
    pipe.transitions = 5
    assert of_pipe([ours, pipe]) == (0.4, 0.4)
    assert of_pipe([ours]) is of_pipe([ours, Result(PIPE, absent="x")]) is None
    *_, of_it, last = ratios([ours, pipe]).splitlines()
    assert of_it.endswith("; 20 us of CPU per transition")
    assert "40% of its sagas/s (wanted: 50%: no), 0.4 times its CPU" in last
    document, latest = tmp_path / "performance.md", tmp_path / "latest.json"
    document.write_text("")
    write([ours, pipe], "abc", latest=latest, document=document)
    found = json.loads(latest.read_text())
    assert found["of_bare_pipe"] == {"sagas_per_s": 0.4, "cpu_us_per_saga": 0.4}
    assert found["contestants"][PIPE]["cpu_us_per_transition"] == 20


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

    async def one(_: object) -> None:
        nonlocal done
        await asyncio.sleep(0.01)  # noqa: TID251 # What is measured.
        done += 1

    found = await one_round(one, "success4", 3, 0.1)
    assert found["sagas"] == done >= 3
    assert found["seconds"] >= 0.1
    assert 10 <= found["p50_ms"] <= found["p99_ms"]


async def test_at_a_fixed_rate_sagas_are_begun_whether_others_are_over_or_not():
    open_, most = 0, 0

    async def one(_: object) -> None:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        await asyncio.sleep(0.1)  # noqa: TID251 # What is measured.
        open_ -= 1

    found = await one_paced_round(one, "half", 100, 0.3)
    assert found["sagas"] == 30
    assert found["p50_ms"] >= 100
    assert most > 3


def test_every_tenth_saga_is_refused_where_some_are():
    def first(workload: str) -> list[bool]:
        return [order.is_refused for _, order in zip(range(40), orders(workload), strict=False)]

    assert first("rejected") == ([False] * 9 + [True]) * 4
    assert not any(first("success4"))
    assert [len(next(orders(w)).steps) for w in ("success4", "rejected", "steps10")] == [4, 4, 10]
