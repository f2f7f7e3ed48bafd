"""The model as bytes: nothing is lost, old records are read, new ones are refused clearly."""

from dataclasses import MISSING, fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.model import PROGRESS, Saga, StepState, same_origin
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.store import codec
from tests.support.store.values import any_of

SAGA = Saga(id="s", definition_id="d", steps=(), created_at=5, updated_at=6, initial_data=Payload("t", b"x"))


PROGRESSED = replace(
    SAGA, version=3, state=SagaState.FAILED, error=SagaError(code="C", message="m", type=ErrorType.DATA)
)

READERS: dict[type, tuple[Any, Any]] = {
    Saga: (codec.pack_header, lambda header: Saga(steps=(), **codec._record(Saga).fields_of(codec._items(header)))),
    StepState: (codec.pack_step, codec.unpack_step),
    SagaEvent: (codec.pack_event, codec.unpack_event),
    SagaError: (codec.pack_error, codec.unpack_error),
    Definition: (codec.pack_definition, codec.unpack_definition),
}


@given(any_of(Saga))
@settings(max_examples=200, deadline=None)
def test_a_saga_comes_back(saga):
    steps = tuple(codec.unpack_step(codec.pack_step(s)) for s in saga.steps)
    assert codec.unpack_saga(codec.pack_header(saga), codec.pack_progress(saga), steps) == saga


@given(any_of(Saga), any_of(Saga))
@settings(max_examples=200, deadline=None)
def test_progress_goes_before_the_header(then, now):
    """Whatever it was, and is: the header is as of long ago."""
    progress = {name: getattr(now, name) for name in PROGRESS}
    found = codec.unpack_saga(codec.pack_header(then), codec.pack_progress(now), then.steps)
    assert found == replace(then, **progress)
    assert same_origin(found, then)


@pytest.mark.parametrize("name", sorted({f.name for f in fields(Saga)} - {"steps"}))
def test_every_field_is_origin_or_progress(name):
    other: Any = object()
    changed = replace(SAGA, **{name: other})
    assert same_origin(SAGA, changed) is (name in PROGRESS)


@given(any_of(SagaEvent), any_of(SagaEvent))
@settings(max_examples=100, deadline=None)
def test_events_come_back(one, two):
    assert codec.unpack_event(codec.pack_event(one)) == one
    assert codec.unpack_events(codec.pack_events([one, two])) == [one, two]


@given(any_of(Definition), any_of(SagaError))
@settings(max_examples=100, deadline=None)
def test_definitions_and_errors_come_back(definition, error):
    assert codec.unpack_definition(codec.pack_definition(definition)) == definition
    assert codec.unpack_error(codec.pack_error(error)) == error


def test_what_a_record_does_not_have_takes_its_default():
    """Evolution: fields are only ever appended."""
    assert codec.unpack_step(msgpack.packb((1, ["a", 3]))) == StepState(id="a", index=3)
    assert codec.unpack_event(msgpack.packb((1, [7, 0, 99]))) == SagaEvent(
        sequence=7, type=EventType.SAGA_STARTED, at=99
    )


@given(st.data(), st.sampled_from(list(READERS)))
@settings(max_examples=100, deadline=None)
def test_a_record_of_before_a_field_was_appended(data, kind):
    """However short it was: what there is, and defaults for the rest."""
    value = data.draw(any_of(kind))
    if kind is Saga:
        value = replace(value, steps=())
    pack, unpack = READERS[kind]
    kept = [f for f in fields(kind) if (kind, f.name) != (Saga, "steps")]
    # A required field has to be there, and so have those before it.
    required = max(n for n, f in enumerate(kept, 1) if f.default is f.default_factory is MISSING)
    version, items = msgpack.unpackb(pack(value), strict_map_key=False)
    length = data.draw(st.integers(min(required, len(items)), len(items)))
    defaults: Any = {f.name: f.default if f.default is not MISSING else {} for f in kept[length:]}
    assert unpack(msgpack.packb((version, items[:length]))) == replace(value, **defaults)


def test_records_of_format_1_are_read_for_ever():
    """Bytes written by the first version; if this fails, what is stored out there is no longer understood."""
    step = StepState(id="a", index=2, status=StepStatus.COMPLETED, output=Payload("t", "x"))
    assert codec.pack_step(step).hex() == STEP
    assert codec.unpack_step(bytes.fromhex(STEP)) == step
    assert codec.pack_header(SAGA).hex() == HEADER
    event = SagaEvent(
        sequence=1, type="order.shipped", at=2, error=SagaError(code="C", message="m", type=ErrorType.DATA)
    )
    assert codec.pack_event(event).hex() == EVENT
    assert codec.unpack_event(bytes.fromhex(EVENT)) == event
    assert codec.unpack_saga(bytes.fromhex(HEADER), codec.pack_progress(SAGA), ()) == SAGA
    assert codec.pack_progress(PROGRESSED).hex() == PROGRESS_RECORD
    assert codec.unpack_saga(bytes.fromhex(HEADER), bytes.fromhex(PROGRESS_RECORD), ()) == PROGRESSED


STEP = "92019aa161020200900000000092a174a178"
HEADER = (
    "9201dc001ea1730000a16400a0a0a0000094ce6b49d200ce01c9c3809603ce000f4240ce01c9c380cb400000000000000005"
    "019603ce000f4240ce03938700cb40000000000000001401050600000092a174c40178c0c0a000a000008080a0a0a094a0a0"
    "a001"
)
PROGRESS_RECORD = "9201980306000600000093a143a16d04"
EVENT = "92019801ad6f726465722e7368697070656402a0c0a0a093a143a16d04"


@pytest.mark.parametrize(
    "record",
    [(2, ["a", 3]), (1, ["a", 3, 99]), (1, ["a", 3, *[None] * 40])],
    ids=["format", "enum member", "field"],
)
def test_a_newer_record_is_refused(record):
    with pytest.raises(codec.UnknownFormat):
        codec.unpack_step(msgpack.packb(record))


def test_a_value_that_is_no_json_is_refused():
    with pytest.raises(TypeError, match="JSON-like"):
        codec.pack_header(replace(SAGA, metadata={"x": object()}))
