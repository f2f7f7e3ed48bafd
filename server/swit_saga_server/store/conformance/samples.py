"""Sagas and writes for the suite, with every field that a store must keep apart set to something."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.model import Call, CompensationState, Saga, StepState, TraceContext, same_origin
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState, StepStatus
from swit_saga_server.core.units import MICROSECOND, NEVER, Instant, Span
from swit_saga_server.store.contract import InboxAnswer, Lease, StateStorage, Verdict, Write, partition_of

T0 = Instant(1_790_000_000_000_000)
FAR = Instant(2**53)
"""After everything."""
_numbers = itertools.count(1)


def moment(after: int) -> Instant:
    """So many microseconds after T0."""
    return T0 + Span(after)


def fresh(prefix: str = "c") -> str:
    """A string not given before in this process."""
    return f"{prefix}{next(_numbers):08d}"


def ids_in(partition: int, partitions: int, prefix: str = "saga") -> Iterator[str]:
    """Fresh ids, growing, that fall in a partition."""
    while True:
        saga_id = fresh(prefix)
        if partition_of(saga_id, partitions) == partition:
            yield saga_id


def step(index: int, **fields: Any) -> StepState:
    """A step that says its index in its id and output."""
    output = Payload("application/json", f'{{"step": {index}}}')
    return replace(StepState(id=f"step-{index}", index=index, max_attempts=5, created_at=T0, output=output), **fields)


def start(
    saga_id: str = "", *, at: Instant = T0, steps: int = 2, events: int = 1, commit_id: str = "", **fields: Any
) -> Write:
    """A write that creates a pending saga, due at once."""
    saga = Saga(
        id=saga_id or fresh("saga"),
        version=1,
        definition_id="order",
        definition_version=3,
        steps=tuple(step(i) for i in range(steps)),
        created_at=at,
        updated_at=at,
        initial_data=Payload("application/x-protobuf", b"\x00\xff"),
        last_sequence=events,
        trace=TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331"),
    )
    return _write(replace(saga, **fields), 0, tuple(range(steps)), events, commit_id, due_at=at, in_flight=False)


def change(
    before: Saga,
    *,
    events: int = 1,
    steps: Mapping[int, StepState] | None = None,
    due_at: Instant = T0 + MICROSECOND,
    in_flight: bool = True,
    commit_id: str = "",
    answers: tuple[InboxAnswer, ...] = (),
    transitions: int = 1,
    **fields: Any,
) -> Write:
    """A write that builds on ``before``: running, its second step changed, unless said otherwise."""
    changed = {1: step(1, status=StepStatus.RUNNING, call=Call(attempts=before.version))} if steps is None else steps
    after = replace(
        before,
        version=before.version + transitions,
        state=SagaState.RUNNING,
        updated_at=before.updated_at + MICROSECOND,
        steps=tuple(changed.get(i, s) for i, s in enumerate(before.steps)),
        last_sequence=before.last_sequence + events,
    )
    after = replace(after, **fields)
    if after.state.is_terminal:
        due_at, in_flight = NEVER, False
    write = _write(after, before.version, tuple(changed), events, commit_id, due_at, in_flight, answers)
    return replace(write, changed_origin=not same_origin(before, after))


def finish(
    before: Saga, state: SagaState = SagaState.COMPLETED, *, at: Instant = T0 + 9 * MICROSECOND, **fields: Any
) -> Write:
    """A write that ends a saga."""
    return change(before, state=state, completed_at=at, **fields)


def answers_to(*entry_ids: str) -> tuple[InboxAnswer, ...]:
    """Each entry is answered with its own id."""
    return tuple(InboxAnswer(entry_id=e, answer=e.encode()) for e in entry_ids)


def event(sequence: int, saga_id: str) -> SagaEvent:
    """An event that says where it belongs."""
    error = SagaError(code="E", message=saga_id, type=ErrorType.NETWORK, cause=None)
    return SagaEvent(
        sequence=sequence,
        type=EventType.STATE_CHANGED if sequence % 2 else "order.shipped",
        at=moment(sequence),
        data=Payload("text/plain", f"{saga_id}/{sequence}"),
        error=error,
        metadata={"n": sequence},
    )


def undone_step(index: int) -> StepState:
    """A step with every part that a step can have."""
    return step(
        index,
        status=StepStatus.COMPENSATED,
        effect=Effect.DONE,
        call=Call(
            generation=1, attempts=2, sends=3, doubt=True, not_after=moment(5), backoff=Span(7), started_at=moment(1)
        ),
        error=SagaError(
            code="OUT",
            message="m",
            type=ErrorType.BUSINESS,
            details={"left": 0, "of": ["a", None, 1.5]},
            cause=SagaError(code="IN", message="n", type=ErrorType.DATA),
        ),
        compensation=CompensationState(
            status=CompensationStatus.COMPLETED, call=Call(attempts=1), completed_at=moment(8)
        ),
    )


def definition(definition_id: str = "order", **fields: Any) -> Definition:
    """A definition of two steps."""
    steps = (
        StepDefinition(id="reserve", participant="inventory", metadata={"shelf": 3}),
        StepDefinition(id="pay", participant="payment", compensation=CompensationDefinition(disabled=True)),
    )
    return replace(Definition(id=definition_id, steps=steps), **fields)


async def applied(store: StateStorage, leases: Mapping[int, Lease], *writes: Write) -> list[Saga]:
    """Commit writes that must be applied, and give the sagas after."""
    assert await store.commit(writes, leases) == [Verdict.APPLIED] * len(writes)
    return [write.saga for write in writes]


def _write(
    saga: Saga,
    base_version: int,
    changed_steps: tuple[int, ...],
    events: int,
    commit_id: str,
    due_at: Instant,
    in_flight: bool,
    answers: tuple[InboxAnswer, ...] = (),
) -> Write:
    first = saga.last_sequence - events + 1
    return Write(
        saga=saga,
        base_version=base_version,
        commit_id=commit_id or fresh("commit"),
        changed_steps=changed_steps,
        events=tuple(event(first + k, saga.id) for k in range(events)),
        due_at=due_at,
        in_flight=in_flight,
        answers=answers,
    )
