"""The contract once more, as a plain dictionary: what ``model_based`` compares a store with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import Due, InboxEntry, Lease, Verdict, Write, partition_of


@dataclass
class Record:
    """One saga and what belongs to it."""

    saga: Saga
    commit_id: str
    due_at: Instant
    in_flight: bool
    events: list[SagaEvent]


@dataclass
class Holder:
    """Who has a partition.

    Attributes:
        lease: What counts; None before the first and once released.
        expired: It still counts, but anybody may take the partition.
        former: What no longer counts.
    """

    owner: str = ""
    lease: Lease | None = None
    expired: bool = False
    former: list[Lease] = field(default_factory=list)


class Model:
    """What the store must show after the same calls."""

    def __init__(self, partitions: int) -> None:
        """Empty, with free partitions."""
        self.partitions = partitions
        self.sagas: dict[str, Record] = {}
        self.feed: list[tuple[str, SagaEvent]] = []
        self.holders = [Holder() for _ in range(partitions)]
        self.inbox: dict[str, InboxEntry] = {}
        self.answers: dict[str, bytes] = {}

    # ---- ownership -----------------------------------------------------------------------------------------------

    def may_acquire(self, partition: int, owner: str) -> bool:
        """Whether nobody else has it."""
        holder = self.holders[partition]
        return holder.lease is None or holder.expired or holder.owner == owner

    def acquired(self, owner: str, lease: Lease) -> None:
        """The store gave out a lease."""
        holder = self.holders[lease.partition]
        if holder.lease is not None:
            holder.former.append(holder.lease)
        holder.owner, holder.lease, holder.expired = owner, lease, False

    def renewed(self, lease: Lease) -> bool:
        """Whether it could be."""
        if self._is_current(lease):
            self.holders[lease.partition].expired = False
        return self._is_current(lease)

    def released(self, lease: Lease) -> None:
        """The current one frees the partition; another does not."""
        if self._is_current(lease):
            holder = self.holders[lease.partition]
            holder.former.append(lease)
            holder.lease = None

    def restarted(self, *, leases_expire: bool) -> None:
        """The store was closed and opened."""
        for holder in self.holders:
            holder.expired |= leases_expire

    def _is_current(self, lease: Lease | None) -> bool:
        if lease is None:
            return False
        current = self.holders[lease.partition].lease
        return current is not None and (current.epoch, current.nonce) == (lease.epoch, lease.nonce)

    # ---- writes --------------------------------------------------------------------------------------------------

    def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> list[Verdict]:
        """One by one."""
        return [self._apply(w, fenced=not self._is_current(leases.get(self.part(w.saga.id)))) for w in writes]

    def create(self, write: Write) -> Verdict:
        """Needs no lease."""
        return self._apply(write, fenced=False)

    def reply(self, saga_id: str, base_version: int | None, entry_ids: Sequence[str], lease: Lease) -> Verdict:
        """Each entry is answered with its own id."""
        record = self.sagas.get(saga_id)
        if lease.partition != self.part(saga_id) or not self._is_current(lease):
            return Verdict.FENCED
        if base_version not in (None, record.saga.version if record is not None else 0):
            return Verdict.CONFLICT
        for entry_id in entry_ids:
            self.answers.setdefault(entry_id, entry_id.encode())
        return Verdict.APPLIED

    def delete(self, saga_id: str, lease: Lease) -> bool:
        """Terminal ones, under their partition's lease."""
        record = self.sagas.get(saga_id)
        if record is None or not record.saga.state.is_terminal or not self._is_current(lease):
            return False
        if lease.partition != self.part(saga_id):
            return False
        del self.sagas[saga_id]
        self.feed = [(i, event) for i, event in self.feed if i != saga_id]
        return True

    def post(self, entry: InboxEntry) -> None:
        """Once per id."""
        self.inbox.setdefault(entry.entry_id, entry)

    def _apply(self, write: Write, *, fenced: bool) -> Verdict:
        saga = write.saga
        record = self.sagas.get(saga.id)
        if record is not None and record.commit_id == write.commit_id:
            return Verdict.ALREADY_APPLIED
        if fenced:
            return Verdict.FENCED
        if write.base_version != (record.saga.version if record is not None else 0):
            return Verdict.CONFLICT
        events = [*(record.events if record is not None else ()), *write.events]
        self.sagas[saga.id] = Record(saga, write.commit_id, write.due_at, write.in_flight, events)
        self.feed += [(saga.id, event) for event in write.events]
        for answer in write.answers:
            self.answers.setdefault(answer.entry_id, answer.answer)
        return Verdict.APPLIED

    # ---- what it shows -------------------------------------------------------------------------------------------

    def part(self, saga_id: str) -> int:
        """A saga's partition."""
        return partition_of(saga_id, self.partitions)

    def due(self, partition: int) -> list[Due]:
        """Earliest first."""
        mine = ((r.due_at, i) for i, r in self.sagas.items() if r.due_at and self.part(i) == partition)
        return [Due(i, at) for at, i in sorted(mine)]

    def in_flight(self, partition: int) -> list[str]:
        """By id."""
        return sorted(i for i, r in self.sagas.items() if r.in_flight and self.part(i) == partition)

    def feed_of(self, partition: int) -> list[tuple[str, SagaEvent]]:
        """In order of commit."""
        return [(i, event) for i, event in self.feed if self.part(i) == partition]

    def waiting(self, partition: int) -> list[InboxEntry]:
        """Entries not consumed, in the order they were posted."""
        every = (e for e in self.inbox.values() if e.entry_id not in self.answers)
        return [e for e in every if self.part(e.saga_id) == partition]

    def count(self) -> dict[SagaState, int]:
        """Per state, those without any left out."""
        found: dict[SagaState, int] = {}
        for record in self.sagas.values():
            found[record.saga.state] = found.get(record.saga.state, 0) + 1
        return found
