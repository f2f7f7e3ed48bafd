"""Sagas and events as a program reads them."""

from datetime import UTC, datetime

import pytest

from swit_saga import CodecError, Codecs, ErrorView, EventView, SagaView
from swit_saga.v1 import error_pb2, event_pb2, saga_pb2
from swit_saga.views import TERMINAL, state_name, state_value
from swit_saga_server.core.states import SagaState

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
CODECS = Codecs()


def saga(**fields):
    return SagaView(saga_pb2.Saga(**fields), CODECS)


def test_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match="dancing"):
        state_value("dancing")


@pytest.mark.parametrize("state", SagaState, ids=str)
def test_every_state_of_the_coordinator_has_its_name(state):
    assert state_name(state_value(state.value)) == state.value
    assert saga(state=state_value(state.value)).is_terminal == (state.value in TERMINAL) == state.is_terminal


def test_what_is_not_there_is_none():
    s = saga(id="o-1")
    assert (s.error, s.completed_at, s.due_at, s.initial_data(), s.result_data()) == (None,) * 5
    assert (s.steps, s.labels, s.metadata) == ([], {}, {})


def test_a_value_that_is_not_as_asked():
    with pytest.raises(CodecError):
        saga(result_data=CODECS.encode([1])).result_data(dict)


def test_a_saga():
    proto = saga_pb2.Saga(
        id="o-1",
        definition_id="order",
        version=3,
        state=saga_pb2.SAGA_STATE_COMPENSATING,
        labels={"region": "eu"},
        initial_data=CODECS.encode({"n": 1}),
        error=error_pb2.SagaError(
            code="NO_FUNDS",
            message="no money",
            type=error_pb2.ERROR_TYPE_BUSINESS,
            cause=error_pb2.SagaError(code="CARD_EXPIRED"),
        ),
        step_states=[
            saga_pb2.StepState(id="pay", state=saga_pb2.STEP_STATUS_FAILED, attempts=2, input_data=CODECS.encode("in"))
        ],
    )
    proto.created_at.FromDatetime(AT)
    proto.due_at.FromDatetime(AT)
    proto.metadata.update({"team": "shop"})
    assert proto.error.HasField("cause")
    proto.error.details.update({"missing": 5})
    view = SagaView(proto, CODECS)
    assert (view.id, view.definition_id, view.version, view.state) == ("o-1", "order", 3, "compensating")
    assert not view.is_terminal
    assert (view.created_at, view.due_at) == (AT, AT)
    assert (view.labels, view.metadata, view.initial_data()) == ({"region": "eu"}, {"team": "shop"}, {"n": 1})
    error = view.error
    assert isinstance(error, ErrorView)
    assert (error.code, error.message, error.type, error.details) == (
        "NO_FUNDS",
        "no money",
        "business",
        {"missing": 5},
    )
    assert error.cause is not None
    assert (error.cause.code, error.cause.cause) == ("CARD_EXPIRED", None)
    (step,) = view.steps
    assert (step.id, step.state, step.attempts, step.error) == ("pay", "failed", 2, None)
    assert (step.input(), step.output()) == ("in", None)
    assert [repr(x) for x in (view, step, error)] == [
        "<saga o-1 compensating>",
        "<step pay failed>",
        "<error NO_FUNDS, business>",
    ]


def test_an_event():
    proto = event_pb2.SagaEvent(
        sequence=4, saga_id="o-1", type="saga.step.completed", step_id="pay", attempt=2, data=CODECS.encode({"a": 1})
    )
    proto.timestamp.FromDatetime(AT)
    view = EventView(proto, CODECS)
    assert (view.sequence, view.saga_id, view.type, view.step_id, view.attempt, view.at) == (
        4,
        "o-1",
        "saga.step.completed",
        "pay",
        2,
        AT,
    )
    assert (view.data(), view.error) == ({"a": 1}, None)
    assert repr(view) == "<o-1/4 saga.step.completed pay>"
