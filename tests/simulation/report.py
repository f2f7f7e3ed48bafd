"""One seed, told so that a person can follow it."""

from tests.simulation.judge import wrong
from tests.simulation.scene import BEGINNING
from tests.simulation.world import brief, plan, run


def explain(seed: int, *, always: bool) -> int:
    """Run a seed and print what happened; exit status 1 if something was wrong.

    Args:
        seed: Which.
        always: Print it even if nothing was wrong.
    """
    outcome = run(plan(seed))
    why = wrong(outcome)
    if why or always:
        for seen in outcome.observations:
            print(f"{(seen.at - BEGINNING) / 1e6:9.3f} s  {type(seen).__name__}: {brief(seen)}")
        print(f"SEED={seed} {outcome.trace_hash}: {why or 'all well'}")
    return 1 if why else 0
