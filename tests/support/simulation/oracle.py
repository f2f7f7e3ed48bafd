"""What was wrong with a run: the simulator's side of the checker."""

from tests.support.simulation.checker import check, expected_of
from tests.support.simulation.world import Outcome


def wrong(outcome: Outcome) -> str:
    """What is wrong with it, in words; empty if nothing is."""
    if outcome.crashed is not None:
        return f"crashed: {type(outcome.crashed).__name__}: {outcome.crashed}"
    if not outcome.ended:
        return "never settled"
    return "; ".join(dict.fromkeys(map(str, check(outcome.observations, expected_of(outcome.plan)))))


def kinds(outcome: Outcome) -> frozenset[str]:
    """What is wrong with it, in kind: by which a smaller run is known to show the same. Empty if nothing is."""
    if outcome.crashed is not None:
        return frozenset({type(outcome.crashed).__name__})
    if not outcome.ended:
        return frozenset({"never settled"})
    found = check(outcome.observations, expected_of(outcome.plan))
    return frozenset(f"invariant {violation.invariant}" for violation in found)
