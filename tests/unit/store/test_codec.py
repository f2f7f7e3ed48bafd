"""The model as bytes: nothing is lost, old records are read, newer ones are left to others."""

from dataclasses import MISSING, fields, replace
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import ErrorType, NewerRecord, SagaError
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.inputs import Answered
from swit_saga_server.core.model import PROGRESS, Saga, Settings, StepState, same_origin
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.core.units import Instant
from swit_saga_server.store import codec
from swit_saga_server.store.codec import FORMAT, PRESENT
from swit_saga_server.store.levels import LEVEL
from tests.support.store.values import any_of

SAGA = Saga(
    id="s", definition_id="d", steps=(), created_at=Instant(5), updated_at=Instant(6), initial_data=Payload("t", b"x")
)


PROGRESSED = replace(
    SAGA, version=3, state=SagaState.FAILED, error=SagaError(code="C", message="m", type=ErrorType.DATA)
)

WRITER = PRESENT.at(LEVEL)
READERS: dict[type, tuple[Any, Any]] = {
    StepState: (WRITER.pack_step, PRESENT.unpack_step),
    SagaEvent: (WRITER.pack_event, PRESENT.unpack_event),
    SagaError: (WRITER.pack_error, PRESENT.unpack_error),
    Definition: (WRITER.pack_definition, PRESENT.unpack_definition),
    Settings: (WRITER.pack_record, partial(PRESENT.unpack_record, Settings)),
    Answered: (WRITER.pack_record, partial(PRESENT.unpack_record, Answered)),
}


@given(any_of(Saga))
@settings(max_examples=200, deadline=None)
def test_a_saga_comes_back(saga):
    steps = tuple(PRESENT.unpack_step(WRITER.pack_step(s)) for s in saga.steps)
    assert PRESENT.unpack_saga(WRITER.pack_origin(saga), WRITER.pack_progress(saga), steps) == saga


@given(any_of(Saga), any_of(Saga))
@settings(max_examples=200, deadline=None)
def test_origin_and_progress_are_apart(then, now):
    """Whatever it was, and is: the origin may be as of long ago."""
    progress = {name: getattr(now, name) for name in PROGRESS}
    found = PRESENT.unpack_saga(WRITER.pack_origin(then), WRITER.pack_progress(now), then.steps)
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
    assert PRESENT.unpack_event(WRITER.pack_event(one)) == one
    assert PRESENT.unpack_events(WRITER.pack_events([one, two])) == [one, two]


@given(any_of(Definition), any_of(SagaError))
@settings(max_examples=100, deadline=None)
def test_definitions_and_errors_come_back(definition, error):
    assert PRESENT.unpack_definition(WRITER.pack_definition(definition)) == definition
    assert PRESENT.unpack_error(WRITER.pack_error(error)) == error


def test_what_a_record_does_not_have_takes_its_default():
    """Evolution: fields are only ever appended."""
    assert PRESENT.unpack_step(msgpack.packb((FORMAT, ["a", 3]))) == StepState(id="a", index=3)
    short = msgpack.packb((FORMAT, [7, "saga.started", 99]))
    assert PRESENT.unpack_event(short) == SagaEvent(sequence=7, type=EventType.SAGA_STARTED, at=Instant(99))


@given(st.data(), st.sampled_from(list(READERS)))
@settings(max_examples=100, deadline=None)
def test_a_record_of_before_a_field_was_appended(data, kind):
    """However short it was: what there is, and defaults for the rest."""
    value = data.draw(any_of(kind))
    pack, unpack = READERS[kind]
    kept = fields(kind)
    # A required field has to be there, and so have those before it.
    required = max((n for n, f in enumerate(kept, 1) if f.default is f.default_factory is MISSING), default=0)
    version, items = msgpack.unpackb(pack(value), strict_map_key=False)
    length = data.draw(st.integers(min(required, len(items)), len(items)))
    defaults: Any = {f.name: f.default if f.default is not MISSING else {} for f in kept[length:]}
    assert unpack(msgpack.packb((version, items[:length]))) == replace(value, **defaults)


def test_records_of_level_1_are_read_for_ever():
    """Bytes written by the first release; if this fails, what is stored out there is no longer understood."""
    step = StepState(id="a", index=2, status=StepStatus.COMPLETED, output=Payload("t", "x"))
    assert WRITER.pack_step(step).hex() == STEP
    assert PRESENT.unpack_step(bytes.fromhex(STEP)) == step
    event = SagaEvent(
        sequence=1, type="order.shipped", at=Instant(2), error=SagaError(code="C", message="m", type=ErrorType.DATA)
    )
    assert WRITER.pack_event(event).hex() == EVENT
    assert PRESENT.unpack_event(bytes.fromhex(EVENT)) == event
    assert WRITER.pack_origin(SAGA).hex() == ORIGIN_RECORD
    assert WRITER.pack_progress(PROGRESSED).hex() == PROGRESS_RECORD
    assert PRESENT.unpack_saga(bytes.fromhex(ORIGIN_RECORD), WRITER.pack_progress(SAGA), ()) == SAGA
    assert PRESENT.unpack_saga(bytes.fromhex(ORIGIN_RECORD), bytes.fromhex(PROGRESS_RECORD), ()) == PROGRESSED


STEP = "92029aa161020200900000000092a174a178"
ORIGIN_RECORD = (
    "9202dc0012a173a16400a0a0a0000094ce6b49d200ce01c9c3809603ce000f4240ce01c9c380cb4000000000000000050196"
    "03ce000f4240ce03938700cb400000000000000014010592a174c40178a08080a0a0a094a0a0a001"
)
PROGRESS_RECORD = "9202980306000600000093a143a16d04"
EVENT = "92029801ad6f726465722e7368697070656402a0c0a0a093a143a16d04"


def test_types_of_events_are_text():
    """Known or not: a reader of any version takes them as they are."""
    for name in (EventType.SAGA_STARTED, "order.shipped"):
        data = WRITER.pack_event(SagaEvent(sequence=1, type=name, at=Instant(2)))
        assert msgpack.unpackb(data)[1][1] == str(name)


@pytest.mark.parametrize(
    "record",
    [(FORMAT + 1, ["a", 3]), (FORMAT, ["a", 3, 99]), (FORMAT, ["a", 3, *[None] * 40])],
    ids=["format", "enum member", "field"],
)
def test_a_newer_record_is_left_to_others(record):
    with pytest.raises(NewerRecord):
        PRESENT.unpack_step(msgpack.packb(record))


@pytest.mark.parametrize("version", [1, 0, "x", None])
def test_a_record_of_before_the_first_release_is_no_newer_one(version):
    with pytest.raises(codec.UnknownFormat):
        PRESENT.unpack_step(msgpack.packb((version, ["a", 3])))


def test_a_value_that_is_no_json_is_refused():
    with pytest.raises(TypeError, match="JSON-like"):
        WRITER.pack_origin(replace(SAGA, metadata={"x": object()}))
