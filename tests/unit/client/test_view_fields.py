"""Views show every field of their messages, under its name; a number that this client does not know is ``unknown``."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from swit_saga import (
    Codecs,
    CompensationView,
    ErrorView,
    EventView,
    RetryPolicyView,
    SagaView,
    StepContext,
    StepView,
)
from swit_saga.names import name_of
from swit_saga.v1 import command_pb2, definition_pb2, error_pb2, event_pb2, saga_pb2
from swit_saga.v1 import participant_service_pb2 as participant_pb
from swit_saga.views.fields import Decode

CODECS = Codecs()
VIEWS: dict[type[Message], Callable[[Any], Any]] = {
    saga_pb2.Saga: lambda proto: SagaView(proto, CODECS),
    saga_pb2.StepState: lambda proto: StepView(proto, CODECS),
    saga_pb2.CompensationState: CompensationView,
    error_pb2.SagaError: ErrorView,
    event_pb2.SagaEvent: lambda proto: EventView(proto, CODECS),
    definition_pb2.RetryPolicy: RetryPolicyView,
}
NOT_SHOWN: set[str] = set()
"""``Message.field`` for which there is no attribute, each with its reason. None so far."""
FIELDS = [
    (kind, field)
    for kind in VIEWS
    for field in kind.DESCRIPTOR.fields
    if f"{kind.DESCRIPTOR.name}.{field.name}" not in NOT_SHOWN
]
ENUMS = [(kind, field) for kind, field in FIELDS if field.enum_type is not None]
SCALARS: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_DOUBLE: 2.5,
}
AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
NEWER = 4_711
"""A number of no enum, as a newer server may send it."""


def named(given: Any) -> str:
    return str(given.name if isinstance(given, FieldDescriptor) else given.DESCRIPTOR.name)


def some(field: FieldDescriptor) -> tuple[Any, Any]:
    """A value for a field other than its default, and what a view shows for it; see ``plain``."""
    if field.enum_type is not None:
        value = field.enum_type.values[-1]
        return value.number, name_of(field.enum_type, value.number)
    if field.message_type is None:
        return SCALARS.get(field.type, 3), SCALARS.get(field.type, 3)
    if field.message_type.GetOptions().map_entry:
        return {"a": "b"}, {"a": "b"}
    match field.message_type.full_name:
        case "google.protobuf.Timestamp":
            return AT, AT
        case "google.protobuf.Duration":
            return timedelta(seconds=90), timedelta(seconds=90)
        case "google.protobuf.Struct":
            return {"a": "b"}, {"a": "b"}
        case "swit_saga.v1.Payload":
            return CODECS.encode([1]), [1]
    made = GetMessageClass(field.message_type)()
    return ([made], [made]) if field.is_repeated else (made, made)


def plain(shown: Any) -> Any:
    if isinstance(shown, Decode):
        return shown()
    if isinstance(shown, list):
        return [plain(item) for item in shown]
    return getattr(shown, "proto", shown)


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=named)
def test_every_field_is_shown_under_its_name(kind, field):
    sent, shown = some(field)
    view = VIEWS[kind](kind(**{field.name: sent}))
    assert plain(getattr(view, field.name)) == shown


def test_every_message_within_has_a_view():
    known = {kind.DESCRIPTOR.full_name for kind in VIEWS}
    within = {
        field.message_type.full_name
        for kind in VIEWS
        for field in kind.DESCRIPTOR.fields
        if field.message_type is not None and not field.message_type.GetOptions().map_entry
    }
    assert {name for name in within if name.startswith("swit_saga.")} - known == {"swit_saga.v1.Payload"}


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=named)
def test_a_field_that_is_not_set_is_shown_as_such(kind, field):
    shown = plain(getattr(VIEWS[kind](kind()), field.name))
    if field.enum_type is not None:
        assert shown in ("", "unspecified")
    elif isinstance(shown, datetime):  # Of those that every saga, step and event has.
        assert field.name in ("created_at", "updated_at", "timestamp")
    else:
        assert not shown


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=named)
def test_a_view_is_read_only(kind, field):
    view = VIEWS[kind](kind())
    with pytest.raises(AttributeError):
        setattr(view, field.name, None)


@pytest.mark.parametrize(("kind", "field"), ENUMS, ids=named)
def test_a_number_of_a_newer_server_is_unknown(kind, field):
    sent = kind(**{field.name: NEWER}).SerializeToString()
    view = VIEWS[kind](kind.FromString(sent))
    assert getattr(view, field.name) == "unknown"
    assert repr(view)


def test_those_are_all_the_enums_there_are():
    shown = {field.enum_type.name for _, field in ENUMS if field.enum_type is not None}
    assert shown == {
        "SagaState",
        "StepStatus",
        "CompensationStatus",
        "Effect",
        "StopCause",
        "CoordinatorMode",
        "CompensationStrategy",
        "StepKind",
        "ErrorType",
        "BackoffKind",
        "Jitter",
    }


def test_an_unknown_state_is_neither_an_outcome_nor_under_way():
    saga = SagaView(saga_pb2.Saga(id="o-1", state=NEWER), CODECS)  # type: ignore[arg-type]
    assert (saga.is_terminal, saga.is_active) == (False, False)


def test_an_unknown_certainty_is_unknown_to_the_participant():
    request = participant_pb.CompensateRequest(certainty=NEWER)  # type: ignore[arg-type]
    assert StepContext(request, CODECS).certainty == "unknown"


@pytest.mark.parametrize(
    "kind",
    [e for f in (saga_pb2, definition_pb2, error_pb2, command_pb2) for e in f.DESCRIPTOR.enum_types_by_name.values()],
    ids=lambda e: e.name,
)
def test_names_are_the_values_in_lower_case(kind: EnumDescriptor):
    names = [name_of(kind, value.number) for value in kind.values]
    assert names[0] == "unspecified"
    assert len(set(names)) == len(names)
    for value, name in zip(kind.values, names, strict=True):
        assert value.name.endswith(f"_{name.upper()}")
    assert name_of(kind, NEWER) == name_of(kind, -1) == "unknown"


def test_short_names_are_the_same():
    step = StepView(saga_pb2.StepState(input_data=CODECS.encode(1), output_data=CODECS.encode(2)), CODECS)
    assert (step.input(), step.output()) == (step.input_data(), step.output_data()) == (1, 2)
    event = EventView(event_pb2.SagaEvent(), CODECS)
    assert event.at == event.timestamp
    saga = SagaView(saga_pb2.Saga(step_states=[saga_pb2.StepState(id="a")]), CODECS)
    assert [s.id for s in saga.steps] == [s.id for s in saga.step_states] == ["a"]


@pytest.mark.parametrize("state", saga_pb2.SagaState.keys())
def test_active_is_as_the_specification_has_it(state):
    saga = SagaView(saga_pb2.Saga(state=saga_pb2.SagaState.Value(state)), CODECS)
    assert saga.is_active == (state in {f"SAGA_STATE_{s}" for s in ("RUNNING", "STEP_COMPLETED", "COMPENSATING")})
