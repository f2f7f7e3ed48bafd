"""What goes wrong in a world, and when."""

from collections.abc import Mapping
from dataclasses import dataclass

from swit_saga_server.core.units import MILLISECOND, NO_TIME, SECOND, Span
from tests.support.simulation.draws import Draws

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
    span: Span = NO_TIME
    handles: int = 0


def plan_faults(draws: Draws, slots: int, calm_at: Span) -> list[PlannedFault]:
    """A schedule; all of it begins before ``calm_at``. Rewinds are rare: they take back what was promised."""
    weights = {"crash": 3, "crash_at_await": 5, "handover": 1, "pause": 4, "outage": 2, "rewind": 0, "clock_step": 2}
    if draws.chance("with rewinds", 0.15):
        weights["rewind"] = 2
    number = draws.whole("number", 0, 6)
    faults = (_fault(draws.of(n), weights, slots, calm_at) for n in range(number))
    return sorted(faults, key=lambda f: f.at)


def _fault(draws: Draws, weights: Mapping[str, int], slots: int, calm_at: Span) -> PlannedFault:
    kind = draws.pick("kind", PLANNED, [weights[kind] for kind in PLANNED])
    return PlannedFault(
        at=100 * MILLISECOND + draws.below("at", calm_at - 100 * MILLISECOND),
        kind=kind,
        slot=draws.below("slot", slots),
        span=_span(draws, kind),
        handles=draws.whole("handles", 1, 399) if kind in ("crash_at_await", "pause") else 0,
    )


def _span(draws: Draws, kind: str) -> Span:
    briefly, span = draws.chance("briefly", 0.5), draws.roll("span")
    match kind:
        case "crash" | "crash_at_await":
            return 50 * MILLISECOND if briefly else Span(span * 4 * SECOND)
        case "handover":
            return Span(span * 2 * SECOND)
        case "pause":
            return Span(span * SECOND) if briefly else SECOND + Span(span * 5 * SECOND)
        case "outage":
            return 300 * MILLISECOND if briefly else Span(span * 4 * SECOND)
        case "rewind":
            return 50 * MILLISECOND + Span(span * 2_950 * MILLISECOND)
        case "clock_step":
            return Span((2 * span - 1) * MAX_STEP)
    raise ValueError(f"no such fault: {kind!r}")
