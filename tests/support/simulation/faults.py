"""What goes wrong in a world, and when."""

import random
from dataclasses import dataclass

from swit_saga_server.core.units import MILLISECOND, SECOND, Span

KINDS = (
    "crash",
    "crash_at_await",
    "restart",
    "handover",
    "pause",
    "resume",
    "outage",
    "rewind",
    "clock_step",
    "eviction",
    "store_request_lost",
    "store_reply_lost",
    "store_late",
    "store_slow",
    "hint_lost",
    "request_lost",
    "request_late",
    "request_doubled",
    "reply_lost",
    "reply_late",
    "stream_refused",
    "stream_broken",
    "stream_silent",
    "client_request_lost",
    "client_reply_lost",
    "watch_cut",
)
"""All that a ``Fault`` observation may name: first what a plan schedules, then what befalls single messages."""

PLANNED = ("crash", "crash_at_await", "handover", "pause", "outage", "rewind", "clock_step")
MAX_STEP: Span = SECOND // 2
"""How far the store's clock is ever off true time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """One fault of a plan.

    Attributes:
        at: When, microseconds from the beginning.
        kind: One of ``PLANNED``.
        slot: The coordinator it befalls; nothing if the store.
        span: How long until a crashed one is back, a paused one goes on, an outage ends; how far back a rewind goes;
            where the store's clock is set to, relative to true time.
        handles: Of a pause and a crash at an await: callbacks of the coordinator until it strikes.
    """

    at: Span
    kind: str
    slot: int = 0
    span: Span = 0
    handles: int = 0


def plan_faults(rng: random.Random, slots: int, calm_at: Span) -> list[PlannedFault]:
    """A schedule; all of it begins before ``calm_at``. Rewinds are rare: they take back what was promised."""
    weights = {"crash": 3, "crash_at_await": 5, "handover": 1, "pause": 4, "outage": 2, "rewind": 0, "clock_step": 2}
    if rng.random() < 0.15:
        weights["rewind"] = 2
    return sorted(
        (
            _fault(rng, kind, slots, calm_at)
            for kind in rng.choices(PLANNED, list(weights.values()), k=rng.randint(0, 6))
        ),
        key=lambda f: f.at,
    )


def _fault(rng: random.Random, kind: str, slots: int, calm_at: Span) -> PlannedFault:
    span = {
        "crash": lambda: rng.choice((50 * MILLISECOND, rng.randrange(4 * SECOND))),
        "crash_at_await": lambda: rng.choice((50 * MILLISECOND, rng.randrange(4 * SECOND))),
        "handover": lambda: rng.randrange(2 * SECOND),
        "pause": lambda: rng.choice((rng.randrange(SECOND), rng.randrange(SECOND, 6 * SECOND))),
        "outage": lambda: rng.choice((300 * MILLISECOND, rng.randrange(4 * SECOND))),
        "rewind": lambda: rng.randrange(50 * MILLISECOND, 3 * SECOND),
        "clock_step": lambda: rng.randint(-MAX_STEP, MAX_STEP),
    }[kind]()
    return PlannedFault(
        at=rng.randrange(100 * MILLISECOND, calm_at),
        kind=kind,
        slot=rng.randrange(slots),
        span=span,
        handles=rng.randrange(1, 400) if kind in ("crash_at_await", "pause") else 0,
    )
