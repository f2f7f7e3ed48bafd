"""What must hold for every saga (docs/invariants.md), judged from what clients, participants and the store saw.

It calls none of the machine's or engine's functions: it must not share their mistakes.

What a rewound store excuses, for a saga of which it took something away and for no other:

1. A start whose creating commit was taken away; an answer may show a version that once was durable and is gone.
2. Nothing within the history that stands; the history that was taken away may have ended otherwise, and who waited may
   have been told so.
3. Nothing. 4. Nothing: a write is held against what the store really holds. 5. An epoch may come again, a nonce never.
6. Nothing: an intent that was taken back later had been durable. 7, 8. Nothing on the record.
9, 10. The participants' books: what was done in the lost history, the record that stands does not know.
11. The same books for a step without effect; nothing on the record. 12. Nothing.
13. *created* once more if the creation was taken away; a cancel's effect if the stop was; a refusal for a record that
    was read half before and half after.
14. Inbox entries posted before the rewind; never the outcome.
15. Types of events that were durable once, and where a watch ends; never a gap or a repeat.
16. Nothing. 17. Nothing. 18. Nothing on the record that stands.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.store.contract import Verdict
from tests.support.simulation.case import Case, Expected, Stored, Violation, expected_of
from tests.support.simulation.check_answers import check_shown, check_wait
from tests.support.simulation.check_writes import LAST_EVENT, check_outcome, check_write
from tests.support.simulation.observed import (
    Answered,
    Asked,
    Committed,
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
    Seen,
    Unanswered,
    Waited,
    Watched,
    WatchOver,
)
from tests.support.simulation.observed import Effect as BookEntry

__all__ = ["Expected", "Violation", "check", "expected_of"]

REASONS = {
    "start": frozenset({"SAGA_ALREADY_EXISTS"}),
    "cancel": frozenset({"SAGA_NOT_FOUND", "SAGA_ALREADY_FINISHED"}),
    "get": frozenset({"SAGA_NOT_FOUND"}),
    "wait": frozenset({"SAGA_NOT_FOUND", "SAGA_LOST"}),
    "watch": frozenset({"SAGA_NOT_FOUND", "SAGA_LOST", "CURSOR_OUT_OF_RANGE"}),
}
"""For which a call may be refused in a world whose requests are all well made."""

_Question = tuple[Asked, Case, bool, int]
"""A call; its saga; whether a client knew by then that it exists; the rewinds it had suffered."""


def check(observations: Sequence[Observation], expected: Expected) -> list[Violation]:
    """Everything that did not hold, in the order in which it showed.

    Args:
        observations: In the order of their happening, those of what remains last.
        expected: What the test knows.
    """
    return _Checker(expected).judge(observations)


class _Checker:
    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.found: list[Violation] = []
        self.cases: dict[str, Case] = {}
        self.calls: dict[int, _Question] = {}
        self.leases: dict[int, list[tuple[Instant, int, str]]] = {}
        self.current: dict[int, tuple[int, str]] = {}
        self.nonces: set[str] = set()
        self.epochs: set[tuple[int, int]] = set()
        self.rewound = False
        self.watchers: dict[int, int] = {}
        self.over: set[int] = set()
        self.remaining: set[str] = set()

    def judge(self, observations: Sequence[Observation]) -> list[Violation]:
        takers: dict[type[Seen], Callable[[Any], Iterator[tuple[int, str]] | None]] = {
            Asked: self.asked,
            Answered: self.answered,
            Waited: self.waited,
            Refused: self.refused,
            Watched: self.watched,
            WatchOver: self.watch_over,
            Received: self.received,
            BookEntry: self.booked,
            Said: self.said,
            Leased: self.leased,
            Committed: self.committed,
            Replied: self.replied,
            Posted: self.posted,
            Rewound: self.rewind,
            Remains: self.remains,
            Unanswered: _pass,
            Fault: _pass,
            Noted: _pass,
        }
        at = NEVER
        for seen in observations:
            at = seen.at
            wrong = takers[type(seen)](seen)
            if wrong is not None:
                for number, what in wrong:
                    self.found.append(Violation(invariant=number, saga_id=self._saga_of(seen), at=at, what=what))
        self._at_end(at)
        return self.found

    def _saga_of(self, seen: Any) -> str:
        match seen:
            case Answered() | Waited() | Refused():
                return self.calls[seen.call][1].saga_id if seen.call in self.calls else ""
            case Committed():
                return seen.write.saga.id
            case Remains():
                return seen.saga.id
        return getattr(seen, "saga_id", "")

    def case(self, saga_id: str) -> Case:
        found = self.cases.get(saga_id)
        if found is None:
            part = zlib.crc32(saga_id.encode()) % self.expected.partitions
            found = self.cases[saga_id] = Case.of(saga_id, self.expected.definitions.get(saga_id), part)
        return found

    # ---- clients: 1, 13 ------------------------------------------------------------------------------------------

    def asked(self, seen: Asked) -> None:
        case = self.case(seen.saga_id)
        self.calls[seen.call] = seen, case, case.acknowledged, case.touched

    def answered(self, seen: Answered) -> Iterator[tuple[int, str]]:
        asked, case, _, _ = self.calls[seen.call]
        shown = seen.saga
        yield from check_shown(asked, shown, case)
        if asked.what == "start":
            yield from self._started(asked, seen, case)
        elif asked.what == "cancel":
            if shown.stop_cause is None:
                yield 13, f"a cancel was answered, and the saga is {shown.state}"
            # Stopped once, and the stop was taken away: then nobody can be held to it.
            elif case.stored is not None and case.stored.saga.stop_cause is not None:
                case.cancelled = True
            elif not case.touched:
                yield 13, "a cancel was answered that is not durable"

    def waited(self, seen: Waited) -> Iterator[tuple[int, str]]:
        asked, case, _, _ = self.calls[seen.call]
        yield from check_shown(asked, seen.saga, case)
        yield from check_wait(asked, seen, case)

    def _started(self, asked: Asked, seen: Answered, case: Case) -> Iterator[tuple[int, str]]:
        variant = self.expected.variant_of(seen.saga)
        if variant != asked.variant:
            yield 13, f"start {asked.variant!r} was shown the saga of start {variant!r}"
        if case.stored is not None:
            case.acknowledged = True
            if seen.created:
                case.creators += 1
        if case.creators > 1 and seen.created:
            yield 13, "two starts were told that they created it"

    def refused(self, seen: Refused) -> Iterator[tuple[int, str]]:
        asked, case, known, touched = self.calls[seen.call]
        # Read half before and half after the store went back.
        torn = seen.reason == "SAGA_QUARANTINED" and case.touched
        if seen.reason not in REASONS.get(asked.what, ()) and not torn:
            yield 13, f"{asked.what} was refused: {seen.reason}"
        match seen.reason:
            case "SAGA_LOST" if not case.touched:
                yield 1, f"{asked.what}: a saga was called lost that was not"
            case "SAGA_NOT_FOUND" if known and case.touched == touched:
                yield 1, f"{asked.what}: an acknowledged start was not found"
            case "CURSOR_OUT_OF_RANGE" if not case.touched:
                yield 15, "a watch could not resume"
            case "SAGA_ALREADY_EXISTS":
                others = (s for s in case.every() if self.expected.variant_of(s) != asked.variant)
                if next(others, None) is None:
                    yield 13, f"start {asked.variant!r} was refused, and no other won"
            case "SAGA_ALREADY_FINISHED":
                ended = (s for s in case.every() if s.state.is_terminal and s.state is not SagaState.CANCELLED)
                if next(ended, None) is None:
                    yield 13, "a cancel was refused, and no other outcome was there"

    # ---- clients: 15 ---------------------------------------------------------------------------------------------

    def watched(self, seen: Watched) -> Iterator[tuple[int, str]]:
        last = self.watchers.get(seen.watcher, 0)
        self.watchers[seen.watcher] = seen.sequence
        if seen.sequence != last + 1:
            yield 15, f"watcher {seen.watcher}: event {seen.sequence} after {last}"
        if seen.watcher in self.over:
            yield 15, f"watcher {seen.watcher}: event {seen.sequence} after the end"
        case = self.case(seen.saga_id)
        types = case.types.get(seen.sequence, ())
        if seen.type not in types:
            yield 15, f"watcher {seen.watcher}: event {seen.sequence} is {seen.type}, durable is {sorted(types)}"

    def watch_over(self, seen: WatchOver) -> Iterator[tuple[int, str]]:
        case = self.case(seen.saga_id)
        self.over.add(seen.watcher)
        if case.touched:
            return
        if case.stored is None or not case.stored.saga.state.is_terminal:
            yield 15, f"watcher {seen.watcher}: over before the outcome"
        elif self.watchers.get(seen.watcher, 0) != case.stored.saga.last_sequence:
            last = case.stored.saga.last_sequence
            yield 15, f"watcher {seen.watcher}: over after event {self.watchers.get(seen.watcher, 0)} of {last}"

    # ---- participants: 6, 11, 12 ---------------------------------------------------------------------------------

    def received(self, seen: Received) -> Iterator[tuple[int, str]]:
        case, send = self.case(seen.saga_id), (seen.kind, seen.step_index, seen.attempt, seen.resend)
        not_after = case.intents.get(send)
        what = f"{seen.kind} {seen.step_index}, attempt {seen.attempt}, resend {seen.resend}"
        if not_after is None:
            yield 6, f"{what}: was never durably intended"
        elif seen.not_after > not_after:
            yield 6, f"{what}: may begin until {seen.not_after}, intended was {not_after}"
        if (case.partition, seen.epoch) not in self.epochs:
            yield 6, f"{what}: epoch {seen.epoch} was never leased"
        own = f"{seen.saga_id}/{seen.step_id}"
        keys = (own, "") if seen.kind is Kind.EXECUTE else (f"{own}/compensate", own)
        if (seen.key, seen.execute_key) != keys:
            yield 12, f"{what}: came under the keys {seen.key!r}, {seen.execute_key!r}"
        if case.definition is not None:
            step = case.definition.steps[seen.step_index]
            if (step.id, step.participant) != (seen.step_id, seen.participant):
                yield 6, f"{what}: reached {seen.participant} as {seen.step_id}"
        copies = case.sends.setdefault(send, set())
        if seen.copy in copies and not case.touched:
            yield 6, f"{what}: was sent twice"
        if copies:
            case.doubled.add(seen.step_index)
        copies.add(seen.copy)

    def said(self, seen: Said) -> None:
        case = self.case(seen.saga_id)
        case.said.add((seen.kind, seen.step_index, seen.attempt, seen.answer))
        case.answers.add((seen.kind, seen.step_index, seen.answer))
        if seen.kind is Kind.COMPENSATE and seen.answer == "completed":
            case.undone.add(seen.step_index)

    def booked(self, seen: BookEntry) -> Iterator[tuple[int, str]]:
        case, index = self.case(seen.saga_id), seen.step_index
        case.books[index] = net = case.books.get(index, 0) + seen.change
        if not 0 <= net <= 1:
            yield 12, f"step {index}: its net effect is {net}"
        if seen.barrier and seen.change > 0 and index in case.undone:
            yield 12, f"step {index}: took effect after it was undone"

    # ---- the store: 2 to 5, 7 to 11, 14, 16 to 18 ----------------------------------------------------------------

    def leased(self, seen: Leased) -> Iterator[tuple[int, str]]:
        epoch, _ = self.current.get(seen.partition, (0, ""))
        if seen.nonce in self.nonces or (seen.epoch <= epoch and not self.rewound):
            yield 5, f"partition {seen.partition}: epoch {seen.epoch} after {epoch}, nonce {seen.nonce}"
        self.current[seen.partition] = seen.epoch, seen.nonce
        self.leases.setdefault(seen.partition, []).append((seen.at, seen.epoch, seen.nonce))
        self.nonces.add(seen.nonce)
        self.epochs.add((seen.partition, seen.epoch))

    def committed(self, seen: Committed) -> Iterator[tuple[int, str]]:
        write, case = seen.write, self.case(seen.write.saga.id)
        stored = case.stored
        if seen.before is not (stored.saga if stored else None) and seen.before != (stored.saga if stored else None):
            yield 4, "what is stored changed without a write"
        if seen.verdict is Verdict.ALREADY_APPLIED and (stored is None or stored.commit_id != write.commit_id):
            yield 5, f"write {write.commit_id} was taken for applied, and is not the latest"
        if seen.verdict is Verdict.CONFLICT and (stored.saga.version if stored else 0) == write.base_version:
            yield 4, f"a write on version {write.base_version} was refused, and that is stored"
        if seen.verdict is not Verdict.APPLIED:
            return
        if not seen.is_create and self.current.get(seen.partition) != (seen.epoch, seen.nonce):
            yield 5, f"applied under epoch {seen.epoch}, current is {self.current.get(seen.partition)}"
        if seen.partition != case.partition:
            yield 5, f"stored in partition {seen.partition}, not {case.partition}"
        if seen.is_create and (write.base_version or write.saga.state is not SagaState.PENDING):
            yield 5, f"written without a lease: {write.saga.state} on version {write.base_version}"
        yield from check_write(case, write)
        self._keep(seen, case)

    def _keep(self, seen: Committed, case: Case) -> None:
        write, stored = seen.write, case.stored
        if case.posted:
            case.posted.difference_update(a.entry_id for a in write.answers)
        for event in write.events:
            case.types.setdefault(event.sequence, set()).add(event.type)
        types = (stored.types if stored else ()) + tuple(e.type for e in write.events)
        case.keep(seen.at, Stored(write.saga, types, write.commit_id, write.due_at, write.in_flight))

    def replied(self, seen: Replied) -> Iterator[tuple[int, str]]:
        case = self.case(seen.saga_id)
        version = case.stored.saga.version if case.stored else 0
        if seen.verdict is Verdict.CONFLICT and seen.base_version == version:
            yield 4, f"an answer resting on version {version} was refused, and that is stored"
        if seen.verdict is not Verdict.APPLIED:
            return
        if self.current.get(seen.partition) != (seen.epoch, seen.nonce):
            yield 5, f"answered under epoch {seen.epoch}, current is {self.current.get(seen.partition)}"
        if seen.base_version not in (None, version):
            yield 4, f"answered on version {seen.base_version}, stored was {version}"
        if case.posted:
            case.posted.difference_update(seen.entry_ids)

    def posted(self, seen: Posted) -> None:
        case = self.case(seen.saga_id)
        if case.posted is None:
            case.posted = set()
        case.posted.add(seen.entry_id)

    def rewind(self, seen: Rewound) -> None:
        self.rewound = True
        for case in self.cases.values():
            case.rewind(seen.at, seen.to)
            case.posted = None
        for partition, trail in self.leases.items():
            then = next(((at, epoch, nonce) for at, epoch, nonce in reversed(trail) if at <= seen.to), None)
            trail.append((seen.at, *(then[1:] if then else (0, ""))))
            self.current[partition] = trail[-1][1:]

    # ---- the end: 1, 9 to 11, 13 to 16 ---------------------------------------------------------------------------

    def remains(self, seen: Remains) -> Iterator[tuple[int, str]]:
        saga, case = seen.saga, self.case(seen.saga.id)
        self.remaining.add(saga.id)
        stored = case.stored
        if stored is None or (stored.saga is not saga and stored.saga != saga):
            yield 4, f"version {saga.version} remains, and is not what was written last"
        elif tuple(e.type for e in seen.events) != stored.types:
            yield 4, "its events are not those that were written"
        elif (seen.due_at, seen.in_flight) != (stored.due_at, stored.in_flight):
            yield 4, "its due time or its in-flight mark is not what was written last"
        if [e.sequence for e in seen.events] != list(range(1, saga.last_sequence + 1)):
            yield 15, "its events have gaps or repeats"
        if not saga.state.is_terminal:
            yield 14, f"it never ended: {saga.state}, due at {seen.due_at}"
            return
        yield from check_outcome(saga, case.definition)
        if not seen.events or seen.events[-1].type != LAST_EVENT[saga.state]:
            yield 2, f"{saga.state}, and its last event is another's"
        if saga.state is SagaState.FAILED and all(e.type != "compensation.failed" for e in seen.events):
            yield 16, "failed, and no event says that a compensation did"
        if case.outcome not in (None, saga.state):
            yield 2, f"a wait was told that it is {case.outcome}, and it ended {saga.state}"
        if case.cancelled and saga.stop_cause is None:
            yield 13, f"a cancel was acknowledged, and it ended {saga.state}"
        if not case.touched:
            yield from self._check_books(case, seen)

    def _check_books(self, case: Case, seen: Remains) -> Iterator[tuple[int, str]]:
        """9, 10, 11: what really happened is what the record says.

        A message of which the network made two may take effect after its own answer was taken for certain. No RPC is
        doubled by its network; only a barrier would stop that one, and only once something was undone.
        """
        saga = seen.saga
        for step in saga.steps:
            net, comp = case.books.get(step.index, 0), step.compensation
            if saga.state is SagaState.COMPLETED:
                if net != 1 and step.status == "completed":
                    yield 9, f"completed, and the books of step {step.index} show {net}"
            elif net and comp is not None and comp.status is CompensationStatus.COMPLETED:
                barrier = case.definition is not None and self._has_barrier(case, step.index)
                if barrier or step.index not in case.doubled:
                    yield 10, f"{saga.state}: step {step.index} is undone, and its books show {net}"
            elif net and step.effect is Effect.NONE and step.index not in case.doubled:
                yield 11, f"{saga.state}: step {step.index} has no effect, and its books show {net}"

    def _has_barrier(self, case: Case, index: int) -> bool:
        return case.definition is not None and case.definition.steps[index].participant in self.expected.barriers

    def _at_end(self, at: Instant) -> None:
        for case in self.cases.values():
            if case.saga_id not in self.remaining:
                if case.acknowledged:
                    self._add(1, case, at, "an acknowledged start is gone")
                elif case.stored is not None:
                    self._add(1, case, at, "a stored saga is gone")
            if case.posted:
                self._add(14, case, at, f"inbox entries were never answered: {sorted(case.posted)}")

    def _add(self, number: int, case: Case, at: Instant, what: str) -> None:
        self.found.append(Violation(invariant=number, saga_id=case.saga_id, at=at, what=what))


def _pass(seen: Seen) -> None:
    """Says nothing about an invariant."""
