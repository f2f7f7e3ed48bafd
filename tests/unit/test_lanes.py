"""Which lane a test file is in, and the table of the lanes' seconds."""

import tomllib
from pathlib import Path

import pytest

from tests.support.lanes import lane_of, parsed, table

ROOT = Path(__file__).parents[2]


def test_the_first_pattern_that_fits():
    lanes = [parsed("redis 10 tests/rpc/test_redis*"), parsed("rpc 20.5 tests/rpc/* tests/other/*")]

    def name(file: str) -> str | None:
        lane = lane_of(file, lanes)
        return lane.name if lane else None

    assert name("tests/rpc/test_redis_away.py") == "redis"
    assert name("tests/rpc/participant/test_answers.py") == "rpc"
    assert name("tests/other/test_a.py") == "rpc"
    assert name("tests/unit/test_a.py") is None


@pytest.mark.parametrize("line", ["rpc 10", "rpc soon tests/*"])
def test_a_line_that_says_too_little_is_refused(line):
    with pytest.raises((pytest.UsageError, ValueError)):
        parsed(line)


def test_over_budget_is_told():
    slow, quick = parsed("slow 10 a*"), parsed("quick 10 b*")
    slow.took_s, quick.took_s = 10.2, 9.8
    lines = table([slow, quick])
    assert [line.split()[0] for line in lines] == ["lane", "slow", "quick"]
    assert [line.endswith("OVER BUDGET") for line in lines] == [False, True, False]


def test_every_test_file_is_in_a_lane():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    lanes = [parsed(line) for line in options["lanes"]]
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(files) > 80
    assert [file for file in files if lane_of(file, lanes) is None] == []
    assert {lane.name for lane in lanes} == {lane_of(file, lanes).name for file in files}  # type: ignore[union-attr]
