"""Any saga fits any message: what is left out is marked, and can be read step by step."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from swit_saga.v1 import error_pb2, payload_pb2, saga_pb2
from swit_saga_server.core import limits
from swit_saga_server.core.dataflow import current_data, input_of, result_data
from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import CompensationState, Saga, StepState
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import Effect, SagaState, StepStatus
from swit_saga_server.core.units import Instant
from swit_saga_server.service import Limits
from swit_saga_server.wire import basic, fitting, thinning
from swit_saga_server.wire import saga as wire
from swit_saga_server.wire.thinning import Depth

AT = Instant(1_700_000_000_000_000)
LARGEST = Limits().payload
ROOM = Limits().message
# A small world with the proportions of the real one, where each example is quick.
SMALL_ROOM, SMALL_LARGEST = 36_000, 10_000


def payload(size: int, kind: str = "text") -> Payload:
    data: str | bytes = bytes(size) if kind == "binary" else "x" * size if kind == "text" else "é" * (size // 2)
    return Payload("application/octet-stream" if kind == "binary" else "application/json", data)


def error(size: int, *, causes: int = 0) -> SagaError:
    """Message, stack trace and details of ``size`` bytes each, and as many causes of the same."""
    behind = error(size, causes=causes - 1) if causes else None
    return SagaError(
        code="CODE", message="m" * size, type=ErrorType.SERVICE, timestamp=AT, stack_trace="s" * size,
        details={"d": "d" * size} if size else {}, cause=behind,
    )  # fmt: skip


def world(
    outputs: list[Payload | None],
    initial: Payload | None,
    *,
    state: SagaState = SagaState.COMPLETED,
    errors: list[SagaError | None] | None = None,
    undoing: list[SagaError | None] | None = None,
    own: SagaError | None = None,
    metadata: str = "",
    saga_id: str = "saga",
) -> tuple[Saga, Definition]:
    """A saga and its definition."""
    count = len(outputs)
    errors, undoing = errors or [None] * count, undoing or [None] * count
    names = [f"step-{i}" for i in range(count)]
    described = [StepDefinition(id=n, participant="p", metadata={"m": metadata} if metadata else {}) for n in names]
    steps = tuple(
        StepState(
            id=name, index=i, output=outputs[i], error=errors[i], created_at=AT, status=StepStatus.COMPLETED,
            effect=Effect.DONE, compensation=CompensationState(error=undoing[i]) if undoing[i] else None,
        )
        for i, name in enumerate(names)
    )  # fmt: skip
    saga = Saga(
        id=saga_id, definition_id="d", steps=steps, created_at=AT, updated_at=AT, state=state, initial_data=initial,
        error=own, metadata={"m": metadata} if metadata else {},
    )  # fmt: skip
    return saga, Definition(id="d", steps=tuple(described))


def check_payload(value: Payload | None, shown: Message, name: str) -> bool:
    """It is there in full, or marked with its size, or there is none; returns whether it is there."""
    if value is None:
        assert not shown.HasField(name)
        return True
    found: payload_pb2.Payload = getattr(shown, name)
    if found.omitted_bytes:
        assert found.omitted_bytes == value.size
        assert found.content_type == value.content_type
        assert found.WhichOneof("data") is None
        return False
    assert found == basic.payload(value)
    return True


def check_error(value: SagaError | None, found: error_pb2.SagaError) -> None:
    """Every byte is there or counted."""
    if value is None:
        assert found == error_pb2.SagaError()
        return
    behind: SagaError | None = value
    there: error_pb2.SagaError | None = found
    total = left = 0
    while behind is not None:
        total += (
            len(behind.message) + len(behind.stack_trace) + (len(str(dict(behind.details))) if behind.details else 0)
        )
        behind = behind.cause
    while there is not None:
        left += len(there.message.removesuffix("…")) + len(there.stack_trace)
        left += len(str(there.details["d"])) + len("{'d': ''}") if there.HasField("details") else 0
        there = there.cause if there.HasField("cause") else None
    assert (found.code, found.retryable, found.timestamp) == (value.code, value.retryable, basic.timestamp(AT))
    marks = len("…".encode()) * (value.message[:200] != value.message and found.message.endswith("…"))
    assert found.omitted_bytes == max(total - left - marks, 0), "what was cut is counted"


def check(saga: Saga, definition: Definition, room: int) -> saga_pb2.Saga:
    """The view fits, says what it left out, and what it left out can be read; returns it."""
    made = fitting.full(saga, definition, room)
    assert made.ByteSize() <= room
    whole = wire.saga(saga, definition)
    if whole.ByteSize() <= room:
        assert made == whole
        return made
    check_payload(saga.initial_data, made, "initial_data")
    check_payload(result_data(saga), made, "result_data")
    check_payload(current_data(saga), made, "current_data")
    check_error(saga.error, made.error)
    assert [step.id for step in made.step_states] == [step.id for step in saga.steps]
    for step, shown in zip(saga.steps, made.step_states, strict=True):
        if shown.HasField("error"):
            check_error(step.error, shown.error)
        if step.compensation is not None and shown.compensation_state.HasField("error"):
            check_error(step.compensation.error, shown.compensation_state.error)
        inside = [check_payload(input_of(saga, step.index), shown, "input_data")]
        inside.append(check_payload(step.output, shown, "output_data"))
        if not all(inside):
            alone = fitting.full(saga, definition, room, {step.id})
            assert alone.ByteSize() <= room
            (only,) = alone.step_states
            assert check_payload(input_of(saga, step.index), only, "input_data")
            assert check_payload(step.output, only, "output_data")
    return made


sizes = st.integers(0, 40) | st.integers(0, SMALL_LARGEST)
payloads = st.none() | st.builds(payload, sizes, st.sampled_from(["text", "binary", "wide"]))
small_errors = st.none() | st.builds(error, st.integers(0, 300), causes=st.integers(0, 3))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Saga, Definition]:
    count = draw(st.integers(1, 12))

    def many(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.lists(values, min_size=count, max_size=count))

    return world(
        many(payloads),
        draw(payloads),
        state=draw(st.sampled_from(SagaState)),
        errors=many(small_errors),
        undoing=many(small_errors),
        own=draw(small_errors),
        metadata="m" * draw(st.integers(0, 600)),
    )


@given(worlds())
@settings(max_examples=150, deadline=None)
def test_any_saga_fits(made: tuple[Saga, Definition]) -> None:
    check(*made, SMALL_ROOM)


@given(worlds(), st.integers(6_000, 40_000))
@settings(max_examples=150, deadline=None)
def test_any_saga_fits_any_room(made: tuple[Saga, Definition], room: int) -> None:
    """Even a room that no payload would fit in."""
    saga, definition = made
    shown = fitting.full(saga, definition, room)
    assert shown.ByteSize() <= room
    assert fitting.basic_view(saga, room).ByteSize() <= room
    assert (shown == wire.saga(saga, definition)) == (wire.saga(saga, definition).ByteSize() <= room)


# ---- at the bounds ---------------------------------------------------------------------------------------------------

FULL_ERROR = SagaError(
    code="C" * limits.MAX_ERROR_CODE_LENGTH,
    message="é" * (limits.MAX_TEXT_BYTES // 2),
    type=ErrorType.SERVICE,
    timestamp=AT,
    stack_trace="s" * limits.MAX_STACK_TRACE_BYTES,
    details={"d": [1] * (limits.MAX_DETAILS_BYTES // 3)},  # 3 bytes of JSON, 11 of protobuf.
)
WORST_ERROR = replace(FULL_ERROR, stack_trace="", details={})
for _ in range(limits.MAX_CAUSES):
    WORST_ERROR = replace(FULL_ERROR, cause=replace(WORST_ERROR, stack_trace="", details={}))
TREE: dict[str, Any] = {"t": [1] * (limits.MAX_TREE_BYTES // 3)}
WIDE_ID = "\U0001f600" * (limits.MAX_ID_LENGTH - 5)


def extreme(
    count: int, size: int, *, errors: SagaError | None = None, own: SagaError | None = None, wide: bool = False
) -> tuple[Saga, Definition]:
    """As large as it can be: every output of ``size`` bytes; sizes are all that counts, so that they are one object."""
    one = payload(size) if size else None
    saga, definition = world(
        [one] * count,
        one,
        state=SagaState.FAILED if own else SagaState.COMPLETED,
        errors=[errors] * count,
        undoing=[errors] * count,
        own=own,
        saga_id=WIDE_ID if wide else "saga",
    )
    if not wide:
        return saga, definition
    described = tuple(
        replace(step, id=f"{WIDE_ID}{i:04}", participant="p", metadata=TREE if i == 0 else {})
        for i, step in enumerate(definition.steps)
    )
    steps = tuple(replace(step, id=d.id) for step, d in zip(saga.steps, described, strict=True))
    return replace(saga, steps=steps, metadata=TREE), replace(definition, steps=described)


@pytest.mark.parametrize(
    ("made", "largest"),
    [
        pytest.param(extreme(3, LARGEST), LARGEST, id="three of the largest"),
        pytest.param(extreme(limits.MAX_STEPS, LARGEST), LARGEST, id="a thousand of the largest"),
        pytest.param(extreme(3, limits.MAX_PAYLOAD_BYTES), limits.MAX_PAYLOAD_BYTES, id="three of 8 MiB"),
        pytest.param(extreme(1, LARGEST, errors=WORST_ERROR, own=WORST_ERROR), LARGEST, id="one with errors"),
        pytest.param(extreme(limits.MAX_STEPS, 0, errors=WORST_ERROR, own=WORST_ERROR), LARGEST, id="errors"),
        pytest.param(extreme(limits.MAX_STEPS, 200, errors=error(200), wide=True), LARGEST, id="names"),
        pytest.param(
            extreme(limits.MAX_STEPS, LARGEST, errors=WORST_ERROR, own=WORST_ERROR, wide=True), LARGEST, id="everything"
        ),
    ],
)  # fmt: skip
def test_the_largest_sagas_fit(made: tuple[Saga, Definition], largest: int) -> None:
    saga, definition = made
    room = Limits(payload=largest).message
    shown = fitting.full(saga, definition, room)
    assert shown.ByteSize() <= room
    assert [step.id for step in shown.step_states] == [step.id for step in saga.steps]
    assert fitting.basic_view(saga, room).ByteSize() <= room
    assert wire.result(saga).ByteSize() <= room
    for step in (saga.steps[0], saga.steps[-1]):
        alone = fitting.full(saga, definition, room, {step.id})
        assert alone.ByteSize() <= room
        (only,) = alone.step_states
        assert check_payload(input_of(saga, step.index), only, "input_data")
        assert check_payload(step.output, only, "output_data")


def test_what_was_written_before_there_were_bounds_fits() -> None:
    """Messages and reasons of any length."""
    long = error(2 * ROOM)
    saga, definition = world([payload(10)] * 3, None, errors=[long] * 3, own=long, state=SagaState.FAILED)
    saga = replace(saga, stop_reason="r" * ROOM, description="d" * ROOM)
    for made in (fitting.full(saga, definition, ROOM), fitting.basic_view(saga, ROOM)):
        assert made.ByteSize() <= ROOM
        assert made.error.message.startswith("m")
        assert made.error.omitted_bytes > 5 * ROOM


def test_one_step_is_given_whatever_its_size() -> None:
    """It came in under a larger limit: no other view could show it."""
    saga, definition = world([payload(3 * LARGEST)] * 3, payload(3 * LARGEST))
    assert fitting.full(saga, definition, ROOM).ByteSize() <= ROOM
    (only,) = fitting.full(saga, definition, ROOM, {"step-1"}).step_states
    assert (len(only.input_data.text), len(only.output_data.text)) == (3 * LARGEST, 3 * LARGEST)


# ---- in which order --------------------------------------------------------------------------------------------------


def shown_payloads(made: saga_pb2.Saga) -> set[str]:
    found = {n for n in ("initial_data", "current_data", "result_data") if made.HasField(n) and getattr(made, n).text}
    for step in made.step_states:
        found |= {f"{step.id}.{n}" for n in ("input_data", "output_data") if getattr(step, n).text}
    return found


def test_what_is_there_twice_goes_first_then_the_largest_output() -> None:
    saga, definition = world([payload(n) for n in (5_000, 9_000, 1_000, 3_000)], payload(2_000))
    once = ["initial_data", "result_data", "step-2.output_data", "step-0.output_data", "step-1.output_data"]
    twice = ["step-3.input_data", "step-0.input_data", "current_data", "step-3.output_data", "step-1.input_data"]
    gone, whole = 0, wire.saga(saga, definition).ByteSize()
    assert shown_payloads(fitting.full(saga, definition, whole)) == {*once, *twice, "step-2.input_data"}
    assert shown_payloads(fitting.full(saga, definition, whole - 1)) == {*once, *twice}, "the largest of all"
    for room in range(whole, 6_000, -200):
        found = shown_payloads(fitting.full(saga, definition, room))
        kept = [name for name in once if name in found]
        assert kept == once[: len(kept)]
        gone = max(gone, len(once) - len(kept))
    assert gone == 3, "the initial data and the result stay"


def test_errors_give_way_piece_by_piece_and_the_sagas_own_last() -> None:
    large = error(1_000, causes=1)
    saga, definition = world([None] * 4, payload(1_000), errors=[large] * 4, own=large, state=SagaState.FAILED)
    pieces = ("stack_trace", "details", "cause", "message")
    depths: list[str] = []
    for room in range(34_000, 2_000, -100):
        made = fitting.full(saga, definition, room)
        assert made.initial_data.text or "own message" in depths
        step, own = made.step_states[0].error, made.error
        for name, seen in (("step", step), ("own", own)):
            there = {field.name for field, _ in seen.ListFields()} - ({"message"} if "…" in seen.message else set())
            depths += [f"{name} {piece}" for piece in pieces if piece not in there and f"{name} {piece}" not in depths]
    assert depths == [f"{name} {piece}" for name in ("step", "own") for piece in pieces]


def test_of_some_steps_only_theirs_are_given() -> None:
    saga, definition = world([payload(100)] * 4, payload(100))
    made = fitting.full(saga, definition, ROOM, {"step-1", "step-2"})
    assert [step.id for step in made.step_states] == ["step-1", "step-2"]
    assert shown_payloads(made) == {f"step-{i}.{name}" for i in (1, 2) for name in ("input_data", "output_data")}
    assert made.initial_data.omitted_bytes == made.result_data.omitted_bytes == 100, "never as if there were none"


@pytest.mark.parametrize("depth", Depth)
def test_what_is_not_on_record_counts_as_well(depth: Depth) -> None:
    value = replace(error(10), details={"omitted_bytes": 5_000})
    assert thinning.error(value, depth).omitted_bytes >= 5_000
    outer = replace(error(10), cause=value)
    assert depth is Depth.WHOLE or thinning.error(outer, depth).omitted_bytes >= 5_000


@pytest.mark.parametrize("of", [error(300, causes=2), WORST_ERROR, error(ROOM)])
def test_an_event_fits(of: SagaError) -> None:
    saga, _ = world([None], None)
    event = SagaEvent(sequence=1, type="saga.step.failed", at=AT, error=of)
    made = fitting.event(event, saga, ROOM)
    assert made.ByteSize() <= ROOM
    assert (made.error == basic.error(of)) == (not made.error.omitted_bytes)
    small = fitting.event(event, saga, 2_000)
    assert small.ByteSize() <= 2_000
    assert small.error.omitted_bytes > 0
