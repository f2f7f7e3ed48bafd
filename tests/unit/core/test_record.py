"""``record`` is ``dataclass(frozen=True)``, and ``evolve`` is ``replace``, for all who change nothing."""

from dataclasses import replace

import pytest

from swit_saga_server.core.inputs import Completed
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import evolve
from swit_saga_server.core.states import SagaState
from tests.support.core.drive import Driven, chain, done


def test_as_replace():
    saga = Driven(chain("a", "b")).start().ran(0, done()).saga
    for value, changes in (
        (saga, {"version": 9, "state": SagaState.FAILED, "steps": ()}),
        (saga.steps[0], {"output": None}),
        (saga.steps[0].call, {}),
    ):
        changed = evolve(value, **changes)
        assert changed == replace(value, **changes)
        assert changed is not value


def test_the_original_is_untouched():
    saga = Driven(chain("a")).start().saga
    version = saga.version
    evolve(saga, version=version + 1)
    assert saga.version == version


def test_an_unknown_field_is_refused():
    with pytest.raises(AttributeError):
        evolve(Driven(chain("a")).saga, no_such_field=1)  # type: ignore[call-arg] # that is the point


def test_records_are_equal_and_hashable_by_their_fields():
    one, same, other = (Completed(Payload("text/plain", text)) for text in ("a", "a", "b"))
    assert one == same != other
    assert len({one, same, other}) == 2
