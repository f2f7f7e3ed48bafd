"""What the checker knows of one saga, and of what should be: the ground its rules stand on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Call, Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An invariant (docs/invariants.md) that did not hold. ``at``: the world's time when it showed."""

    invariant: int
    saga_id: str
    at: Instant
    what: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.saga_id}: {self.what}"


def text_of_initial_data(saga: Saga) -> str:
    """The simulated clients write the variant of their request into the initial data."""
    return str(saga.initial_data.data) if saga.initial_data is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the test knows beforehand.

    Attributes:
        definitions: By saga id.
        partitions: Number of partitions of the store.
        barriers: Participants that remember what they undid.
        variant_of: Which variant of the start request made this saga.
    """

    definitions: Mapping[str, Definition]
    partitions: int
    barriers: frozenset[str] = frozenset()
    variant_of: Callable[[Saga], str] = text_of_initial_data


class _Saga(Protocol):
    @property
    def saga_id(self) -> str: ...
    @property
    def definition(self) -> Definition: ...


class _Participant(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def barrier(self) -> bool: ...


class _Plan(Protocol):
    @property
    def partitions(self) -> int: ...
    @property
    def sagas(self) -> Sequence[_Saga]: ...
    @property
    def participants(self) -> Sequence[_Participant]: ...


def expected_of(plan: _Plan) -> Expected:
    """What a plan lets the test know."""
    return Expected(
        definitions={s.saga_id: s.definition for s in plan.sagas},
        partitions=plan.partitions,
        barriers=frozenset(p.name for p in plan.participants if p.barrier),
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """One saga as the store holds it, by the writes it applied. ``types``: of its events, in order."""

    saga: Saga
    types: tuple[str, ...]
    commit_id: str
    due_at: Instant
    in_flight: bool


@dataclass(slots=True, eq=False)
class Case:
    """All that was seen of one saga so far.

    Attributes:
        definition: As the test wrote it; None for a saga it does not know.
        stored: What the store holds now; None if it holds nothing.
        trail: What it held, from which time on; a rewind goes back along it.
        ever: Every version that was durable once, rewound or not.
        types: Of events, by sequence, that were durable once.
        intents: Calls intended by an applied write: (kind, step, attempt, resends) -> not-after.
        said: What participants said: (kind, step, attempt, answer).
        answers: The same without the attempt.
        sends: Executes and Compensates that arrived, and which copies of each.
        doubled: Steps of which a message arrived twice (no RPC does that; see ``participants``).
        books: Net effect by step.
        undone: Steps whose Compensate a participant confirmed.
        touched: How many rewinds took something of this saga away.
        acknowledged: A client knows that it was started.
        creators: Answers that said *created*, in the history that stands.
        cancelled: A client knows that it was stopped.
        outcome: What a client that waited was told it to be, in the history that stands; None if nobody was.
        posted: Inbox entries not yet consumed.
    """

    saga_id: str
    definition: Definition | None
    partition: int
    stored: Stored | None
    trail: list[tuple[Instant, Stored | None]]
    ever: dict[int, list[Saga]]
    types: dict[int, set[str]]
    intents: dict[tuple[Kind, int, int, int], Instant]
    said: set[tuple[Kind, int, int, str]]
    answers: set[tuple[Kind, int, str]]
    sends: dict[tuple[Kind, int, int, int], set[int]]
    doubled: set[int]
    books: dict[int, int]
    undone: set[int]
    touched: int = 0
    acknowledged: bool = False
    creators: int = 0
    cancelled: bool = False
    outcome: SagaState | None = None
    posted: set[str] | None = None

    @staticmethod
    def of(saga_id: str, definition: Definition | None, partition: int) -> "Case":
        """Nothing seen yet."""
        return Case(saga_id, definition, partition, None, [], {}, {}, {}, set(), set(), {}, set(), {}, set())

    def was_durable(self, saga: Saga) -> bool:
        """Whether the store once held exactly this."""
        return any(known is saga or known == saga for known in self.ever.get(saga.version, ()))

    def every(self) -> Iterable[Saga]:
        """All that was durable once."""
        for sagas in self.ever.values():
            yield from sagas

    def keep(self, at: Instant, stored: Stored) -> None:
        """An applied write."""
        self.stored = stored
        self.trail.append((at, stored))
        saga = stored.saga
        self.ever.setdefault(saga.version, []).append(saga)
        for index, step in enumerate(saga.steps):
            if step.call.in_flight:
                self._intend(Kind.EXECUTE, index, step.call)
            if step.compensation is not None and step.compensation.call.in_flight:
                self._intend(Kind.COMPENSATE, index, step.compensation.call)

    def _intend(self, kind: Kind, index: int, call: Call) -> None:
        key = kind, index, call.attempts, call.resends
        if call.not_after > self.intents.get(key, -1):
            self.intents[key] = call.not_after

    def rewind(self, at: Instant, to: Instant) -> None:
        """The store holds again what it held at ``to``.

        A write at that very microsecond counts as kept, though the store may have judged it after its snapshot.
        """
        then = next((stored for when, stored in reversed(self.trail) if when <= to), None)
        if then is self.stored:
            return
        self.touched += 1
        self.stored = then
        self.trail.append((at, then))
        if then is None:
            self.acknowledged = False
            self.creators = 0
        if then is None or then.saga.stop_cause is None:
            self.cancelled = False
        if then is None or then.saga.state is not self.outcome:
            self.outcome = None
