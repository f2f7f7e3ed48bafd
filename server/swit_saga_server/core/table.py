"""The saga's and the step's states as data. ``machine`` cannot make a move that is not in here, and the
documentation's diagram is drawn from it (``python -m swit_saga_server.core.table``).
"""

from collections.abc import Mapping
from enum import StrEnum

from swit_saga_server.core.inputs import Answered, Cancel, Input, TakenOver, Wake
from swit_saga_server.core.states import SagaState, StepStatus

S = SagaState
T = StepStatus

TRANSITIONS: Mapping[SagaState, frozenset[SagaState]] = {
    S.PENDING: frozenset({S.RUNNING, S.CANCELLED, S.TIMED_OUT}),
    S.RUNNING: frozenset({S.STEP_COMPLETED, S.COMPLETED, S.COMPENSATING}),
    S.STEP_COMPLETED: frozenset({S.RUNNING, S.COMPENSATING, S.CANCELLED, S.TIMED_OUT}),
    S.COMPENSATING: frozenset({S.COMPENSATED, S.FAILED, S.CANCELLED, S.TIMED_OUT}),
    S.COMPLETED: frozenset(),
    S.COMPENSATED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.TIMED_OUT: frozenset(),
}
"""Every move a saga can make (invariant 3). An operator's reopening of ``failed`` will be added here."""

STEP_TRANSITIONS: Mapping[StepStatus, frozenset[StepStatus]] = {
    T.PENDING: frozenset({T.RUNNING}),
    T.RUNNING: frozenset({T.COMPLETED, T.FAILED}),
    T.COMPLETED: frozenset({T.COMPENSATING}),
    T.FAILED: frozenset({T.COMPENSATING}),
    T.COMPENSATING: frozenset({T.COMPENSATED, T.FAILED}),
    T.COMPENSATED: frozenset(),
    T.SKIPPED: frozenset(),
}
"""Every move a step can make. ``skipped`` is reached only by operators and conditions, which come later."""


class Reception(StrEnum):
    """How a state takes an input."""

    TAKEN = "taken"
    """The machine decides; it may still find that there is nothing to do."""
    IGNORED = "ignored"
    """Changes nothing and is no error: late, repeated or out of date."""
    ILLEGAL = "illegal"
    """Changes nothing, and is refused (``IllegalInput``)."""


_OPEN: Mapping[type[Input], Reception] = {
    Wake: Reception.TAKEN,
    TakenOver: Reception.TAKEN,
    Cancel: Reception.TAKEN,
    Answered: Reception.TAKEN,
}
_OVER: Mapping[type[Input], Reception] = {
    Wake: Reception.IGNORED,
    TakenOver: Reception.IGNORED,
    Cancel: Reception.ILLEGAL,
    Answered: Reception.IGNORED,
}

RECEPTION: Mapping[SagaState, Mapping[type[Input], Reception]] = {
    S.PENDING: {**_OPEN, Answered: Reception.IGNORED},
    S.RUNNING: _OPEN,
    S.STEP_COMPLETED: _OPEN,
    # The first cause fixes the outcome: a cancel that comes later asks for what already happens.
    S.COMPENSATING: {**_OPEN, Cancel: Reception.IGNORED},
    S.COMPLETED: _OVER,
    S.COMPENSATED: _OVER,
    S.FAILED: _OVER,
    S.CANCELLED: {**_OVER, Cancel: Reception.IGNORED},
    S.TIMED_OUT: _OVER,
}
"""Every (state, input) pair."""


def mermaid() -> str:
    """The saga's states as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    for state, following in TRANSITIONS.items():
        lines += [f"    {state} --> {other}" for other in sorted(following)]
        if state.is_terminal:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())
