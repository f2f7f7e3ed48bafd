"""What the outside saw, in order: all that the checker may know.

Three witnesses: clients, participants, and the store. Nothing in here comes from the engine.
"""

from dataclasses import dataclass
from typing import TypeAlias

from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NO_TIME, Instant, Span
from swit_saga_server.store.contract import Verdict, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Root of all observations. ``at``: the world's own (true) time, microseconds."""

    at: Instant


# ---- clients -----


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Seen):
    """A client called. ``what``: start, cancel, get, wait, watch. ``variant``: of the request, for a start.

    ``states``, ``patience``: of a wait, until the saga is in one of them (empty: any outcome), at most so long.
    """

    call: int
    what: str
    saga_id: str
    coordinator: str
    variant: str = ""
    states: tuple[SagaState, ...] = ()
    patience: Span = NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Seen):
    """The call returned. ``saga``: as the client was shown it; ``created``: for a start."""

    call: int
    saga: Saga
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited(Seen):
    """A wait returned: the saga as the client was shown it, and whether it was said to be where it was waited for."""

    call: int
    saga: Saga
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Seen):
    """The call failed with a *definite* error: its reason (SAGA_ALREADY_EXISTS, SAGA_ALREADY_FINISHED, ...)."""

    call: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered(Seen):
    """The call ended without any certainty: reply lost, coordinator dead or unavailable, deadline."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Seen):
    """A watch delivered an event. ``watcher`` is one reader over all its resumes; it resumes after the last it got."""

    watcher: int
    saga_id: str
    sequence: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOver(Seen):
    """A watch ended OK, which it does at the outcome only."""

    watcher: int
    saga_id: str


# ---- participants -----


@dataclass(frozen=True, slots=True, kw_only=True)
class Received(Seen):
    """A command arrived at a participant. ``copy``: 2 if the network made two of it, and this is the second."""

    participant: str
    kind: Kind
    saga_id: str
    step_index: int
    step_id: str
    attempt: int
    resend: int
    key: str
    execute_key: str
    epoch: int
    not_after: Instant
    copy: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(Seen):
    """A participant's books changed. ``change``: +1 executed, -1 undone. ``barrier``: whether it keeps one."""

    participant: str
    saga_id: str
    step_index: int
    step_id: str
    change: int
    barrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Seen):
    """A participant's own answer to one command: completed, rejected or failed (an exception)."""

    participant: str
    kind: Kind
    saga_id: str
    step_index: int
    attempt: int
    answer: str


# ---- the store -----


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased(Seen):
    """A partition got a new holder; ``epoch`` and ``nonce`` of the lease are the current ones from now on."""

    partition: int
    owner: str
    epoch: int
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Seen):
    """The store judged one write of a round (or a create: no lease needed). ``before`` is what was stored.

    ``epoch``, ``nonce``: of the lease the writer showed; 0 and empty for none.
    """

    write: Write
    verdict: Verdict
    before: Saga | None
    partition: int
    epoch: int
    nonce: str
    is_create: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted(Seen):
    """An entry came into an inbox."""

    entry_id: str
    saga_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied(Seen):
    """The store judged answers to inbox entries that changed nothing; see ``Rounds.reply``."""

    saga_id: str
    base_version: int | None
    entry_ids: tuple[str, ...]
    verdict: Verdict
    partition: int
    epoch: int
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound(Seen):
    """The store went back to what it held at the time ``to``; what was committed since then is gone."""

    to: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Seen):
    """The world did something nasty. ``kind``: one of ``faults.KINDS``; ``on``: to whom, in words."""

    kind: str
    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Seen):
    """A situation that is nobody's fault; only counted. ``what``: one of ``coverage.SITUATIONS``; ``on``: where."""

    what: str
    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains(Seen):
    """At the end, when the faults are over and everything has settled: one saga in the store, with its history."""

    saga: Saga
    events: tuple[SagaEvent, ...]
    due_at: Instant
    in_flight: bool


Observation: TypeAlias = (
    Asked | Answered | Waited | Refused | Unanswered | Watched | WatchOver
    | Received | Effect | Said
    | Leased | Committed | Replied | Posted | Rewound | Fault | Noted | Remains
)  # fmt: skip
