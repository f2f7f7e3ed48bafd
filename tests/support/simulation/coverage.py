"""How much was really tested: what happened in many worlds, and what has not happened often enough."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import StepState
from swit_saga_server.core.states import TERMINAL_STATES, CompensationStatus, Effect
from swit_saga_server.store.contract import Verdict
from tests.support.simulation.faults import KINDS
from tests.support.simulation.levels import MET
from tests.support.simulation.manners import UNUSABLE_CODES, Manner
from tests.support.simulation.observed import (
    Answered,
    Committed,
    Fault,
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
    WatchOver,
)

Counts = Mapping[str, Counter[str]]
"""Kinds of things; of each, names and how often they were seen."""

SITUATIONS = (
    "execute tried again",
    "execute sent again after a takeover",
    "compensate tried again",
    "compensate sent again after a takeover",
    "execute after its step was undone",
    "step rejected for certain",
    "rejected while in doubt",
    "undone in doubt",
    "undoing disabled",
    "undoing failed",
    "cancel by the inbox",
    "inbox entry consumed",
    "several transitions in one write",
    "store gone back",
    "stream broken with commands on it",
    "stream not served",
    "called for want of a stream",
    "command waited for a credit",
    "queued commands left to the next stream",
    "called off by a stream",
    *(f"answer in a manner: {manner}" for manner in Manner if manner is not Manner.PLAIN),
    "output not usable",
    MET,
)
"""Without these an invariant would hold because nothing put it to the test."""

WANTED: Mapping[str, tuple[str, ...]] = {
    "faults": KINDS,
    "outcomes": tuple(sorted(s.value for s in TERMINAL_STATES)),
    "verdicts": (*(v.value for v in Verdict), f"create {Verdict.APPLIED.value}", f"create {Verdict.CONFLICT.value}"),
    "answers": (
        "answered",
        "unanswered",
        "watchover",
        "wait, there",
        "wait, not there",
        "SAGA_ALREADY_EXISTS",
        "SAGA_ALREADY_FINISHED",
        "SAGA_NOT_FOUND",
    ),
    "situations": SITUATIONS,
}


def counted(observations: Sequence[Observation]) -> dict[str, Counter[str]]:
    """How often each kind of fault, outcome, answer, verdict and situation was seen in one world."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in WANTED}
    situations = counts["situations"]
    undone: set[tuple[str, int]] = set()
    for seen in observations:
        match seen:
            case Fault():
                counts["faults"][seen.kind] += 1
            case Answered() | Unanswered() | WatchOver():
                counts["answers"][type(seen).__name__.lower()] += 1
            case Waited():
                counts["answers"]["wait, there" if seen.done else "wait, not there"] += 1
            case Refused():
                counts["answers"][seen.reason] += 1
            case Received():
                situations.update(_of_received(seen, undone))
            case Said(kind=Kind.COMPENSATE, answer="completed"):
                undone.add((seen.saga_id, seen.step_index))
            case Committed():
                counts["verdicts"][f"create {seen.verdict.value}" if seen.is_create else seen.verdict.value] += 1
                situations.update(_of_write(seen))
            case Noted():
                situations[seen.what] += 1
            case Replied() if seen.verdict is Verdict.APPLIED:
                situations["inbox entry consumed"] += 1
            case Posted():
                situations["cancel by the inbox"] += 1
            case Rewound():
                situations["store gone back"] += 1
            case Remains():
                counts["outcomes"][seen.saga.state.value] += 1
                for step in seen.saga.steps:
                    situations.update(_of_step(step))
    return counts


def missing(counts: Counts, least: int = 1) -> list[str]:
    """What was seen fewer than ``least`` times, in words; empty if all was."""
    seen = {(kind, name): number for kind, names in counts.items() for name, number in names.items()}
    wanted = ((kind, name) for kind, names in WANTED.items() for name in names)
    return [
        f"{kind}: {name} ({seen.get((kind, name), 0)})" for kind, name in wanted if seen.get((kind, name), 0) < least
    ]


def reached(counts: Counts) -> frozenset[str]:
    """Which of all that is wanted one world shows."""
    return frozenset(
        name if kind == "situations" else f"{kind.removesuffix('s')} {name}"
        for kind, names in WANTED.items()
        for name in names
        if counts[kind][name]
    )


def _of_received(seen: Received, undone: set[tuple[str, int]]) -> Iterator[str]:
    if seen.attempt > 1:
        yield f"{seen.kind} tried again"
    if seen.resend:
        yield f"{seen.kind} sent again after a takeover"
    if seen.kind is Kind.EXECUTE and (seen.saga_id, seen.step_index) in undone:
        yield "execute after its step was undone"


def _of_write(seen: Committed) -> Iterator[str]:
    if seen.verdict is Verdict.APPLIED:
        if seen.write.answers:
            yield "inbox entry consumed"
        if seen.write.saga.version > seen.write.base_version + 1:
            yield "several transitions in one write"


def _of_step(step: StepState) -> Iterator[str]:
    comp = step.compensation
    if step.effect is Effect.DONE and step.error is not None and step.error.code in UNUSABLE_CODES:
        yield "output not usable"
    if step.effect is Effect.NONE and step.call.attempts:
        yield "step rejected for certain"
    if step.effect is Effect.MAYBE and step.error is not None and step.error.code == "OUT_OF_STOCK":
        yield "rejected while in doubt"
    if comp is None:
        return
    if step.effect is Effect.MAYBE and comp.status is CompensationStatus.COMPLETED:
        yield "undone in doubt"
    if comp.status is CompensationStatus.SKIPPED:
        yield "undoing disabled"
    if comp.status is CompensationStatus.FAILED:
        yield "undoing failed"
