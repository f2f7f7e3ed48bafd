"""Make a failing plan small: take parts away for as long as it still fails (delta debugging).

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002. Only
complements are tried: chances do not hang together, so what is not needed can go in any order.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Generic, Protocol, TypeVar, cast

BUDGET = 300


class _Action(Protocol):
    @property
    def saga_id(self) -> str: ...


class _Saga(Protocol):
    @property
    def saga_id(self) -> str: ...


class Shrinkable(Protocol):
    """A frozen dataclass with these parts; ``weather`` is a dataclass of chances."""

    @property
    def actions(self) -> tuple[_Action, ...]: ...
    @property
    def faults(self) -> tuple[Any, ...]: ...
    @property
    def sagas(self) -> tuple[_Saga, ...]: ...
    @property
    def coordinators(self) -> tuple[Any, ...]: ...
    @property
    def weather(self) -> Any: ...


P = TypeVar("P", bound=Shrinkable)


def shrink(plan: P, fails: Callable[[P], bool], budget: int = BUDGET) -> P:
    """The smallest plan found that still fails: no single part of it can be missed, if the budget sufficed.

    Args:
        plan: It fails.
        fails: Runs a plan; whether it shows what is looked for. Best the same invariant, not just any.
        budget: Runs at most.

    Raises:
        ValueError: ``plan`` does not fail.
    """
    search = _Search(plan, fails, budget)
    if not search.try_(plan):
        raise ValueError("there is nothing to shrink: the plan does not fail")
    before = None
    while search.best is not before and search.left > 0:
        before = search.best
        for part in ("sagas", "faults", "actions", "coordinators"):
            search.fewer(part)
        search.calm()
    return search.best


class _Search(Generic[P]):
    def __init__(self, plan: P, fails: Callable[[P], bool], budget: int) -> None:
        self.best = plan
        self.fails = fails
        self.left = budget

    def try_(self, plan: P) -> bool:
        """Whether it fails; then it is the best so far."""
        if self.left <= 0:
            return False
        self.left -= 1
        if not self.fails(plan):
            return False
        self.best = plan
        return True

    def fewer(self, part: str) -> None:
        """Take away halves, then quarters, down to single ones, until nothing can be missed."""
        chunk = len(getattr(self.best, part))
        while chunk and self.left > 0:
            start, gone = 0, False
            while start < len(getattr(self.best, part)):
                kept: tuple[Any, ...] = getattr(self.best, part)
                rest = kept[:start] + kept[start + chunk :]
                if self._may_be(part, rest) and self.try_(_with(self.best, part, rest)):
                    gone = True
                else:
                    start += chunk
            if chunk > 1:
                chunk //= 2
            elif not gone:
                return

    def calm(self) -> None:
        """Do without one kind of bad weather after another."""
        for f in fields(self.best.weather):
            weather = self.best.weather
            if getattr(weather, f.name):
                self.try_(_replaced(self.best, weather=replace(weather, **{f.name: 0.0})))

    @staticmethod
    def _may_be(part: str, rest: tuple[Any, ...]) -> bool:
        return bool(rest) or part in ("faults", "actions")


def _with(plan: P, part: str, rest: tuple[Any, ...]) -> P:
    changes: dict[str, Any] = {part: rest}
    if part == "sagas":
        left = {saga.saga_id for saga in rest}
        changes["actions"] = tuple(a for a in plan.actions if a.saga_id in left)
    return _replaced(plan, **changes)


def _replaced(plan: P, **changes: Any) -> P:
    return cast(P, replace(cast(Any, plan), **changes))
