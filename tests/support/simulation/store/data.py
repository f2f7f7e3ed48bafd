"""What the simulated store holds, and where the ports find it."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

from swit_saga_server.core.errors import NeedsNewerLevel, NewerRecord
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.store.codec import PRESENT, Codec, Writer
from swit_saga_server.store.contract import FeedItem, InboxEntry, Lease, StoredDefinition, Write, partition_of
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.round import UNENCODABLE, unstorable
from tests.support.simulation.levels import MET
from tests.support.simulation.observed import Noted, Observation


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
    answered_at: Instant = NEVER


@dataclass
class Data:
    """Everything stored. All values are immutable, so a copy of the containers is a snapshot."""

    sagas: dict[str, Record] = field(default_factory=dict)
    leases: dict[int, tuple[Lease, str]] = field(default_factory=dict)
    inbox: dict[str, Message] = field(default_factory=dict)
    feed: list[tuple[int, FeedItem]] = field(default_factory=list)
    position: int = 0
    definitions: dict[tuple[str, int, str], StoredDefinition] = field(default_factory=dict)
    living: dict[str, tuple[Instant, int]] = field(default_factory=dict)
    names: dict[str, tuple[str, Instant]] = field(default_factory=dict)

    def copy(self) -> Self:
        """A snapshot: of every field there is, whatever is added to them."""
        return replace(self, **{f.name: copy.copy(getattr(self, f.name)) for f in fields(self)})


@dataclass(slots=True)
class Shelf:
    """Where the data lies, which a rewind replaces."""

    data: Data


class Memory:
    """The data, with the clock and the witness, as processes of one version have it.

    Attributes:
        partitions: Their number.
        clock: The store's clock.
        true_time: For observations.
        saw: Told of every lease, judged write and posted entry.
        fleet: At which level it is written.
    """

    _shelf: Shelf

    def __init__(
        self,
        partitions: int,
        clock: Callable[[], Instant],
        true_time: Callable[[], Instant],
        saw: Callable[[Observation], None],
        fleet: Fleet,
    ) -> None:
        self._shelf = Shelf(Data())
        self.partitions = partitions
        self.clock = clock
        self.true_time = true_time
        self.saw = saw
        self.fleet = fleet

    def as_version(self, codec: Codec) -> "Memory":
        """The same data, as a process of another version has it, which has met nobody yet."""
        other = Memory(self.partitions, self.clock, self.true_time, self.saw, Fleet(codec))
        other._shelf = self._shelf
        return other

    @property
    def data(self) -> Data:
        """Everything stored."""
        return self._shelf.data

    @data.setter
    def data(self, data: Data) -> None:
        self._shelf.data = data

    def part(self, saga_id: str) -> int:
        """The partition of a saga."""
        return partition_of(saga_id, self.partitions)

    def is_current(self, lease: Lease | None) -> bool:
        """Whether it is its partition's latest."""
        if lease is None:
            return False
        current, _ = self.data.leases.get(lease.partition, (None, ""))
        return current is not None and (current.epoch, current.nonce) == (lease.epoch, lease.nonce)

    # Values are kept as they are; what would be written and read of them is only looked at where levels differ.

    def check_values(self, writes: Sequence[Write]) -> None:
        """As if they were written, at this version's own level.

        Raises:
            UnstorableValue.
        """
        codec = self.fleet.codec
        writer = codec.at(codec.level)
        for write in writes:
            try:
                _pack(writer, write.saga, write.changed_steps)
                if write.changed_origin:
                    writer.pack_origin(write.saga)
            except UNENCODABLE as error:
                raise unstorable(f"saga {write.saga.id!r}", error) from error

    def check_level(self, writes: Sequence[Write]) -> None:
        """As if they were written at the fleet's level.

        Raises:
            NeedsNewerLevel.
        """
        writer = self.fleet.writer
        if writer.level < self.fleet.codec.level:
            for write in writes:
                _pack(writer, write.saga, write.changed_steps)
                writer.pack_events(write.events)
                if write.changed_origin:
                    writer.pack_origin(write.saga)
                if write.definition is not None:
                    writer.pack_definition(write.definition)

    def read(self, saga: Saga) -> Saga:
        """A saga as this version reads it: one that it could not have written is newer.

        Raises:
            NewerRecord.
        """
        codec = self.fleet.codec
        if codec is not PRESENT:
            writer = codec.at(codec.level)
            try:
                _pack(writer, saga, range(len(saga.steps)))
                writer.pack_origin(saga)
            except NeedsNewerLevel as newer:
                self.saw(Noted(at=self.true_time(), what=MET, on=saga.id))
                raise NewerRecord(f"saga {saga.id!r}: {newer}", saga_id=saga.id) from newer
        return saga


def _pack(writer: Writer, saga: Saga, steps: Iterable[int]) -> None:
    for i in steps:
        writer.pack_step(saga.steps[i])
    writer.pack_progress(saga)
