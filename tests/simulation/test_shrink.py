"""Shrinking, on plans that need no world: what fails is a matter of which parts are there."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.simulation.shrink import shrink


@dataclass(frozen=True)
class Saga:
    saga_id: str


@dataclass(frozen=True)
class Action:
    saga_id: str
    number: int


@dataclass(frozen=True)
class Weather:
    store: float = 0.5
    message: float = 0.5


@dataclass(frozen=True)
class Plan:
    sagas: tuple[Saga, ...] = tuple(Saga(f"s{i}") for i in range(6))
    actions: tuple[Action, ...] = tuple(Action(f"s{i % 6}", i) for i in range(24))
    faults: tuple[str, ...] = tuple(f"f{i}" for i in range(9))
    coordinators: tuple[str, ...] = ("c0", "c1", "c2")
    weather: Weather = Weather()


class Counting:
    """Counts the runs."""

    def __init__(self, fails: Callable[[Plan], bool]) -> None:
        self.fails = fails
        self.runs = 0

    def __call__(self, plan: Plan) -> bool:
        self.runs += 1
        return self.fails(plan)


def test_only_what_is_needed_is_left():
    def fails(plan: Plan) -> bool:
        numbers = {a.number for a in plan.actions}
        return {7, 19} <= numbers and "f4" in plan.faults and plan.weather.message > 0

    small = shrink(Plan(), fails)
    assert [a.number for a in small.actions] == [7, 19]
    assert small.sagas == (Saga("s1"),)
    assert small.faults == ("f4",)
    assert small.coordinators == ("c2",)
    assert small.weather == Weather(store=0.0, message=0.5)


def test_a_saga_goes_with_its_actions():
    seen: list[Plan] = []

    def fails(plan: Plan) -> bool:
        seen.append(plan)
        return any(s.saga_id == "s3" for s in plan.sagas)

    shrink(Plan(), fails)
    assert all({a.saga_id for a in p.actions} <= {s.saga_id for s in p.sagas} for p in seen)


def test_parts_that_only_fail_together_stay_together():
    small = shrink(Plan(), lambda p: {"f1", "f8"} <= set(p.faults) and len(p.coordinators) >= 2)
    assert small.faults == ("f1", "f8")
    assert len(small.coordinators) == 2
    assert small.actions == ()


def test_there_is_always_a_coordinator_and_a_saga():
    small = shrink(Plan(), lambda p: True)
    assert (len(small.coordinators), len(small.sagas), small.faults, small.actions) == (1, 1, (), ())
    assert small.weather == Weather(0.0, 0.0)


@pytest.mark.parametrize("budget", [1, 5, 20])
def test_the_budget_is_kept_and_the_best_so_far_fails(budget):
    fails = Counting(lambda p: "f4" in p.faults)
    small = shrink(Plan(), fails, budget)
    assert fails.runs <= budget
    assert "f4" in small.faults


def test_a_plan_that_does_not_fail_is_refused():
    with pytest.raises(ValueError, match="does not fail"):
        shrink(Plan(), lambda p: False)
