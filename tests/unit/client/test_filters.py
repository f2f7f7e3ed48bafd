"""Keywords as the filter that is sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from swit_saga.filters import saga_filter
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import saga_pb2

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"states": ["running", "failed"]}, {"states": [saga_pb2.SAGA_STATE_RUNNING, saga_pb2.SAGA_STATE_FAILED]}),
    (
        {"active": True},
        {
            "states": [
                saga_pb2.SAGA_STATE_RUNNING,
                saga_pb2.SAGA_STATE_STEP_COMPLETED,
                saga_pb2.SAGA_STATE_COMPENSATING,
            ]
        },
    ),
    ({"definitions": ["order"]}, {"definition_ids": ["order"]}),
    ({"labels": {"region": "eu"}}, {"labels": {"region": "eu"}}),
    ({"metadata": {"n": 1, "s": "x", "b": True}}, {"metadata": {"n": 1, "s": "x", "b": True}}),
    ({"created_from": AT}, {"created_from": AT}),
    ({"created_to": AT}, {"created_to": AT}),
    ({"updated_from": AT}, {"updated_from": AT}),
    ({"updated_to": AT}, {"updated_to": AT}),
    ({"overdue_by": "90s"}, {"overdue_by": {"seconds": 90}}),
    ({"stuck": True}, {"stuck": True}),
]


@pytest.mark.parametrize(("given", "sent"), SENT)
def test_every_condition_is_sent(given, sent):
    assert saga_filter(**given) == pb.SagaFilter(**sent)


def test_every_field_of_the_filter_has_a_keyword():
    fields = {name for _, sent in SENT for name in sent}
    assert fields == set(pb.SagaFilter.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"states": ["dancing"]}, "dancing"),
        ({"states": ["failed"], "active": True}, "compensating, running, step_completed"),
        ({"overdue_by": "soon"}, "duration"),
    ],
)
def test_what_makes_no_sense(given, says):
    with pytest.raises(ValueError, match=says):
        saga_filter(**given)
