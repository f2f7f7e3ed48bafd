"""Everything about one run, drawn from its seed beforehand as plain data: shrinking takes parts away."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import MICROSECOND, MILLISECOND, NO_TIME, SECOND, Span
from swit_saga_server.engine.options import CachePolicy
from tests.support.simulation.draws import Draws
from tests.support.simulation.faults import PlannedFault, plan_faults
from tests.support.simulation.levels import PlannedLevels
from tests.support.simulation.manners import Manner
from tests.support.simulation.participants import MAX_SKEW, Doing, Script, Undoing
from tests.support.simulation.scene import Weather


class What(StrEnum):
    """What a client asks for."""

    START = "start"
    CANCEL = "cancel"
    GET = "get"
    WATCH = "watch"
    WAIT = "wait"


FIRST_NUMBER = {What.START: 0, What.CANCEL: 10, What.GET: 20, What.WATCH: 30, What.WAIT: 40}
NUMBERED_PER_SAGA = 100
"""Numbers of a saga's actions, by kind. Another kind gets the next free ten; those that are given stay."""
WATCH_TRIES = 40


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
    patience: Span = NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCoordinator:
    """One slot for a coordinator; restarts fill it again.

    Attributes:
        keeps_name: A new life has the former's owner name.
        cache_size: Of its working set; 0 turns the cache off.
        levels: Of its lives, in turn; empty if all are of this version. See ``levels``.
    """

    keeps_name: bool
    cache_size: int
    policy: CachePolicy
    lease_term: Span
    round_size: int
    rounds: int
    levels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSaga:
    """One saga id: what it runs, and what its participants make of each step.

    Attributes:
        newer: Its starts have something that only the newer of two versions can read.
    """

    saga_id: str
    definition: Definition
    scripts: tuple[Script, ...]
    newer: bool = False


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
    draws = Draws(seed, "plan")
    calm_at = draws.whole("calm at", 4 * SECOND, 12 * SECOND)
    slots = draws.pick("coordinators", (1, 2, 2, 3))
    participants = tuple(_participant(draws.of("participant", n), f"p{n}") for n in range(2))
    levels = PlannedLevels(draws.of("levels"), slots, calm_at)
    rough = draws.chance("rough manners", 0.3)
    sagas = tuple(
        replace(_saga(draws.of("saga", n), f"s{n}", participants, rough), newer=levels.is_newer(n))
        for n in range(draws.whole("sagas", 2, 6))
    )
    return Plan(
        seed=seed,
        partitions=draws.whole("partitions", 1, 4),
        coordinators=tuple(
            replace(_coordinator(draws.of("coordinator", n)), levels=levels.of_slot(n)) for n in range(slots)
        ),
        participants=participants,
        sagas=sagas,
        actions=tuple(a for n, saga in enumerate(sagas) for a in _Asking(draws, n, saga, slots, calm_at).actions()),
        faults=tuple(sorted([*plan_faults(draws.of("fault"), slots, calm_at), *levels.faults()], key=lambda f: f.at)),
        weather=_weather(draws.of("weather")),
        calm_at=calm_at,
    )


def _weather(draws: Draws) -> Weather:
    rough = draws.roll("rough")
    return Weather(
        store=rough * draws.pick("store", (0.0, 0.01, 0.04)),
        message=rough * draws.pick("message", (0.0, 0.05, 0.2)),
        client=rough * draws.pick("client", (0.0, 0.1, 0.3)),
        hint=draws.pick("hint", (0.0, 0.3, 1.0)),
    )


def _participant(draws: Draws, name: str) -> PlannedParticipant:
    return PlannedParticipant(
        name=name,
        barrier=draws.chance("barrier", 0.6),
        skew=draws.whole("skew", -MAX_SKEW, MAX_SKEW),
        reached=draws.pick("reached", tuple(Reached), weights=(45, 35, 10, 10)),
        credits=draws.pick("credits", (1, 2, 256, 256)),
    )


def _coordinator(draws: Draws) -> PlannedCoordinator:
    return PlannedCoordinator(
        keeps_name=draws.chance("keeps name", 0.3),
        cache_size=draws.pick("cache size", (0, 1, 2, 1_000, 1_000)),
        policy=draws.pick("policy", tuple(CachePolicy)),
        lease_term=draws.whole("lease term", 1, 3) * SECOND,
        round_size=draws.pick("round size", (1, 2, 256)),
        rounds=draws.pick("rounds", (1, 1, 3)),
    )


def _saga(draws: Draws, saga_id: str, participants: tuple[PlannedParticipant, ...], rough: bool) -> PlannedSaga:
    each = [draws.of("step", n) for n in range(draws.whole("steps", 1, 4))]
    definition = Definition(
        id=f"d-{saga_id}",
        steps=tuple(_step(step, f"t{n}", participants) for n, step in enumerate(each)),
        timeout=draws.pick("timeout", (2, 6, 20, 20)) * SECOND,
        retry_policy=_retry(draws.of("retry"), 1, 4),
        compensation_retry_policy=_retry(draws.of("compensation retry"), 3, 6),
    )
    scripts = tuple(_script(step.of("script"), rough) for step in each)
    return PlannedSaga(saga_id=saga_id, definition=definition, scripts=scripts)


def _step(draws: Draws, step_id: str, participants: tuple[PlannedParticipant, ...]) -> StepDefinition:
    return StepDefinition(
        id=step_id,
        participant=draws.pick("participant", participants).name,
        timeout=draws.pick("timeout", (300, 800, 1_500)) * MILLISECOND,
        delay=draws.pick("delay", (NO_TIME, NO_TIME, NO_TIME, 400 * MILLISECOND)),
        total_timeout=draws.pick("total timeout", (None, None, None, 2 * SECOND)),
        compensation=CompensationDefinition(disabled=draws.chance("compensation disabled", 0.1)),
    )


def _retry(draws: Draws, least: int, most: int) -> RetryPolicy:
    return RetryPolicy(
        backoff=draws.pick("backoff", (Backoff.FIXED, Backoff.LINEAR, Backoff.EXPONENTIAL)),
        initial_delay=draws.pick("initial delay", (10, 100, 300)) * MILLISECOND,
        max_delay=SECOND,
        max_attempts=draws.whole("attempts", least, most),
        jitter=draws.pick("jitter", tuple(Jitter)),
    )


def _script(draws: Draws, rough: bool) -> Script:
    return Script(
        execute=draws.pick("execute", tuple(Doing), (70, 8, 6, 9, 7)),
        times=draws.whole("times", 1, 3),
        with_effect=draws.chance("with effect", 0.5),
        compensate=draws.pick("compensate", tuple(Undoing), (85, 4, 11)),
        undo_times=draws.whole("undo times", 1, 4),
        work=draws.pick("work", (0, 20, 20, 500)) * MILLISECOND,
        manner=draws.pick("manner", tuple(Manner), (50, 15, 15, 20)) if rough else Manner.PLAIN,
    )


class _Asking:
    """What clients ask about one saga.

    Actions are numbered apart for each saga and kind, so that one more changes no other: what becomes of a call hangs
    on its number.
    """

    def __init__(self, draws: Draws, number: int, saga: PlannedSaga, slots: int, calm_at: Span) -> None:
        self._draws = draws.of("asking", number)
        self._number = number * NUMBERED_PER_SAGA
        self._saga_id = saga.saga_id
        self._slots = slots
        earliest = 50 * MILLISECOND
        self._begun = earliest + self._draws.below("begun", calm_at * 3 // 4 - earliest)

    def actions(self) -> Iterator[Action]:
        draws = self._draws
        yield self._action(What.START, 0, self._begun, 6, "a")
        for n in range(draws.pick("starts again", (0, 0, 1, 2))):
            again = draws.of("again", n)
            later = again.pick("after", (NO_TIME, SECOND, 6 * SECOND))
            yield self._action(
                What.START,
                1 + n,
                self._begun + again.below("at", later or MICROSECOND),
                4,
                again.pick("variant", "aab"),
            )
        if draws.chance("cancelled", 0.35):
            cancelled = self._begun + draws.below("cancelled at", draws.pick("cancelled by", (SECOND // 5, 3 * SECOND)))
            for n in range(draws.pick("cancels", (1, 1, 2))):
                yield self._action(What.CANCEL, n, cancelled + draws.of("cancel", n).below("at", SECOND), 5)
        for n in range(draws.pick("gets", (0, 1, 2))):
            yield self._action(What.GET, n, self._begun + draws.of("get", n).below("at", 4 * SECOND), 1)
        if draws.chance("watched", 0.7):
            yield self._action(What.WATCH, 0, self._begun + draws.below("watched at", 2 * SECOND), WATCH_TRIES)
        for n in range(draws.pick("waits", (0, 1, 1, 2))):
            wait = draws.of("wait", n)
            yield replace(
                self._action(
                    What.WAIT, n, max(self._begun + wait.whole("at", -200 * MILLISECOND, 4 * SECOND), NO_TIME), 5
                ),
                states=wait.pick("states", _AWAITED),
                patience=wait.pick("patience", (NO_TIME, 100 * MILLISECOND, SECOND, 2_500 * MILLISECOND)),
            )

    def _action(self, what: What, n: int, at: Span, most: int, variant: str = "") -> Action:
        draws = self._draws.of(what.value, n, "action")
        return Action(
            number=self._number + FIRST_NUMBER[what] + n,
            at=at,
            what=what,
            saga_id=self._saga_id,
            coordinator=draws.below("coordinator", self._slots),
            variant=variant,
            tries=most if what is What.WATCH else draws.whole("tries", 1, most),
            wander=draws.chance("wander", 0.6),
        )
