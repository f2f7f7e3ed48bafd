"""What errors on record say: nothing that is not so, such as that nobody answered where somebody did."""

import pytest

from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.retry import NO_RETRY
from tests.support.core.drive import Driven, chain, done, lost, no


def error_of(driven: Driven) -> SagaError:
    assert driven.saga.error is not None
    return driven.saga.error


def test_attempts_that_were_answered_without_certainty_are_not_called_unanswered():
    s = Driven(chain("a")).start()
    for _ in range(2):
        s.ran(0, lost()).wake()
    error = error_of(s.ran(0, lost()))
    assert error.message == "step 'a': all 3 attempts failed without a certain answer; the last: gone"
    assert s.saga.stop_reason == error.message


def test_one_attempt_is_not_called_all_of_them():
    s = Driven(Definition(id="d", steps=(StepDefinition(id="a", participant="p", retry_policy=NO_RETRY),)))
    message = error_of(s.start().ran(0, lost())).message
    assert message == "step 'a': the one attempt allowed failed without a certain answer; the last: gone"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([no()], "step 'a' could not be undone: no"),
        ([lost(), no()], "step 'a' could not be undone in 2 attempts; the last: no"),
        ([lost(), lost(), lost()], "step 'a' could not be undone in 3 attempts; the last: gone"),
    ],
)
def test_a_compensation_that_failed_says_how_often_it_was_tried(answers, words):
    s = Driven(chain("a", "b")).start().ran(0, done()).ran(1, no())
    for answer in answers[:-1]:
        s.undid(0, answer).wake()
    assert error_of(s.undid(0, answers[-1])).message == words
