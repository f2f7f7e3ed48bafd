"""A store in memory that keeps the whole ``StateStorage`` contract, and tells what it judged.

Every method does all it does at one moment. What may go wrong between a coordinator and the store is ``network``'s.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import MINUTE, Instant, Span
from swit_saga_server.store.contract import (
    Due,
    FeedItem,
    Hint,
    InboxAnswer,
    InboxEntry,
    Lease,
    Peer,
    SagaFilter,
    SagaOrder,
    SagaPage,
    StoredDefinition,
    Verdict,
    Write,
    partition_of,
)
from swit_saga_server.store.paging import make_token, read_token
from swit_saga_server.store.round import check_create, check_reply, check_round
from tests.support.simulation.observed import Committed, Leased, Observation, Posted, Remains, Replied

ANSWERS_KEPT: Span = 20 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One saga as stored."""

    saga: Saga
    commit_id: str
    due_at: Instant
    in_flight: bool
    events: tuple[SagaEvent, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One inbox entry; consumed once it has an answer."""

    entry: InboxEntry
    answer: bytes | None = None
    answered_at: Instant = 0


@dataclass(slots=True)
class Data:
    """Everything stored. All values are immutable, so a copy of the containers is a snapshot."""

    sagas: dict[str, Record] = field(default_factory=dict)
    leases: dict[int, tuple[Lease, str]] = field(default_factory=dict)
    inbox: dict[str, Message] = field(default_factory=dict)
    feed: list[tuple[int, FeedItem]] = field(default_factory=list)
    position: int = 0
    definitions: dict[tuple[str, int, str], StoredDefinition] = field(default_factory=dict)
    living: dict[str, tuple[Instant, int]] = field(default_factory=dict)

    def copy(self) -> "Data":
        """A snapshot."""
        return Data(
            dict(self.sagas), dict(self.leases), dict(self.inbox), list(self.feed), self.position,
            dict(self.definitions), dict(self.living),
        )  # fmt: skip


class SimStore:
    """``StateStorage`` on ``data``. See ``contract`` for what its methods guarantee."""

    def __init__(
        self,
        partitions: int,
        clock: Callable[[], Instant],
        rng: random.Random,
        *,
        saw: Callable[[Observation], None] = lambda seen: None,
        true_time: Callable[[], Instant] | None = None,
    ) -> None:
        """An empty store.

        Args:
            partitions: Their number.
            clock: The store's clock.
            rng: For nonces.
            saw: Told of every lease, judged write and posted entry.
            true_time: For observations; the store's clock by default.
        """
        self.data = Data()
        self._partitions = partitions
        self._clock = clock
        self._rng = rng
        self._saw = saw
        self._true_time = true_time or clock
        self._listeners: list[Callable[[Hint], None]] = []

    @property
    def partitions(self) -> int:
        return self._partitions

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def now(self) -> Instant:
        return self._clock()

    # ---- ownership -----------------------------------------------------------------------------------------------

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        now = self._clock()
        old, holder = self.data.leases.get(partition, (Lease(partition, 0, "", 0), ""))
        if old.expires_at > now and holder != owner:
            return None
        lease = Lease(partition, max(old.epoch + 1, now // 1000), f"{self._rng.getrandbits(64):016x}", now + term)
        self.data.leases[partition] = (lease, owner)
        self._saw(Leased(at=self._true_time(), partition=partition, owner=owner, epoch=lease.epoch, nonce=lease.nonce))
        return lease

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        return [self._renew(lease, term) for lease in leases]

    def _renew(self, lease: Lease, term: Span) -> Lease | None:
        if not self._is_current(lease):
            return None
        renewed = replace(lease, expires_at=self._clock() + term)
        self.data.leases[lease.partition] = (renewed, self.data.leases[lease.partition][1])
        return renewed

    async def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._is_current(lease):
                # Without its nonce, so that what the former holder still sends is fenced.
                self.data.leases[lease.partition] = (replace(lease, nonce="", expires_at=0), "")
            self._tell("lease", lease.partition)

    def _is_current(self, lease: Lease | None) -> bool:
        if lease is None:
            return False
        current, _ = self.data.leases.get(lease.partition, (None, ""))
        return current is not None and (current.epoch, current.nonce) == (lease.epoch, lease.nonce)

    async def heartbeat(self, owner: str, term: Span, level: int) -> Sequence[Peer]:
        now = self._clock()
        self.data.living[owner] = now + term, level
        return [Peer(o, known) for o, (until, known) in sorted(self.data.living.items()) if until > now]

    async def deregister(self, owner: str) -> None:
        self.data.living.pop(owner, None)

    # ---- the round -----------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        check_round(writes)
        judged = []
        for write in writes:
            lease = leases.get(self._part(write.saga.id))
            judged.append((write, lease, self._judge(write, fenced=not self._is_current(lease))))
        for write, lease, verdict in judged:
            self._carry_out(write, verdict, lease)
        return [verdict for _, _, verdict in judged]

    async def create(self, write: Write) -> Verdict:
        check_create(write)
        verdict = self._judge(write, fenced=False)
        self._carry_out(write, verdict, None, is_create=True)
        self._tell("due", self._part(write.saga.id))
        return verdict

    def _judge(self, write: Write, *, fenced: bool) -> Verdict:
        found = self.data.sagas.get(write.saga.id)
        if found is not None and found.commit_id == write.commit_id:
            return Verdict.ALREADY_APPLIED
        if fenced:
            return Verdict.FENCED
        if (found.saga.version if found else 0) != write.base_version:
            return Verdict.CONFLICT
        stored = found.saga.last_sequence if found else 0
        if stored + len(write.events) != write.saga.last_sequence:
            raise ValueError(f"the write of saga {write.saga.id!r} has events that do not continue after {stored}")
        return Verdict.APPLIED

    def _carry_out(self, write: Write, verdict: Verdict, lease: Lease | None, *, is_create: bool = False) -> None:
        found = self.data.sagas.get(write.saga.id)
        part = self._part(write.saga.id)
        if verdict is Verdict.APPLIED:
            self._apply(write, found, part)
        self._saw(
            Committed(
                at=self._true_time(),
                write=write,
                verdict=verdict,
                before=found.saga if found else None,
                partition=part,
                epoch=lease.epoch if lease else 0,
                nonce=lease.nonce if lease else "",
                is_create=is_create,
            )
        )

    def _apply(self, write: Write, found: Record | None, part: int) -> None:
        self.data.sagas[write.saga.id] = Record(
            saga=write.saga,
            commit_id=write.commit_id,
            due_at=write.due_at,
            in_flight=write.in_flight,
            events=(found.events if found else ()) + write.events,
        )
        if write.definition is not None:
            self._keep_inline(write.saga, write.definition)
        for event in write.events:
            self.data.position += 1
            self.data.feed.append((part, FeedItem(self.data.position, write.saga.id, event)))
        self._answer(write.answers)

    async def reply(
        self, saga_id: str, base_version: int | None, answers: Sequence[InboxAnswer], lease: Lease
    ) -> Verdict:
        check_reply(saga_id, answers)
        found, part = self.data.sagas.get(saga_id), self._part(saga_id)
        verdict = Verdict.APPLIED
        if lease.partition != part or not self._is_current(lease):
            verdict = Verdict.FENCED
        elif base_version not in (None, found.saga.version if found else 0):
            verdict = Verdict.CONFLICT
        else:
            self._answer(answers)
        self._saw(
            Replied(
                at=self._true_time(),
                saga_id=saga_id,
                base_version=base_version,
                entry_ids=tuple(a.entry_id for a in answers),
                verdict=verdict,
                partition=part,
                epoch=lease.epoch,
                nonce=lease.nonce,
            )
        )
        return verdict

    def _answer(self, answers: Sequence[InboxAnswer]) -> None:
        now = self._clock()
        for answer in answers:
            message = self.data.inbox.get(answer.entry_id)
            if message is not None and message.answer is None:
                self.data.inbox[answer.entry_id] = replace(message, answer=answer.answer, answered_at=now)
        if answers:
            old = [e for e, x in self.data.inbox.items() if x.answer is not None and x.answered_at < now - ANSWERS_KEPT]
            for entry_id in old:
                del self.data.inbox[entry_id]

    def _part(self, saga_id: str) -> int:
        return partition_of(saga_id, self._partitions)

    # ---- inbox ---------------------------------------------------------------------------------------------------

    async def post(self, entry: InboxEntry) -> None:
        if entry.entry_id not in self.data.inbox:
            self.data.inbox[entry.entry_id] = Message(entry)
            self._saw(Posted(at=self._true_time(), entry_id=entry.entry_id, saga_id=entry.saga_id))
        self._tell("inbox", self._part(entry.saga_id))

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        waiting = [x.entry for x in self.data.inbox.values() if x.answer is None]
        return [e for e in waiting if self._part(e.saga_id) == partition][:limit]

    async def answer(self, entry: InboxEntry) -> bytes | None:
        message = self.data.inbox.get(entry.entry_id)
        return message.answer if message is not None else None

    # ---- reading -------------------------------------------------------------------------------------------------

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        found = [self.data.sagas.get(i) for i in saga_ids]
        return [record.saga if record else None for record in found]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        record = self.data.sagas.get(saga_id)
        return [e for e in record.events if e.sequence > after][:limit] if record else []

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        due = [(r.due_at, i) for i, r in self._of(partition) if 0 < r.due_at <= until]
        return [Due(i, at) for at, i in sorted(due)[:limit]]

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        return sorted(i for i, r in self._of(partition) if r.in_flight and i > after)[:limit]

    def _of(self, partition: int) -> list[tuple[str, Record]]:
        return [(i, r) for i, r in self.data.sagas.items() if self._part(i) == partition]

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        return [x for p, x in self.data.feed if p == partition and x.position > after][:limit]

    async def feed_end(self, partition: int) -> int:
        return max((x.position for p, x in self.data.feed if p == partition), default=0)

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        listing = [replace(wanted, overdue_at=int(wanted.overdue_at > 0)), order.value]
        after = read_token(listing, page_token, int, str)
        name, direction = order.value.split()
        found = [(getattr(r.saga, name), i, r.saga) for i, r in self.data.sagas.items() if _matches(r, wanted)]
        found.sort(key=lambda row: row[:2], reverse=direction == "desc")
        if after is not None:
            last = (after[0], after[1])
            found = [row for row in found if (row[:2] < last if direction == "desc" else row[:2] > last)]
        page = found[:page_size]
        token = make_token(listing, list(page[-1][:2])) if len(found) > page_size else ""
        return SagaPage(tuple(saga for _, _, saga in page), token)

    async def count(self) -> Mapping[SagaState, int]:
        counts: dict[SagaState, int] = {}
        for record in self.data.sagas.values():
            counts[record.saga.state] = counts.get(record.saga.state, 0) + 1
        return counts

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        found = self.data.sagas.get(saga_id)
        if found is None or not self._is_current(lease) or self._part(saga_id) != lease.partition:
            return False
        if not found.saga.state.is_terminal:
            return False
        del self.data.sagas[saga_id]
        self.data.feed = [(p, x) for p, x in self.data.feed if x.saga_id != saga_id]
        return True

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        over = [
            (r.saga.completed_at, i)
            for i, r in self._of(partition)
            if r.saga.state.is_terminal and r.saga.state is not SagaState.FAILED and r.saga.completed_at < older_than
        ]
        return [i for _, i in sorted(over)[:limit]]

    # ---- definitions ---------------------------------------------------------------------------------------------

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        versions = self._versions(definition.id)
        for known in versions:
            if known.digest == digest:
                return known, False
        version = max((known.version for known in versions), default=0) + 1
        return self._keep(
            StoredDefinition(definition=definition, version=version, digest=digest, registered_at=at)
        ), True

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        if not version and digest:
            return self.data.definitions.get((definition_id, 0, digest))
        versions = self._versions(definition_id)
        fits = [d for d in versions if (d.version == version if version else not d.disabled)]
        return fits[-1] if fits else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> tuple[Sequence[StoredDefinition], str]:
        listing = ["definitions", definition_id, include_disabled]
        after = read_token(listing, page_token, str, int) or ["", 0]
        wanted: list[StoredDefinition] = []
        for known in sorted({i for i, _, _ in self.data.definitions}):
            versions = [d for d in self._versions(known) if include_disabled or not d.disabled]
            if definition_id:
                wanted += versions if known == definition_id else []
            else:
                wanted += versions[-1:]
        wanted = [d for d in wanted if [d.definition.id, d.version] > after]
        page = wanted[:page_size]
        more = len(wanted) > page_size
        return page, make_token(listing, [page[-1].definition.id, page[-1].version]) if more else ""

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        for known in self._versions(definition_id):
            if known.version == version:
                return self._keep(replace(known, disabled=disabled))
        return None

    def _versions(self, definition_id: str) -> list[StoredDefinition]:
        found = [d for (i, version, _), d in self.data.definitions.items() if i == definition_id and version]
        return sorted(found, key=lambda d: d.version)

    def _keep_inline(self, saga: Saga, definition: Definition) -> None:
        if (definition.id, 0, saga.definition_digest) not in self.data.definitions:
            digest, at = saga.definition_digest, saga.created_at
            self._keep(StoredDefinition(definition=definition, version=0, digest=digest, registered_at=at))

    def _keep(self, stored: StoredDefinition) -> StoredDefinition:
        self.data.definitions[stored.definition.id, stored.version, stored.digest] = stored
        return stored

    # ---- hints and what the world asks -----------------------------------------------------------------------------

    def listen(self, heard: Callable[[Hint], None]) -> Callable[[], None]:
        self._listeners.append(heard)

        def stop() -> None:
            if heard in self._listeners:
                self._listeners.remove(heard)

        return stop

    def _tell(self, kind: str, partition: int) -> None:
        for heard in list(self._listeners):
            heard(Hint(kind, partition))

    @property
    def is_settled(self) -> bool:
        """Every saga has its outcome and every inbox is empty."""
        return all(r.saga.state.is_terminal for r in self.data.sagas.values()) and all(
            x.answer is not None for x in self.data.inbox.values()
        )

    def remains(self) -> list[Remains]:
        """Every saga as it is now."""
        at = self._true_time()
        return [
            Remains(at=at, saga=r.saga, events=r.events, due_at=r.due_at, in_flight=r.in_flight)
            for _, r in sorted(self.data.sagas.items())
        ]

    def orphans(self) -> tuple[str, ...]:
        """Ids of sagas whose definition is not here."""
        pins = {i: (r.saga.definition_id, r.saga.definition_version, r.saga.definition_digest)
                for i, r in self.data.sagas.items()}  # fmt: skip
        return tuple(sorted(i for i, pin in pins.items() if pin not in self.data.definitions))


def _matches(record: Record, wanted: SagaFilter) -> bool:
    saga = record.saga
    return (
        (not wanted.states or saga.state in wanted.states)
        and (not wanted.definition_ids or saga.definition_id in wanted.definition_ids)
        and _within(saga.created_at, wanted.created_from, wanted.created_to)
        and _within(saga.updated_at, wanted.updated_from, wanted.updated_to)
        and all(saga.labels.get(k) == v for k, v in wanted.labels.items())
        and all(k in saga.metadata and _same(saga.metadata[k], v) for k, v in wanted.metadata.items())
        and (not wanted.overdue_at or 0 < record.due_at < wanted.overdue_at)
        and (not wanted.stuck or saga.quarantined > 0)
    )


def _within(at: Instant, low: Instant, high: Instant) -> bool:
    return at >= low and (not high or at < high)


def _same(stored: Any, asked: Any) -> bool:
    return isinstance(stored, bool) == isinstance(asked, bool) and bool(stored == asked)
