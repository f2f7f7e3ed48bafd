"""Sagas and events within one message, whatever is in them. What does not fit is left out with a mark and its size.

Most fit as they are. Of a full view that does not, this is given as far as there is room, in this order:

1. the saga without what follows: of each step at least id, index, state, effect and attempts, then the rest of it but
   its metadata, and of each error its code and the beginning of its message;
2. the result and the initial data;
3. the saga's own error, whole if it can be, else without its stack trace, its details, its causes; the steps' metadata;
4. the errors of steps and compensations, all of them to the same depth;
5. the other outputs, the smallest first;
6. payloads that are there twice, the smallest first: the current data, the inputs (the output before, or the initial
   data), and the last output of a completed saga (its result).

Shown for some of its steps, a saga gives their payloads before all errors, and no others. Those of a single step are
always given: should they be larger than a message may be, they came in under a larger limit.
"""

from collections.abc import Collection, Iterator, Sequence

from swit_saga.v1 import error_pb2, event_pb2, payload_pb2
from swit_saga.v1 import saga_pb2 as pb
from swit_saga_server.core.dataflow import current_data, input_of, result_data
from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.limits import MAX_TEXT_BYTES
from swit_saga_server.core.model import Saga, StepState
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import record
from swit_saga_server.core.states import SagaState
from swit_saga_server.wire import basic, thinning
from swit_saga_server.wire import saga as wire
from swit_saga_server.wire.thinning import NESTED, SHORT, Depth

FEW_ERRORS = 64
"""More than as many are measured while they are written: each may have some hundred kilobytes."""
MARKED_FROM = 16
"""Bytes of a payload that is no larger than the mark in its place."""


def full(s: Saga, definition: Definition, room: int, only: Collection[str] = ()) -> pb.Saga:
    """A saga with its payloads and steps.

    Args:
        s: The applied state.
        definition: The version it is pinned to.
        room: Bytes that the message may have.
        only: Ids of the steps to show; empty for all.
    """
    if only:
        steps = [step for step in s.steps if step.id in only]
        return _Fitting(s, definition, room, steps, are_chosen=True).fit()
    if _may_fit(s, room):
        made = wire.saga(s, definition)
        if made.ByteSize() <= room:
            return made
    return _Fitting(s, definition, room, s.steps, are_chosen=False).fit()


def basic_view(s: Saga, room: int) -> pb.Saga:
    """A saga without its payloads and steps."""
    made = wire.saga(s, None)
    if (s.error is not None or s.metadata) and made.ByteSize() > room:
        _thin_head(made, s, room)
    return made


def event(e: SagaEvent, s: Saga, room: int) -> event_pb2.SagaEvent:
    """An event of a saga. Its payload is always given, of its error what fits."""
    made = wire.event(e, s)
    if e.error is None:
        return made
    for depth in Depth:
        if made.ByteSize() <= room:
            break
        made.error.CopyFrom(thinning.error(e.error, depth))
    return made


def _may_fit(s: Saga, room: int) -> bool:
    """Whether it is worth while to write all of it; cheap, for almost all sagas are small."""
    size = 0
    errors = 0
    given = s.initial_data
    for step in s.steps:
        size += given.size if given is not None else 0
        given = step.output
        size += given.size if given is not None else 0
        errors += step.error is not None
        errors += step.compensation is not None and step.compensation.error is not None
    for value in (s.initial_data, current_data(s), result_data(s)):
        size += value.size if value is not None else 0
    return size <= room and errors <= FEW_ERRORS


@record(frozen=True, slots=True)
class _Place:
    """A payload and where it goes: there its mark stands so far."""

    value: Payload
    field: payload_pb2.Payload

    @property
    def size(self) -> int:
        """What the message grows by, at most."""
        return self.value.size + NESTED

    def give(self) -> None:
        """Fill it in."""
        written = basic.payload(self.value)
        assert written is not None
        self.field.CopyFrom(written)


class _Fitting:
    """One saga: first marks in place of its payloads, and thin errors; then what there is room for is filled in."""

    def __init__(
        self, s: Saga, definition: Definition, room: int, steps: Sequence[StepState], *, are_chosen: bool
    ) -> None:
        self._s = s
        self._steps = steps
        self._room = room
        self._are_chosen = are_chosen
        self._depth = Depth.SHORT_MESSAGE
        self._made = wire.saga(s, definition, steps, payload=_mark, error=self._thin)
        self._left = 0

    def fit(self) -> pb.Saga:
        """What fits of it."""
        before, between, twice = self._places()
        self._make_room(sum(place.size for place in before))
        self._give(before, always=self._are_chosen and len(self._steps) == 1)
        self._deepen()
        self._give([*between, *twice])
        return self._made

    def _thin(self, error: SagaError | None) -> error_pb2.SagaError | None:
        return None if error is None else thinning.error(error, self._depth)

    def _measure(self) -> int:
        self._left = self._room - self._made.ByteSize()
        return self._left

    def _give(self, places: Sequence[_Place], *, always: bool = False) -> None:
        for place in places:
            if always or place.size <= self._left:
                place.give()
                self._left -= place.size

    def _places(self) -> tuple[list[_Place], list[_Place], list[_Place]]:
        """What is to be given before the errors, what after them, and last what is there twice."""
        s, made = self._s, self._made
        of_steps = list(zip(self._steps, made.step_states, strict=True))
        outputs = [(step, _place(step.output, shown.output_data)) for step, shown in of_steps]
        inputs = [(step, _place(input_of(s, step.index), shown.input_data)) for step, shown in of_steps]
        if self._are_chosen:
            chosen = {step.index for step in self._steps}
            twice = [place for step, place in inputs if step.index - 1 in chosen]
            once = [place for step, place in inputs if step.index - 1 not in chosen]
            return _by_size([*once, *(place for _, place in outputs)]), [], _by_size(twice)
        before = (_place(s.initial_data, made.initial_data), _place(result_data(s), made.result_data))
        result = len(s.steps) - 1 if s.state is SagaState.COMPLETED else -1
        between = [place for step, place in outputs if step.index != result]
        twice = [place for step, place in outputs if step.index == result]
        twice += [place for _, place in inputs]
        twice.append(_place(current_data(s), made.current_data))
        return [place for place in before if place is not None], _by_size(between), _by_size(twice)

    def _make_room(self, needed: int) -> None:
        """Leave out what goes before the payloads that are wanted most; and more, if it does not fit without them."""
        made, s = self._made, self._s
        own = thinning.error(s.error, Depth.WHOLE).ByteSize() if s.error is not None else 0
        if self._measure() < needed + own:
            for step in made.step_states:
                step.ClearField("metadata")
        if self._measure() < 0:
            self._depth = Depth.NO_MESSAGE
            for state, step in zip(self._steps, made.step_states, strict=True):
                _say_once(step)
                for value, shown in _errors(state, step):
                    shown.CopyFrom(thinning.error(value, self._depth))
            _thin_head(made, s, self._room)
        if self._measure() < 0:
            for step in made.step_states:
                _strip(step)
            self._measure()

    def _deepen(self) -> None:
        """Give more of the errors: of the saga's own, then of the others."""
        made, s = self._made, self._s
        if s.error is not None and self._depth is Depth.SHORT_MESSAGE:
            for one in thinning.deepest([s.error], self._left, [made.error], self._depth):
                made.error.CopyFrom(one)
            self._measure()
        errors = [
            pair for state, step in zip(self._steps, made.step_states, strict=True) for pair in _errors(state, step)
        ]
        values, shown = [value for value, _ in errors], [shown for _, shown in errors]
        deeper = thinning.deepest(values, self._left, shown, self._depth)
        for so_far, one in zip(shown, deeper, strict=False):
            so_far.CopyFrom(one)
        if deeper:
            self._measure()


def _mark(value: Payload | None) -> payload_pb2.Payload | None:
    if value is None or value.size < MARKED_FROM:
        return basic.payload(value)
    return payload_pb2.Payload(content_type=value.content_type, omitted_bytes=value.size)


def _place(value: Payload | None, field: payload_pb2.Payload) -> _Place | None:
    return _Place(value, field) if value is not None and value.size >= MARKED_FROM else None


def _by_size(places: Sequence[_Place | None]) -> list[_Place]:
    return sorted((place for place in places if place is not None), key=lambda place: place.size)


def _errors(state: StepState, shown: pb.StepState) -> Iterator[tuple[SagaError, error_pb2.SagaError]]:
    """A step's errors and where they stand; none that was stripped."""
    if state.error is not None and shown.HasField("error"):
        yield state.error, shown.error
    undoing = state.compensation
    if undoing is not None and undoing.error is not None and shown.HasField("compensation_state"):
        yield undoing.error, shown.compensation_state.error


def _say_once(step: pb.StepState) -> None:
    step.ClearField("saga_id")
    step.ClearField("idempotency_key")
    if step.name == step.id:
        step.ClearField("name")
    if step.action == step.id:
        step.ClearField("action")
    if step.HasField("compensation_state"):
        step.compensation_state.ClearField("idempotency_key")


def _strip(step: pb.StepState) -> None:
    bones = pb.StepState(
        id=step.id, step_index=step.step_index, state=step.state, effect=step.effect, attempts=step.attempts
    )
    for name in ("input_data", "output_data"):
        if step.HasField(name):
            getattr(bones, name).omitted_bytes = getattr(step, name).omitted_bytes
    step.CopyFrom(bones)


def _thin_head(made: pb.Saga, s: Saga, room: int) -> None:
    if made.ByteSize() > room:
        # Of more than they may have now: written before there were bounds.
        made.stop_reason = _bounded(made.stop_reason)
        made.description = _bounded(made.description)
    if s.error is not None:
        for depth in Depth:
            if made.ByteSize() <= room:
                break
            made.error.CopyFrom(thinning.error(s.error, depth))
    if made.ByteSize() > room:
        made.ClearField("metadata")


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT_BYTES else f"{text[:SHORT]}…"
