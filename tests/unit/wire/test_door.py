"""The door: no field of any request without a rule, and every rule holds at its bounds, wherever the field lies."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import definition_pb2
from swit_saga_server.core.errors import InvalidDefinition, InvalidRequest, UnsupportedField
from swit_saga_server.rpc.requests import start_request
from swit_saga_server.rpc.serving import SERVICES
from swit_saga_server.wire.door import admit, rules
from swit_saga_server.wire.door.limits_table import reachable
from swit_saga_server.wire.door.table import BY_FIELD, BY_NAME, MOST, rule_of
from tests.support.wire.filled import set_field
from tests.support.wire.places import INF, NAN, Place, places, refused, span, taken, tree

REQUESTS = [m.input_type for s in SERVICES for m in s.methods]
PLACES = [place for request in REQUESTS for place in places(request)]
JUDGED = [place for place in PLACES if place.rule.check is not None and place.rule is not rules.UNSUPPORTED]
CHECKED_TYPES = {
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_ENUM,
    FieldDescriptor.CPPTYPE_MESSAGE,
}
UNCHECKED = {
    "Payload.text": rules.CONTENT,
    "Payload.binary": rules.CONTENT,
    "StartSagasRequest.Item.traceparent": rules.IGNORED,
    "StartSagasRequest.Item.tracestate": rules.IGNORED,
}
"""Judged elsewhere: for their size by max_payload_bytes, as the W3C says it of traces."""


def named(field: FieldDescriptor) -> str:
    assert field.containing_type is not None
    return f"{field.containing_type.full_name.removeprefix('swit_saga.v1.')}.{field.name}"


def wrong(request: Message) -> dict[str, str]:
    """What the door finds, by path."""
    try:
        admit(request)
    except InvalidRequest as found:
        return {v.field: v.description for v in found.violations}
    return {}


def names(path: str, found: dict[str, str]) -> bool:
    return any(at == path or at.startswith(f"{path}[") for at in found)


def no_first_delay(message: Any) -> None:
    if isinstance(message, definition_pb2.RetryPolicy):
        message.initial_delay.SetInParent()


def test_every_field_that_can_hold_what_must_not_come_in_is_checked():
    unchecked = {}
    for field in reachable(REQUESTS):
        rule = rule_of(field)
        if rule is not None and rule.check is None and field.cpp_type in CHECKED_TYPES:
            unchecked[named(field)] = rule
        if field.is_repeated and rule is not None and rule.check is None:
            assert named(field) == "WaitSagasRequest.withdrawn" or field.cpp_type in CHECKED_TYPES
    assert unchecked == UNCHECKED


def test_the_tables_name_what_exists():
    fields = reachable([*REQUESTS, definition_pb2.ErrorRule.DESCRIPTOR])
    assert set(BY_NAME) <= {field.name for field in fields}
    assert {*BY_FIELD, *MOST} <= {named(field) for field in fields}


@pytest.mark.parametrize("place", JUDGED, ids=str)
def test_what_lies_just_within_the_bounds_is_taken(place: Place):
    assert taken(place)
    for value in taken(place):
        found = wrong(place.request_with(value, no_first_delay))
        assert not names(place.path, found), (str(value)[:80], found)


@pytest.mark.parametrize("place", JUDGED, ids=str)
def test_what_lies_just_outside_is_refused_by_its_path(place: Place):
    assert refused(place)
    for value in refused(place):
        found = wrong(place.request_with(value))
        assert names(place.path, found), (str(value)[:80], found)
        assert all(found.values())


@pytest.mark.parametrize("place", [p for p in PLACES if p.rule is rules.UNSUPPORTED], ids=str)
def test_what_is_not_supported_is_refused_by_its_path(place: Place):
    whole = place.field.containing_type
    assert whole is not None
    filled = GetMessageClass(whole)()
    set_field(filled, place.field)
    assert place.path in wrong(place.request_with(getattr(filled, place.field.name)))


def step(**more: Any) -> definition_pb2.StepDefinition:
    return definition_pb2.StepDefinition(**{"id": "s", "participant": "p"} | more)


def inline(*steps: definition_pb2.StepDefinition, **more: Any) -> pb.StartSagaRequest:
    return pb.StartSagaRequest(definition=definition_pb2.SagaDefinition(**{"id": "d", "steps": steps} | more))


def test_all_that_is_wrong_is_named_at_once_by_its_full_path():
    policy = definition_pb2.RetryPolicy(initial_delay=span(-5))
    request = inline(
        step(), step(id="t"), step(id="u"),
        step(id="v", compensation=definition_pb2.CompensationDefinition(retry_policy=policy)),
        step(id="t", delay=span(1, -1)),
    )  # fmt: skip
    request.retry_policy.multiplier = INF
    request.metadata.CopyFrom(tree(a={"b": NAN, "c": [0, INF]}))
    request.labels["k"] = "v" * 201
    assert wrong(request) == {
        "definition.steps[3].compensation.retry_policy.initial_delay": "must not be negative",
        "definition.steps[4].delay": "is no duration: 1 seconds and -1 nanoseconds",
        "definition.steps[4].id": "'t' is used by an earlier step",
        "metadata[a.b]": "is nan; must be a finite number",
        "metadata[a.c[1]]": "is inf; must be a finite number",
        "labels[k]": "has 201 characters; at most 200",
        "retry_policy.multiplier": "is inf; must be between 1 and 1000",
    }


@pytest.mark.parametrize(
    ("policy", "is_wrong"),
    [
        ({"initial_delay": span(2), "max_delay": span(1)}, True),
        ({"max_delay": span(0, 1)}, True),  # The initial delay is 1 s, unless it is given.
        ({"initial_delay": span(0), "max_delay": span(0)}, False),
        ({"initial_delay": span(60)}, False),
    ],
)
@pytest.mark.parametrize("where", ["retry_policy", "definition.steps[0].retry_policy"])
def test_a_cap_below_the_first_delay_is_refused_wherever_the_policy_lies(where, policy, is_wrong):
    request = inline(step(retry_policy=policy)) if "steps" in where else pb.StartSagaRequest(retry_policy=policy)
    assert wrong(request) == ({f"{where}.max_delay": "must not be less than initial_delay"} if is_wrong else {})


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (inline(step(), step()), InvalidDefinition),
        (inline(step(depends_on=["x"])), UnsupportedField),
        (inline(step(depends_on=["x"], delay=span(-1))), InvalidDefinition),
        (pb.StartSagaRequest(saga_id="a/b", definition=inline(step(), step()).definition), InvalidRequest),
    ],
)
def test_the_reason_says_what_kind_of_thing_is_wrong(request_, kind):
    with pytest.raises(InvalidRequest) as refused_:
        start_request(request_)
    assert type(refused_.value) is kind


def test_what_is_wrong_is_repeated_in_part_only():
    found = wrong(pb.StartSagaRequest(labels={"k" * 100_000: ""}, saga_id="\x00" + "x" * 150))
    assert all(len(what) < 400 for what in found.values())
    assert len(found) == 2
