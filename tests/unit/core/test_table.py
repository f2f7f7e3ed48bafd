"""The table is the machine's law: every pair of state and input, and every move, is met by some saga."""

import itertools
from pathlib import Path

import pytest

from swit_saga_server.core.errors import IllegalInput, SagaAlreadyFinished
from swit_saga_server.core.identity import FIRST_SEND, Kind
from swit_saga_server.core.inputs import Answered, Cancel, Input, TakenOver, Wake
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.core.table import RECEPTION, STEP_TRANSITIONS, TRANSITIONS, Reception, mermaid
from swit_saga_server.core.units import MINUTE, SECOND
from tests.support.core.drive import Driven, chain, done, lost, no, unusable

DOCUMENT = Path(__file__).parents[3] / "docs" / "state-machine.md"

IN_STATE = {
    SagaState.PENDING: lambda: Driven(chain("a", "b")),
    SagaState.RUNNING: lambda: Driven(chain("a", "b")).start(),
    SagaState.STEP_COMPLETED: lambda: Driven(chain("a", "b", delay=SECOND)).start(),
    SagaState.COMPENSATING: lambda: Driven(chain("a", "b")).start().ran(0, done()).ran(1, no()),
    SagaState.COMPLETED: lambda: Driven(chain("a")).start().ran(0, done()),
    SagaState.COMPENSATED: lambda: Driven(chain("a")).start().ran(0, no()),
    SagaState.FAILED: lambda: Driven(chain("a", "b")).start().ran(0, done()).ran(1, no()).undid(0, no()),
    SagaState.CANCELLED: lambda: Driven(chain("a")).cancel(),
    SagaState.TIMED_OUT: lambda: Driven(chain("a")).give(Wake(), 11 * MINUTE),
}
INPUTS: dict[type[Input], Input] = {
    Wake: Wake(),
    TakenOver: TakenOver(),
    Cancel: Cancel("x"),
    Answered: Answered(Kind.EXECUTE, 0, FIRST_SEND, done()),
}


ANSWERS = [Answered(kind, 0, FIRST_SEND, said) for kind in Kind for said in (done(), unusable(), no(), lost())]
EVERY: list[Input] = [*(i for i in INPUTS.values() if not isinstance(i, Answered)), *ANSWERS]


@pytest.mark.parametrize(("state", "given"), list(itertools.product(SagaState, EVERY)))
def test_every_pair(state, given):
    s = IN_STATE[state]()
    assert s.saga.state is state
    before = s.saga
    match RECEPTION[state][type(given)]:
        case Reception.TAKEN:
            s.give(given)
            assert s.saga.state is state or s.saga.version == before.version + 1
        case Reception.IGNORED:
            assert s.give(given).saga is before
        case Reception.ILLEGAL:
            with pytest.raises((IllegalInput, SagaAlreadyFinished)):
                s.give(given)
            assert s.saga is before


def test_table_is_total():
    assert set(RECEPTION) == set(TRANSITIONS) == set(SagaState)
    assert all(set(row) == set(INPUTS) for row in RECEPTION.values())
    assert set(STEP_TRANSITIONS) == set(StepStatus)


def test_outcomes_are_never_left():
    """Invariant 2."""
    assert all(not TRANSITIONS[s] for s in SagaState if s.is_terminal)


def test_pending_is_not_active_and_not_terminal():
    assert not SagaState.PENDING.is_active
    assert not SagaState.PENDING.is_terminal


def test_diagram_in_the_documentation_is_the_tables():
    assert mermaid() in DOCUMENT.read_text(), "renew it: python -m swit_saga_server.core.table"
