"""One seed as a story that a person can follow; a failing one first made as small as it goes."""

from tests.support.simulation.checker import check, expected_of
from tests.support.simulation.oracle import kinds, wrong
from tests.support.simulation.shrink import BUDGET, shrink
from tests.support.simulation.timeline import timeline
from tests.support.simulation.world import Outcome, Plan, plan, run


def explain(seed: int, *, always: bool) -> int:
    """Run a seed and print what happened; exit status 1 if something was wrong.

    Args:
        seed: Which.
        always: Print it even if nothing was wrong.
    """
    outcome = run(plan(seed))
    why = wrong(outcome)
    if why:
        small = smallest(outcome)
        print(story(small))
        print(f"the smallest part of it that shows the same: {sizes(small.plan)}; of {sizes(outcome.plan)}")
    elif always:
        print(story(outcome))
    if why or always:
        print(f"SEED={seed} {outcome.trace_hash}: {why or 'all well'}")
    return 1 if why else 0


def smallest(outcome: Outcome, budget: int = BUDGET) -> Outcome:
    """The outcome of the smallest part of a failing run's plan that still fails in one of the same ways."""
    found = kinds(outcome)
    small = shrink(outcome.plan, lambda part: not found.isdisjoint(kinds(run(part))), budget)
    return run(small)


def story(outcome: Outcome) -> str:
    """Its timeline, with what was wrong."""
    return timeline(outcome.observations, check(outcome.observations, expected_of(outcome.plan)))


def sizes(plan: Plan) -> str:
    """How large a plan is, in words."""
    parts = ("coordinators", "sagas", "actions", "faults")
    return ", ".join(f"{len(getattr(plan, part))} {part}" for part in parts)
