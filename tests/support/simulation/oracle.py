"""What was wrong with a run: the simulator's side of the checker."""

from tests.support.simulation.checker import check, expected_of
from tests.support.simulation.virtual_loop import Deadlock, Livelock
from tests.support.simulation.world import Outcome

NEVER_SETTLED = "never settled"


def wrong(outcome: Outcome) -> str:
    """What is wrong with it, in words; empty if nothing is."""
    if outcome.crashed is not None:
        return f"crashed: {type(outcome.crashed).__name__}: {outcome.crashed}"
    return noticed(outcome)


def noticed(outcome: Outcome) -> str:
    """What the checker holds against it, in words: violations, or that it was not over in time.

    A crash is neither, and nothing that a crashed world shows is held against it: a dead engine leaves everything
    undone. A loop that spins or has nothing left to wait for would be a time-out anywhere else.
    """
    if outcome.crashed is not None and not isinstance(outcome.crashed, (Deadlock, Livelock)):
        return ""
    if not outcome.ended:
        return NEVER_SETTLED
    return "; ".join(dict.fromkeys(map(str, check(outcome.observations, expected_of(outcome.plan)))))


def kinds(outcome: Outcome) -> frozenset[str]:
    """What is wrong with it, in kind: by which a smaller run is known to show the same. Empty if nothing is."""
    if outcome.crashed is not None:
        return frozenset({type(outcome.crashed).__name__})
    if not outcome.ended:
        return frozenset({NEVER_SETTLED})
    found = check(outcome.observations, expected_of(outcome.plan))
    return frozenset(f"invariant {violation.invariant}" for violation in found)
