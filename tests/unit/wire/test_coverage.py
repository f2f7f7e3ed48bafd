"""Nothing a caller sends is silently ignored: each field is converted, refused by name, or the server's own."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import definition_pb2
from swit_saga_server.core.errors import UnsupportedField
from swit_saga_server.core.units import Instant
from swit_saga_server.rpc.requests import saga_filter, start_request
from swit_saga_server.wire.definition import read_definition, read_retry_policy
from swit_saga_server.wire.door import admit
from swit_saga_server.wire.unsupported import FIELDS, OUTPUT_ONLY
from tests.support.wire.filled import set_field


def _definition() -> definition_pb2.SagaDefinition:
    return definition_pb2.SagaDefinition(id="d", steps=[definition_pb2.StepDefinition(id="s", participant="p")])


def _read(message: definition_pb2.SagaDefinition) -> Any:
    for step in message.steps:
        step.participant = step.participant or "p"
        step.rejected_status_codes[:] = ["NOT_FOUND" for _ in step.rejected_status_codes]
    admit(message)
    return read_definition(message)


def _read_step(message: definition_pb2.StepDefinition) -> Any:
    return _read(definition_pb2.SagaDefinition(id="d", steps=[message]))


def _read_compensation(message: definition_pb2.CompensationDefinition) -> Any:
    return _read_step(definition_pb2.StepDefinition(id="s", participant="p", compensation=message))


def _read_start(message: pb.StartSagaRequest) -> Any:
    if message.HasField("definition"):
        message.ClearField("definition_id")
    if message.HasField("initial_data"):
        message.initial_data.content_type = message.initial_data.content_type or "text/plain"
    return start_request(message)


TAKEN: list[tuple[Callable[[], Any], Callable[[Any], Any], str]] = [
    (_definition, _read, ""),
    (lambda: definition_pb2.StepDefinition(id="s", participant="p"), _read_step, "steps[0]."),
    (definition_pb2.CompensationDefinition, _read_compensation, "steps[0].compensation."),
    (definition_pb2.RetryPolicy, lambda m: read_retry_policy(m, "retry_policy"), ""),
    (lambda: pb.StartSagaRequest(definition_id="d"), _read_start, ""),
    (pb.SagaFilter, lambda m: saga_filter(m, Instant(10**9)), ""),
]
"""Each message as small as it may be, its way into the core, and where it stands in what is sent."""
CASES = [
    pytest.param(make, read, prefix, field, id=f"{make().DESCRIPTOR.name}.{field.name}")
    for make, read, prefix in TAKEN
    for field in make().DESCRIPTOR.fields
]


@pytest.mark.parametrize(("make", "read", "prefix", "field"), CASES)
def test_a_field_is_converted_refused_or_output_only(
    make: Callable[[], Any], read: Callable[[Any], Any], prefix: str, field: FieldDescriptor
):
    message = make()
    set_field(message, field)
    owner = message.DESCRIPTOR.name
    if field.name in FIELDS.get(owner, {}):
        for value in FIELDS[owner][field.name] or [None]:
            if value is not None:
                setattr(message, field.name, value)
            with pytest.raises(UnsupportedField) as refused:
                read(message)
            assert [v.field for v in refused.value.violations] == [f"{prefix}{field.name}"]
    elif field.name in OUTPUT_ONLY.get(owner, frozenset()):
        assert read(message) == read(make())
    elif owner == "StartSagaRequest" and field.name == "definition":
        message.definition.CopyFrom(_definition())
        assert read(message).definition == read_definition(_definition())
    elif owner == "StartSagaRequest" and field.name == "view":
        assert read(message) == read(make()), "of the answer, not of the saga: tests/rpc/test_starts.py"
    else:
        assert read(message) != read(make()), f"{owner}.{field.name} changes nothing"


def test_the_lists_name_what_exists():
    known = {d.name: set(d.fields_by_name) for d in (make().DESCRIPTOR for make, _, _ in TAKEN)}
    for listed in (FIELDS, OUTPUT_ONLY):
        for message, fields in listed.items():
            assert set(fields) <= known[message]


@pytest.mark.parametrize("enum", ["mode", "compensation_strategy"])
def test_every_value_of_a_partly_refused_enum_is_taken_or_refused(enum):
    field = definition_pb2.SagaDefinition.DESCRIPTOR.fields_by_name[enum]
    assert field.enum_type is not None
    for value in field.enum_type.values:
        message = _definition()
        setattr(message, enum, value.number)
        if value.number in FIELDS["SagaDefinition"][enum]:
            with pytest.raises(UnsupportedField, match=value.name):
                _read(message)
        else:
            assert _read(message) == _read(_definition()), "the default, written out"
