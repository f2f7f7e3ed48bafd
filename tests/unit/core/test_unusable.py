"""Done, and what it returned cannot be used: the step fails for good, its effect stands, and it is undone as done."""

from collections.abc import Callable

import pytest

from swit_saga_server.core.dataflow import current_data
from swit_saga_server.core.errors import ErrorType
from swit_saga_server.core.inputs import Completed, Wake
from swit_saga_server.core.limits import MAX_PAYLOAD_BYTES, MAX_SAGA_BYTES, SMALL_PAYLOAD_BYTES
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.start import StartRequest
from swit_saga_server.core.states import Effect, SagaState, StepStatus
from swit_saga_server.core.units import MINUTE
from tests.support.core.drive import NO_UNDO, Driven, chain, done, lost, no, unusable


def two(**changes: object) -> Driven:
    return Driven(chain("a", "b", **changes), StartRequest(initial_data=Payload("text/plain", "initial"))).start()


@pytest.mark.parametrize("index", [0, 1])
def test_the_step_fails_and_is_undone_as_one_that_was_done(index: int) -> None:
    s = two()
    for before in range(index):
        s.ran(before, done())
    s.ran(index, unusable("OUTPUT_TOO_LARGE"))
    step = s.saga.steps[index]
    assert (step.status, step.effect, step.output) == (StepStatus.COMPENSATING, Effect.DONE, None)
    assert step.error is not None
    assert (step.error.code, step.error.type, step.error.retryable) == ("OUTPUT_TOO_LARGE", ErrorType.DATA, False)
    began = f"compensation.step.started {step.id}"
    assert s.types[-3:] == [f"saga.step.failed {step.id}", "compensation.started", began]
    assert s.saga.error == step.error
    assert s.saga.stop_reason == f"step {step.id!r}: too large"
    for undone in range(index, -1, -1):
        s.undid(undone)
    assert s.saga.state is SagaState.COMPENSATED
    assert s.saga.steps[index].call.attempts == 1


def test_it_is_undone_at_once() -> None:
    """It is known that no attempt may begin any more."""
    s = two().ran(0, unusable())
    assert s.saga.steps[0].compensation is not None
    assert s.saga.steps[0].compensation.call.in_flight


def test_the_data_stay_as_they_were() -> None:
    s = two()
    before = current_data(s.saga)
    assert before is not None
    assert current_data(s.ran(0, unusable()).saga) == before
    s = two().ran(0, done("from a"))
    assert current_data(s.ran(1, unusable()).saga) == done("from a").output


def test_without_a_compensation_it_is_skipped_as_any_other() -> None:
    s = two(compensation=NO_UNDO).ran(0, unusable())
    assert s.saga.state is SagaState.COMPENSATED
    assert s.saga.steps[0].effect is Effect.DONE


def test_after_an_attempt_in_doubt() -> None:
    s = two().ran(0, lost()).wake().ran(0, unusable())
    assert (s.saga.steps[0].effect, s.saga.steps[0].call.attempts) == (Effect.DONE, 2)
    assert s.saga.state is SagaState.COMPENSATING


def test_the_first_attempts_own_answer_counts_while_the_second_is_open() -> None:
    s = two().ran(0, lost()).wake().ran(0, unusable(), attempt=1)
    assert s.saga.steps[0].effect is Effect.DONE
    assert not s.saga.steps[0].call.in_flight


STOPPED: dict[str, tuple[Callable[[], Driven], SagaState]] = {
    "cancelled": (lambda: two().cancel(), SagaState.CANCELLED),
    "timed out": (lambda: two(timeout=20 * MINUTE).give(Wake(), 10 * MINUTE), SagaState.TIMED_OUT),
}


@pytest.mark.parametrize("how", STOPPED)
def test_of_a_saga_that_is_stopping_already(how: str) -> None:
    """The first cause stands; the step's own error is on its record."""
    make, outcome = STOPPED[how]
    s = make()
    cause = s.saga.error
    s.ran(0, unusable())
    step = s.saga.steps[0]
    assert (step.effect, step.error and step.error.code) == (Effect.DONE, "OUTPUT_INVALID")
    assert s.saga.error == cause
    assert s.undid(0).saga.state is outcome


def test_while_waiting_to_undo_what_was_given_up_in_doubt() -> None:
    s = two().ran(0, lost(retryable=False))
    assert (s.saga.steps[0].status, s.saga.steps[0].effect) == (StepStatus.FAILED, Effect.MAYBE)
    why = s.saga.steps[0].error
    s.ran(0, unusable())
    assert (s.saga.steps[0].effect, s.saga.steps[0].error) == (Effect.DONE, why)


def test_once_its_compensation_is_intended_it_counts_no_more() -> None:
    s = two().ran(0, unusable())
    before = s.saga
    assert s.ran(0, unusable()).saga is before
    assert s.ran(0, no()).saga is before


def test_of_a_compensation_it_is_a_completion_like_any_other() -> None:
    s = two().ran(0, done()).ran(1, no()).undid(0, unusable())
    assert s.saga.state is SagaState.COMPENSATED
    assert s.saga.steps[0].compensation is not None
    assert s.saga.steps[0].compensation.error is None


def large(size: int) -> Payload:
    return Payload("application/octet-stream", bytes(size))


def test_a_saga_has_a_size() -> None:
    """Sixteen of the largest; the one that would be too much is undone as done, and small ones are always taken."""
    most, count = MAX_PAYLOAD_BYTES, MAX_SAGA_BYTES // MAX_PAYLOAD_BYTES
    s = Driven(chain(*(f"s{i}" for i in range(count + 1))), StartRequest(initial_data=large(most))).start()
    one = Completed(large(most))
    for index in range(count - 1):
        s.ran(index, one)
    assert s.saga.steps[count - 2].status is StepStatus.COMPLETED
    small = s.ran(count - 1, Completed(large(SMALL_PAYLOAD_BYTES)))
    assert small.saga.steps[count - 1].status is StepStatus.COMPLETED
    s.ran(count, Completed(large(SMALL_PAYLOAD_BYTES + 1)))
    error = s.saga.steps[count].error
    assert error is not None
    assert (error.code, error.type) == ("SAGA_TOO_LARGE", ErrorType.DATA)
    assert s.saga.steps[count].output is None
    assert s.saga.steps[count].effect is Effect.DONE
    for index in range(count, -1, -1):
        s.undid(index)
    assert s.saga.state is SagaState.COMPENSATED
