"""Which starts are taken."""

from dataclasses import replace

import pytest

from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NEVER, Span
from swit_saga_server.engine.admission import Admission
from swit_saga_server.store.contract import partition_of


def saga(saga_id: str, state: SagaState = SagaState.RUNNING) -> Saga:
    made = Saga(id=saga_id, definition_id="d", steps=(), created_at=NEVER, updated_at=NEVER)
    return replace(made, state=state)


def test_without_limits_all_are_taken():
    admission = Admission(None, None, None)
    admission.starting("b")
    assert admission.refusal("a", queued=10**9, starts_waiting=10**9, wait=Span(10**9), sagas_waiting=10**9) is None
    assert (admission.refused, admission.max_to_read) == (0, 0)


@pytest.mark.parametrize(
    ("queued", "starts", "sagas", "refused"), [(1, 1, 2, False), (0, 3, 0, True), (2, 1, 0, True), (0, 0, 3, True)]
)
def test_no_more_wait_than_may(queued, starts, sagas, refused):
    admission = Admission(None, 3, None)
    assert (admission.refusal("a", queued=queued, starts_waiting=starts, sagas_waiting=sagas) is not None) == refused
    assert admission.refused == refused


def test_sagas_under_way_and_starts_count_together():
    admission = Admission(2, None, None)
    admission.note(saga("a"))
    admission.note(saga("a"))
    assert admission.refusal("b") is None
    admission.starting("b")
    assert admission.refusal("c") is not None
    assert admission.refusal("a") is None, "it is known, so it is no new one (invariant 13)"
    admission.started("b")
    assert admission.refusal("c") is None
    assert admission.refusal("c", queued=1) is not None, "what is still to come here counts, too"
    admission.note(saga("b"))
    assert admission.refusal("c") is not None
    admission.note(saga("a", SagaState.COMPLETED))
    assert admission.refusal("c") is None


def test_a_saga_counts_once_however_often_it_is_started():
    admission = Admission(2, None, None)
    admission.starting("a")
    admission.starting("a")
    assert admission.refusal("b") is None
    admission.note(saga("a"))
    assert admission.refusal("b") is None, "durable, and its callers not yet told"
    admission.started("a")
    admission.starting("b")
    assert admission.refusal("c") is not None
    admission.started("a")
    admission.started("b")
    assert admission.refusal("c") is None, "b came to nothing"


@pytest.mark.parametrize(("waited", "refused"), [(0, False), (500, False), (501, True)])
def test_a_queue_that_does_not_move_takes_no_more(waited, refused):
    admission = Admission(None, None, Span(500))
    assert (admission.refusal("a", starts_waiting=1, wait=waited) is not None) == refused


def test_partitions_come_and_go():
    admission = Admission(3, None, None)
    ids = [f"s{n}" for n in range(3)]
    admission.found(ids)
    assert admission.max_to_read == 4
    assert admission.refusal("x") is not None
    admission.lost(partition_of("s0", 4), 4)
    assert admission.refusal("x") is None
