"""In which order effects are undone. Each strategy is a function from the steps to those whose turn it is."""

from collections.abc import Sequence

from swit_saga_server.core.model import StepState
from swit_saga_server.core.states import Effect


def to_undo(steps: Sequence[StepState]) -> list[StepState]:
    """Steps with something to undo, in the sequential order: those in doubt first, then in reverse order."""
    undo = [s for s in reversed(steps) if s.effect is not Effect.NONE]
    undo.sort(key=lambda s: s.effect is not Effect.MAYBE)  # Stable: the reverse order stays within each half.
    return undo


def sequential(steps: Sequence[StepState]) -> list[StepState]:
    """One at a time: the first that is not undone yet; none when all are."""
    for step in to_undo(steps):
        if step.compensation is None or not step.compensation.status.is_undone:
            return [step]
    return []
