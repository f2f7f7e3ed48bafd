"""What was wrong with a run, and what it touched: the simulator's side of the checker."""

from collections import Counter

from tests.simulation.checker import check, expected_of
from tests.simulation.observed import Answered, Committed, Fault, Refused, Remains, Unanswered, WatchOver
from tests.simulation.world import Outcome


def wrong(outcome: Outcome) -> str:
    """What is wrong with it, in words; empty if nothing is."""
    if outcome.crashed is not None:
        return f"crashed: {type(outcome.crashed).__name__}: {outcome.crashed}"
    if not outcome.ended:
        return "never settled"
    return "; ".join(dict.fromkeys(map(str, check(outcome.observations, expected_of(outcome.plan)))))


def counted(outcome: Outcome) -> dict[str, Counter[str]]:
    """How often each kind of fault, outcome, answer and verdict was seen."""
    counts: dict[str, Counter[str]] = {k: Counter() for k in ("faults", "outcomes", "answers", "verdicts")}
    for seen in outcome.observations:
        match seen:
            case Fault():
                counts["faults"][seen.kind] += 1
            case Remains():
                counts["outcomes"][seen.saga.state.value] += 1
            case Committed():
                counts["verdicts"][f"create {seen.verdict.value}" if seen.is_create else seen.verdict.value] += 1
            case Refused():
                counts["answers"][seen.reason] += 1
            case Answered() | Unanswered() | WatchOver():
                counts["answers"][type(seen).__name__.lower()] += 1
    return counts
