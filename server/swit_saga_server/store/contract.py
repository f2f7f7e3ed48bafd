"""The ``StateStorage`` contract: what every backend guarantees. The docstrings are the law; the conformance suite
(``swit_saga_server.store.conformance``) holds every backend to them.

The engine writes only by ``commit``: a *round* of many sagas' changes in one round trip, atomic *per saga*, each with a
verdict of its own. A saga belongs to the partition its id hashes to, and whoever commits must hold that partition's
*lease*: the store compares epoch and nonce for equality in the same atomic step as the write (invariant 5), so a
coordinator that lost its partition without noticing changes nothing.

Times handed in and out are ``Instant``s, microseconds since the Unix epoch, by the store's own clock.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import record
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant, Span


def partition_of(saga_id: str, partitions: int) -> int:
    """The partition a saga belongs to, for ever: CRC-32 of the id's UTF-8 bytes modulo the number of partitions."""
    return zlib.crc32(saga_id.encode()) % partitions


@record(frozen=True, slots=True)
class Lease:
    """The right to write one partition.

    Attributes:
        partition: Which.
        epoch: Grows with every change of holder and is never used twice: ``max(old + 1, store time in ms)``, so that
            a store rewound to an older state cannot repeat one either.
        nonce: Random per acquisition; tells two holders apart even if an epoch were ever repeated.
        expires_at: When another coordinator may take it, unless renewed. Only liveness: a commit never looks at it.
    """

    partition: int
    epoch: int
    nonce: str
    expires_at: Instant


class Verdict(StrEnum):
    """What became of one saga's write."""

    APPLIED = "applied"
    ALREADY_APPLIED = "already_applied"
    """This very write (same ``commit_id``) had been applied before; nothing was changed now. As good as applied."""
    FENCED = "fenced"
    """The lease is not the partition's current one; nothing was changed."""
    CONFLICT = "conflict"
    """The stored version is not ``base_version`` (or the saga exists, for a create); nothing was changed."""


@record(frozen=True, slots=True, kw_only=True)
class InboxAnswer:
    """Consumes one inbox entry and stores its answer, in the same atomic step as the write it belongs to."""

    entry_id: str
    answer: bytes


@record(frozen=True, slots=True, kw_only=True)
class Write:
    """One saga's part of a round: header, changed steps, events and due time, all or nothing.

    Attributes:
        saga: The saga after. ``saga.id`` says which partition.
        base_version: The stored version this builds on; 0 creates the saga.
        commit_id: Unique to this write, without blanks; a resubmission carries the same one.
        changed_steps: Indexes of the steps that differ from the stored ones; a create lists all.
        changed_origin: Whether anything beside steps and progress (``core.model.PROGRESS``) may differ from what is
            stored, as it does for a create. It is most of a saga's bytes, and hardly ever changes.
        events: To append; their sequences continue the stored ones without a gap.
        due_at: When the saga needs attention if nothing happens; 0 for never.
        in_flight: Whether a command may be out; what a takeover must look at.
        definition: Of a create whose saga came with a definition of its own (version 0): kept, in the same atomic step,
            so that no saga can be without its definition.
        answers: Inbox entries this write consumes. They may belong to entries that changed nothing: then ``saga`` is
            as stored, ``base_version == saga.version``, and only the entries and answers are written. To answer
            for a saga that does not exist, both versions are 0, and nothing is created.
    """

    saga: Saga
    base_version: int
    commit_id: str
    changed_steps: tuple[int, ...]
    events: tuple[SagaEvent, ...]
    due_at: Instant
    in_flight: bool
    changed_origin: bool = True
    definition: Definition | None = None
    answers: tuple[InboxAnswer, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """A request for a saga owned by another coordinator. ``body`` is opaque to the store.

    Attributes:
        entry_id: Chosen by the writer; posting it twice posts it once.
        saga_id: Says which partition's inbox.
    """

    entry_id: str
    saga_id: str
    body: bytes


@record(frozen=True, slots=True)
class Due:
    """A saga and when it needs attention."""

    saga_id: str
    due_at: Instant


@record(frozen=True, slots=True)
class FeedItem:
    """One event in a partition's feed. ``position`` grows with every event of the partition, gaps allowed."""

    position: int
    saga_id: str
    event: SagaEvent


class SagaOrder(StrEnum):
    """Sort order of a list; ties are broken by saga id, so that pages never overlap."""

    CREATED_DESC = "created_at desc"
    CREATED_ASC = "created_at asc"
    UPDATED_DESC = "updated_at desc"
    UPDATED_ASC = "updated_at asc"


@record(frozen=True, slots=True, kw_only=True)
class SagaFilter:
    """Which sagas to list; conditions are joined by *and*, an empty one matches all.

    Attributes:
        states, definition_ids: Any of these.
        created_from, updated_from: Inclusive; 0 is open.
        created_to, updated_to: Exclusive; 0 is open.
        labels: Every label must have this very value.
        metadata: Every top-level metadata key must have this very value (strings, numbers, booleans).
        overdue_at: Only sagas whose due time lies before this; 0 does not ask.
        stuck: Only parked sagas.
    """

    states: frozenset[SagaState] = frozenset()
    definition_ids: frozenset[str] = frozenset()
    created_from: Instant = 0
    created_to: Instant = 0
    updated_from: Instant = 0
    updated_to: Instant = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str | float | bool] = field(default_factory=dict)
    overdue_at: Instant = 0
    stuck: bool = False


@record(frozen=True, slots=True)
class SagaPage:
    """One page of a list; ``next_token`` is empty on the last page, opaque otherwise."""

    sagas: tuple[Saga, ...]
    next_token: str


@record(frozen=True, slots=True, kw_only=True)
class StoredDefinition:
    """A definition as stored, immutable but for ``disabled``.

    Attributes:
        version: From 1 per definition id; 0 for one that came inline with a start.
        digest: Of its content; names inline ones.
    """

    definition: Definition
    version: int
    digest: str
    registered_at: Instant
    disabled: bool = False


@record(frozen=True, slots=True)
class Hint:
    """A wake-up: something may be new in ``partition``. May come twice, late or never; never more than a hint.

    ``kind`` is ``inbox`` (an entry was posted), ``due`` (a saga was created without a lease) or ``lease`` (a partition
    was released).
    """

    kind: str
    partition: int


@runtime_checkable
class StateStorage(Protocol):
    """Durable state of all sagas.

    Every method may raise ``StoreUnavailable``: a read then read nothing; of a write it is unknown whether it
    happened, and calling again with the same arguments is safe. Methods may be called concurrently.
    """

    @property
    def partitions(self) -> int:
        """Number of partitions, fixed when the store was first set up. Valid after ``open``."""
        ...

    async def open(self) -> None:
        """Connect and set up what is missing.

        A store that only one process can have open lets all leases expire: the former holders are gone.

        Raises:
            StoreRefused: The store is held by another process and takes only one, or its schema is of another version.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. Safe to call twice, and before ``open``. Leases are not released by this."""
        ...

    async def now(self) -> Instant:
        """The store's clock."""
        ...

    # ---- ownership -----------------------------------------------------------------------------------------------

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """Take the partition if nobody holds it, its lease has expired, or ``owner`` held it already.

        Always a *new* lease with a higher epoch and a fresh nonce: a former life of the same owner is fenced.

        Returns:
            The lease, valid for ``term`` from now; None while somebody else's is valid.
        """
        ...

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """Extend each lease to ``term`` from now; None for those whose epoch or nonce is no longer current.

        A lease that expired but was not taken by anyone else is renewed.
        """
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give the partitions up at once, so that others need not wait. Those no longer held are passed over.

        What is still committed under a released lease is fenced.
        """
        ...

    async def attend(self, owner: str, term: Span) -> Sequence[str]:
        """Say that ``owner`` lives, until ``term`` from now; for sharing partitions out evenly.

        Returns:
            All owners that are said to live, sorted, ``owner`` among them. Only a hint about who else is there: nothing
            is decided by it but how many partitions to ask for.
        """
        ...

    async def leave(self, owner: str) -> None:
        """``owner`` lives no more: the others may share its part. Safe to repeat."""
        ...

    # ---- the round -----------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        """Apply each write whose lease and base version are current. Durable when this returns.

        At most one write per saga in a round. Each write is atomic: header, steps, events, feed, due time, indexes,
        inbox and answers are all there or none of them, whatever crashes. Other writes of the round do not matter to
        it. A write whose ``commit_id`` is the saga's latest is ``already_applied``, *before* the lease is looked at, so
        that a resubmission after a takeover still gets the truth. Fencing is checked before the version.

        Args:
            writes: The round.
            leases: By partition; a write whose partition is not in here is fenced.

        Returns:
            A verdict per write, in order.

        Raises:
            ValueError: A write breaks a rule of ``Write``, or a saga stands in the round twice: a bug of the caller.
                Nothing of that write's partition was applied. All may be submitted again, each by itself.
        """
        ...

    async def create(self, write: Write) -> Verdict:
        """Create a *pending* saga without a lease: the one write that needs none, for starts at a foreign coordinator.

        Returns:
            ``applied``, ``already_applied``, or ``conflict`` if the saga exists.

        Raises:
            ValueError: The saga is not pending, or the write breaks a rule of ``Write``; nothing was applied.
        """
        ...

    # ---- inbox ---------------------------------------------------------------------------------------------------

    async def post(self, entry: InboxEntry) -> None:
        """Put an entry in its partition's inbox, durably, once per ``entry_id``.

        What is consumed stays so for as long as its answer is kept; later the same id is a new entry.
        """
        ...

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """The oldest entries not yet consumed, in the order they were posted."""
        ...

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """The answer the consuming write stored; None while there is none. Kept for at least 10 minutes."""
        ...

    # ---- reading -------------------------------------------------------------------------------------------------

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """The sagas, whole, in order; None for those that do not exist."""
        ...

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """A saga's events with ``sequence > after``, in order. Never trimmed while the saga exists."""
        ...

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """Sagas due at or before ``until``, earliest first."""
        ...

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """Ids of sagas with a command out, in id order, those greater than ``after`` only (for paging)."""
        ...

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """The partition's events with ``position > after``, in order of commit."""
        ...

    async def feed_end(self, partition: int) -> int:
        """Where the partition's feed ends now: none of its events lies beyond, and all that is committed later does."""
        ...

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """A page of matching sagas.

        A saga that exists and matches during the whole listing is on exactly one page, provided that what the list is
        sorted by does not change meanwhile.

        Args:
            wanted: The filter; the same for every page, but ``overdue_at`` may move on.
            order: The sort order; the same for every page.
            page_size: Sagas at most, from 1.
            page_token: Empty for the first page, else the ``next_token`` of the one before.

        Raises:
            InvalidRequest: The token is not one of this listing's.
        """
        ...

    async def count(self) -> Mapping[SagaState, int]:
        """Sagas per state, over all partitions; states without any may be missing."""
        ...

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """Remove a *terminal* saga with its events and index entries, durably.

        Returns:
            False if it is not there, not terminal, not of the lease's partition, or the lease is not current.
        """
        ...

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """Terminal sagas completed before ``older_than``, oldest first; ``failed`` ones never (invariant 16)."""
        ...

    # ---- definitions ---------------------------------------------------------------------------------------------

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """Give the definition its version: the existing one for the same content, else the next, from 1.

        Returns:
            The definition as stored, and whether it is new. Registering a disabled version's content enables nothing.
        """
        ...

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        """One version. Version 0 with a digest is one that came inline; without, the latest that is not disabled."""
        ...

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> tuple[Sequence[StoredDefinition], str]:
        """A page by id and version, and the next token: all versions of one id if it is given, else the latest of each.

        Raises:
            InvalidRequest: The token is not one of this listing's.
        """
        ...

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """Set or clear ``disabled`` on one version; None if there is no such version."""
        ...

    # ---- hints ---------------------------------------------------------------------------------------------------

    def listen(self, heard: Callable[[Hint], None]) -> Callable[[], None]:
        """Call ``heard`` on this event loop when something may be new by another's hand; the call returned ends it."""
        ...
