"""What was seen, a line for each observation that a person can follow, and what was wrong where it showed."""

from collections.abc import Collection, Iterator, Sequence
from typing import assert_never

from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER, Span
from tests.support.simulation.case import Violation
from tests.support.simulation.observed import (
    Answered,
    Asked,
    Committed,
    Effect,
    Fault,
    Leased,
    Noted,
    Observation,
    Posted,
    Received,
    Refused,
    Remains,
    Replied,
    Rewound,
    Said,
    Unanswered,
    Waited,
    Watched,
    WatchOver,
)

Line = tuple[str, str, str]
"""The witness, the saga (empty for none), and what happened."""


def timeline(
    observations: Sequence[Observation], violations: Sequence[Violation] = (), *, only: Collection[str] = ()
) -> str:
    """A line per observation, aligned by witness; seconds count from the first one.

    Args:
        observations: In order.
        violations: Put behind the last observation of their time.
        only: Sagas; all if empty. What concerns no saga (leases, faults) is always shown.
    """
    return "\n".join(_lines(observations, sorted(violations, key=lambda v: v.at), only))


def _lines(seen: Sequence[Observation], wrong: Sequence[Violation], only: Collection[str]) -> Iterator[str]:
    beginning = seen[0].at if seen else NEVER
    calls: dict[int, Asked] = {}
    pending = list(wrong)
    for n, o in enumerate(seen):
        if isinstance(o, Asked):
            calls[o.call] = o
        witness, saga_id, what = _told(o, calls)
        if not (only and saga_id and saga_id not in only):
            yield _line(o.at - beginning, witness, saga_id, what)
        is_last_of_its_time = n + 1 == len(seen) or seen[n + 1].at > o.at
        while is_last_of_its_time and pending and pending[0].at <= o.at:
            v = pending.pop(0)
            yield _line(v.at - beginning, "WRONG", v.saga_id, f"invariant {v.invariant}: {v.what}")
    for v in pending:
        yield _line(v.at - beginning, "WRONG", v.saga_id, f"invariant {v.invariant}: {v.what}")


def _line(since: Span, witness: str, saga_id: str, what: str) -> str:
    return f"{since / 1e6:11.6f}  {witness:<11}  {saga_id or '-':<8}  {what}"


def _told(o: Observation, calls: dict[int, Asked]) -> Line:
    match o:
        case Asked():
            about = o.variant or " or ".join(o.states)
            return "client", o.saga_id, f"call {o.call}: {o.what} {about}".rstrip() + f" -> {o.coordinator}"
        case Answered():
            made = ", created" if o.created else ""
            return "client", o.saga.id, f"call {o.call}: {_saga(o.saga)}{made}"
        case Waited():
            return "client", o.saga.id, f"call {o.call}: {_saga(o.saga)}, {'there' if o.done else 'not there'}"
        case Refused():
            return "client", _asked_for(o.call, calls), f"call {o.call}: refused, {o.reason}"
        case Unanswered():
            return "client", _asked_for(o.call, calls), f"call {o.call}: no answer"
        case Watched():
            return "client", o.saga_id, f"watcher {o.watcher}: {o.sequence} {o.type}"
        case WatchOver():
            return "client", o.saga_id, f"watcher {o.watcher}: over"
        case Received():
            again = f", resend {o.resend}" if o.resend else ""
            return o.participant, o.saga_id, f"{o.kind} {o.step_id}, attempt {o.attempt}{again} (epoch {o.epoch})"
        case Effect():
            return o.participant, o.saga_id, f"{o.step_id}: {o.change:+d}"
        case Said():
            return o.participant, o.saga_id, f"{o.kind} {o.step_index}, attempt {o.attempt}: {o.answer}"
        case Leased():
            return "store", "", f"partition {o.partition} -> {o.owner} (epoch {o.epoch})"
        case Committed():
            return "store", o.write.saga.id, _write(o)
        case Replied():
            return "store", o.saga_id, f"{o.verdict}: answers {', '.join(o.entry_ids)} (epoch {o.epoch})"
        case Posted():
            return "store", o.saga_id, f"inbox: {o.entry_id}"
        case Rewound():
            return "store", "", f"went back by {(o.at - o.to) / 1e6:.6f} s"
        case Fault():
            return "fault", "", f"{o.kind} on {o.on}"
        case Noted():
            return "network", "", f"{o.what}: {o.on}"
        case Remains():
            return "the end", o.saga.id, f"{_saga(o.saga)}, {len(o.events)} events"
        case _:
            assert_never(o)


def _asked_for(call: int, calls: dict[int, Asked]) -> str:
    return calls[call].saga_id if call in calls else ""


def _saga(saga: Saga) -> str:
    stopped = f" by {saga.stop_cause}" if saga.stop_cause else ""
    steps = " ".join(f"{s.id}={s.status}/{s.effect}" for s in saga.steps)
    return f"version {saga.version} {saga.state}{stopped} [{steps}]"


def _write(o: Committed) -> str:
    w = o.write
    how = "created" if o.is_create else f"epoch {o.epoch}"
    listed = ", ".join(e.type + (f" {e.step_id}" if e.step_id else "") for e in w.events)
    answers = f"; answers {', '.join(a.entry_id for a in w.answers)}" if w.answers else ""
    return f"{o.verdict}: {w.base_version} -> {_saga(w.saga)} ({how}){': ' + listed if listed else ''}{answers}"
