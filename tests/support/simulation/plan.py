"""Everything about one run, drawn from its seed beforehand as plain data: shrinking takes parts away."""

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import MILLISECOND, SECOND, Span
from swit_saga_server.engine.options import CachePolicy
from tests.support.simulation.faults import PlannedFault, plan_faults
from tests.support.simulation.participants import MAX_SKEW, Doing, Script, Undoing
from tests.support.simulation.scene import Weather


class What(StrEnum):
    """What a client asks for."""

    START = "start"
    CANCEL = "cancel"
    GET = "get"
    WATCH = "watch"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a client does, with all its repeats.

    Attributes:
        number: Unique in the plan; stays when others are taken away.
        at: When, microseconds from the beginning.
        coordinator: The slot asked first.
        variant: Of a start: the same id with another variant is a conflict.
        tries: Calls at most while there is no certain answer; a watch is resumed as often.
        wander: Repeats go to the next coordinator, not to the same.
        states: Of a wait: until the saga is in one of these; empty for any outcome.
        patience: Of a wait: at most this long.
    """

    number: int
    at: Span
    what: What
    saga_id: str
    coordinator: int
    variant: str = ""
    tries: int = 1
    wander: bool = False
    states: tuple[SagaState, ...] = ()
    patience: Span = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCoordinator:
    """One slot for a coordinator; restarts fill it again.

    Attributes:
        keeps_name: A new life has the former's owner name.
        cache_size: Of its working set; 0 turns the cache off.
    """

    keeps_name: bool
    cache_size: int
    policy: CachePolicy
    lease_term: Span
    round_size: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSaga:
    """One saga id: what it runs, and what its participants make of each step."""

    saga_id: str
    definition: Definition
    scripts: tuple[Script, ...]


class Reached(StrEnum):
    """How coordinators reach a participant."""

    STREAM = "stream"
    CALLS = "calls"
    """They are told to call."""
    NO_STREAM = "no stream"
    """They ask for a stream, and it has none."""
    REPLACED = "replaced"
    """Half-way through the faults another version of it takes its place, which has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedParticipant:
    """One participant; see ``participants.Participant``.

    Attributes:
        reached: How.
        credits: Commands that it takes at a time by one stream.
    """

    name: str
    barrier: bool
    skew: Span
    reached: Reached = Reached.STREAM
    credits: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        calm_at: When the faults are over, microseconds from the beginning.
    """

    seed: int
    partitions: int
    coordinators: tuple[PlannedCoordinator, ...]
    participants: tuple[PlannedParticipant, ...]
    sagas: tuple[PlannedSaga, ...]
    actions: tuple[Action, ...]
    faults: tuple[PlannedFault, ...]
    weather: Weather
    calm_at: Span


_AWAITED: tuple[tuple[SagaState, ...], ...] = (
    (),
    (),
    (SagaState.RUNNING,),
    (SagaState.STEP_COMPLETED, SagaState.COMPENSATING),
    (SagaState.COMPLETED,),
    (SagaState.COMPENSATED, SagaState.FAILED, SagaState.CANCELLED),
)
"""What clients wait for; empty is any outcome."""


def plan(seed: int) -> Plan:
    """The run of a seed."""
    rng = random.Random(seed)
    calm_at = rng.randrange(4 * SECOND, 12 * SECOND)
    coordinators = tuple(_coordinator(rng) for _ in range(rng.choice((1, 2, 2, 3))))
    participants = tuple(
        _reached(
            seed, PlannedParticipant(name=f"p{i}", barrier=rng.random() < 0.6, skew=rng.randint(-MAX_SKEW, MAX_SKEW))
        )
        for i in range(2)
    )
    sagas = tuple(_saga(rng, f"s{i}", participants) for i in range(rng.randint(2, 6)))
    rough = rng.random()
    partitions = rng.randint(1, 4)
    actions = tuple(_actions(rng, sagas, len(coordinators), calm_at))
    return Plan(
        seed=seed,
        partitions=partitions,
        coordinators=coordinators,
        participants=participants,
        sagas=sagas,
        actions=(*actions, *_waits(random.Random(f"{seed}/waits"), actions, len(coordinators))),
        faults=tuple(plan_faults(rng, len(coordinators), calm_at)),
        weather=Weather(
            store=rough * rng.choice((0.0, 0.01, 0.04)),
            message=rough * rng.choice((0.0, 0.05, 0.15)),
            client=rough * rng.choice((0.0, 0.1, 0.3)),
            hint=rng.choice((0.0, 0.3, 1.0)),
        ),
        calm_at=calm_at,
    )


def _reached(seed: int, participant: PlannedParticipant) -> PlannedParticipant:
    """By draws of their own, so that they change nothing else of a plan."""
    rng = random.Random(f"{seed}/reached/{participant.name}")
    reached = rng.choices(tuple(Reached), weights=(45, 35, 10, 10))[0]
    return replace(participant, reached=reached, credits=rng.choice((1, 2, 256, 256)))


def _coordinator(rng: random.Random) -> PlannedCoordinator:
    return PlannedCoordinator(
        keeps_name=rng.random() < 0.3,
        cache_size=rng.choice((0, 1, 2, 1_000, 1_000)),
        policy=rng.choice(tuple(CachePolicy)),
        lease_term=rng.choice((1, 2, 3)) * SECOND,
        round_size=rng.choice((1, 2, 256)),
        rounds=rng.choice((1, 1, 3)),
    )


def _saga(rng: random.Random, saga_id: str, participants: tuple[PlannedParticipant, ...]) -> PlannedSaga:
    steps, scripts = [], []
    for i in range(rng.randint(1, 4)):
        disabled = rng.random() < 0.1
        steps.append(
            StepDefinition(
                id=f"t{i}",
                participant=rng.choice(participants).name,
                timeout=rng.choice((300, 800, 1_500)) * MILLISECOND,
                delay=rng.choice((0, 0, 0, 400 * MILLISECOND)),
                total_timeout=rng.choice((None, None, None, 2 * SECOND)),
                compensation=CompensationDefinition(disabled=disabled),
            )
        )
        scripts.append(_script(rng))
    definition = Definition(
        id=f"d-{saga_id}",
        steps=tuple(steps),
        timeout=rng.choice((2, 6, 20, 20)) * SECOND,
        retry_policy=_retry(rng, rng.randint(1, 4)),
        compensation_retry_policy=_retry(rng, rng.randint(3, 6)),
    )
    return PlannedSaga(saga_id=saga_id, definition=definition, scripts=tuple(scripts))


def _retry(rng: random.Random, attempts: int) -> RetryPolicy:
    return RetryPolicy(
        backoff=rng.choice((Backoff.FIXED, Backoff.LINEAR, Backoff.EXPONENTIAL)),
        initial_delay=rng.choice((10, 100, 300)) * MILLISECOND,
        max_delay=SECOND,
        max_attempts=attempts,
        jitter=rng.choice(tuple(Jitter)),
    )


def _script(rng: random.Random) -> Script:
    doing = rng.choices(tuple(Doing), weights=(70, 8, 6, 9, 7))[0]
    undoing = rng.choices(tuple(Undoing), weights=(85, 4, 11))[0]
    return Script(
        execute=doing,
        times=rng.randint(1, 3),
        with_effect=rng.random() < 0.5,
        compensate=undoing,
        undo_times=rng.randint(1, 4),
        work=rng.choice((0, 20, 20, 500)) * MILLISECOND,
    )


def _actions(rng: random.Random, sagas: tuple[PlannedSaga, ...], slots: int, calm_at: Span) -> list[Action]:
    actions: list[Action] = []

    def add(at: Span, what: What, saga_id: str, tries: int, variant: str = "") -> None:
        actions.append(
            Action(
                number=len(actions), at=at, what=what, saga_id=saga_id, coordinator=rng.randrange(slots),
                variant=variant, tries=tries, wander=rng.random() < 0.6,
            )
        )  # fmt: skip

    for saga in sagas:
        begun = rng.randrange(50 * MILLISECOND, calm_at * 3 // 4)
        add(begun, What.START, saga.saga_id, rng.randint(1, 6), "a")
        for _ in range(rng.choice((0, 0, 1, 2))):
            again = begun + rng.choice((0, rng.randrange(SECOND), rng.randrange(6 * SECOND)))
            add(again, What.START, saga.saga_id, rng.randint(1, 4), rng.choice("aab"))
        if rng.random() < 0.35:
            cancelled = begun + rng.choice((rng.randrange(200 * MILLISECOND), rng.randrange(3 * SECOND)))
            for _ in range(rng.choice((1, 1, 2))):
                add(cancelled + rng.randrange(SECOND), What.CANCEL, saga.saga_id, rng.randint(1, 5))
        for _ in range(rng.choice((0, 1, 2))):
            add(begun + rng.randrange(4 * SECOND), What.GET, saga.saga_id, 1)
        if rng.random() < 0.7:
            add(begun + rng.randrange(2 * SECOND), What.WATCH, saga.saga_id, 40)
    return actions


def _waits(rng: random.Random, others: tuple[Action, ...], slots: int) -> list[Action]:
    """Waits for the sagas that others start: by draws of their own, so that they change nothing else of a plan."""
    begun: dict[str, Span] = {}
    for action in others:
        if action.what is What.START:
            begun.setdefault(action.saga_id, action.at)
    waits: list[Action] = []
    for saga_id, at in begun.items():
        for _ in range(rng.choice((0, 1, 1, 2))):
            waits.append(
                Action(
                    number=len(others) + len(waits), at=max(at + rng.randrange(-200 * MILLISECOND, 4 * SECOND), 0),
                    what=What.WAIT, saga_id=saga_id, coordinator=rng.randrange(slots), tries=rng.randint(1, 5),
                    wander=rng.random() < 0.6, states=rng.choice(_AWAITED),
                    patience=rng.choice((0, 100 * MILLISECOND, SECOND, 2_500 * MILLISECOND)),
                )
            )  # fmt: skip
    return waits
