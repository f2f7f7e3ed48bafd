"""What ``result`` makes of a saga that was waited for."""

import pytest

from swit_saga import (
    Codecs,
    OutcomeError,
    SagaCancelled,
    SagaCompensated,
    SagaFailed,
    SagaTimedOut,
    SagaView,
    WaitTimeout,
)
from swit_saga.outcomes import OUTCOMES, result_of
from swit_saga.v1 import error_pb2, saga_pb2
from swit_saga.views import TERMINAL, state_value

CODECS = Codecs()
NEWER = 4_711


def saga(state: int) -> SagaView:
    error = error_pb2.SagaError(code="NO_FUNDS", message="no money")
    return SagaView(saga_pb2.Saga(id="o-1", state=state, error=error, result_data=CODECS.encode([1])), CODECS)  # type: ignore[arg-type]


def test_every_outcome_but_completed_is_raised():
    assert set(OUTCOMES) == TERMINAL - {"completed"}


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("compensated", SagaCompensated),
        ("failed", SagaFailed),
        ("cancelled", SagaCancelled),
        ("timed_out", SagaTimedOut),
    ],
)
@pytest.mark.parametrize("done", [False, True])
def test_an_outcome_holds_the_saga(state, error, done):
    with pytest.raises(error, match=f"saga 'o-1' is {state}: no money") as outcome:
        result_of(saga(state_value(state)), None, done=done)
    assert outcome.value.saga.id == "o-1"


def test_a_completed_sagas_result():
    assert result_of(saga(saga_pb2.SAGA_STATE_COMPLETED), list, done=True) == [1]


@pytest.mark.parametrize("state", [saga_pb2.SAGA_STATE_RUNNING, NEWER])
def test_none_yet(state):
    with pytest.raises(WaitTimeout, match="still"):
        result_of(saga(state), None, done=False)


def test_an_outcome_of_a_newer_coordinator():
    with pytest.raises(OutcomeError, match="an outcome that this client does not know") as outcome:
        result_of(saga(NEWER), None, done=True)
    assert type(outcome.value) is OutcomeError
    assert outcome.value.saga.state == "unknown"
