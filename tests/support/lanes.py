"""What each lane of the tests costs, against the budget that ``lanes`` in ``pyproject.toml`` gives it.

A lane is a part of the suite that one backend or level of testing pays for. Its seconds are the sum over its tests,
set-up and tear-down included, whichever worker ran them: with two workers about twice what a clock on the wall shows.
A lane over its budget is told loudly, and fails nothing: a slow machine is no bug.

Lanes run in the order in which they are written there: those with the longest tests first, so that no worker is left
alone with one at the end.
"""

import resource
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest


@dataclass(kw_only=True)
class Lane:
    """A lane's budget, and what it has cost so far.

    Attributes:
        budget_s: Seconds that all its tests may take together.
        files: Patterns of the files in it, from the root of the project.
        cpu_s: Of this process and of the processes that it started and awaited.
    """

    name: str
    budget_s: float
    files: Sequence[str]
    tests: int = 0
    took_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether it took more than its budget."""
        return self.took_s > self.budget_s


def parsed(line: str) -> Lane:
    """A lane, written as ``name seconds pattern...``."""
    name, budget_s, *files = line.split()
    if not files:
        raise pytest.UsageError(f"lanes: {line!r} names no files")
    return Lane(name=name, budget_s=float(budget_s), files=files)


def lane_of(file: str, lanes: Sequence[Lane]) -> Lane | None:
    """The first lane with a pattern that fits."""
    return next((lane for lane in lanes if any(fnmatch(file, pattern) for pattern in lane.files)), None)


def table(lanes: Sequence[Lane]) -> list[str]:
    """Lines to print: a lane each, those over their budget marked."""
    lines = [f"{'lane':<18}{'tests':>6}{'seconds':>9}{'budget':>8}{'CPU s':>8}"]
    for lane in lanes:
        told = "  OVER BUDGET" if lane.is_over else ""
        lines.append(f"{lane.name:<18}{lane.tests:>6}{lane.took_s:>9.1f}{lane.budget_s:>8.0f}{lane.cpu_s:>8.1f}{told}")
    return lines


def _cpu_s() -> float:
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + of_children.ru_utime + of_children.ru_stime


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make ``lanes`` known."""
    parser.addini("lanes", "name, budget in seconds and files of each lane of the tests", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Count where the reports of all workers come together, and measure CPU where tests run."""
    config.pluginmanager.register(_Budgets([parsed(line) for line in config.getini("lanes")]), "lane-budgets")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort by lane; the order within a lane stays."""
    lanes = [parsed(line) for line in config.getini("lanes")]

    def place(item: pytest.Item) -> int:
        lane = lane_of(item.nodeid.partition("::")[0], lanes)
        return lanes.index(lane) if lane is not None else len(lanes)

    items.sort(key=place)


class _Budgets:
    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._spent_s = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        spent_s = _cpu_s()
        # Attributes travel with the report, from a worker to where all come together.
        report.cpu_s = spent_s - self._spent_s  # type: ignore[attr-defined]
        self._spent_s = spent_s
        return report

    def pytest_sessionstart(self) -> None:
        self._spent_s = _cpu_s()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        lane = lane_of(report.nodeid.partition("::")[0], self._lanes)
        if lane is not None:
            lane.tests += report.when == "call"
            lane.took_s += report.duration
            lane.cpu_s += report.cpu_s

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        ran = [lane for lane in self._lanes if lane.tests]
        if ran:
            terminalreporter.section("lanes: seconds of all workers together")
            for line in table(ran):
                terminalreporter.write_line(line, red=line.endswith("OVER BUDGET"))
