"""``evolve`` is ``dataclasses.replace`` for the core's records."""

from dataclasses import replace

import pytest

from swit_saga_server.core.evolve import evolve
from swit_saga_server.core.model import SagaState
from tests.unit.core.drive import Driven, chain, done


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
    with pytest.raises(KeyError):
        evolve(Driven(chain("a")).saga, no_such_field=1)
