"""Rounds: the only way in which sagas change."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import record
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract.leases import Lease


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
        base_version: The stored version this builds on, lower than ``saga.version``; 0 creates the saga.
        commit_id: Unique to this write, without blanks; a resubmission carries the same one.
        changed_steps: Indexes of the steps that differ from the stored ones; a create lists all.
        changed_origin: Whether anything beside steps and progress (``core.model.PROGRESS``) may differ from what is
            stored, as it does for a create. It is most of a saga's bytes, and hardly ever changes.
        events: To append; their sequences continue the stored ones without a gap.
        due_at: When the saga needs attention if nothing happens; 0 for never.
        in_flight: Whether a command may be out; what a takeover must look at.
        definition: Of a create whose saga came with a definition of its own (version 0): kept, in the same atomic step,
            so that no saga can be without its definition.
        answers: Inbox entries this write consumes. Those that change nothing are answered by ``reply``.
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


class Rounds(Protocol):
    """Writes of many sagas at once, each fenced by the lease on its partition."""

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
            UnstorableValue: A write has a value that the store cannot hold; nothing of its partition was applied. Each
                may be submitted again by itself; that one never can be.
            NeedsNewerLevel: A saga has something that a coordinator that lives could not read; nothing was applied.
                Each may be submitted again by itself.
        """
        ...

    async def create(self, write: Write) -> Verdict:
        """Create a *pending* saga without a lease: the one write that needs none, for sagas that others hold.

        Returns:
            ``applied``, ``already_applied``, or ``conflict`` if the saga exists.

        Raises:
            ValueError: The saga is not pending, or the write breaks a rule of ``Write``; nothing was applied.
            UnstorableValue: It has a value that the store cannot hold; nothing was applied.
            NeedsNewerLevel: As ``commit``.
        """
        ...

    async def reply(
        self, saga_id: str, base_version: int | None, answers: Sequence[InboxAnswer], lease: Lease
    ) -> Verdict:
        """Consume inbox entries that change nothing and store their answers, all or nothing; no saga is written.

        For what is refused, or has nothing left to do. The same call again is applied again, to no further effect: an
        entry that has its answer keeps it. Hence there is no commit id, and nothing is ever ``already_applied``.

        Args:
            saga_id: The saga the entries are for.
            base_version: The stored version that the answers rest on, 0 for "there is no such saga"; None if they do
                not rest on the saga at all.
            answers: At least one.
            lease: On the saga's partition.

        Returns:
            ``applied``; ``fenced`` if the lease is not the partition's current one, which is looked at first;
            ``conflict`` if the stored version is another, so that the answers may no longer be true. Durable when this
            returns.

        Raises:
            ValueError: There is nothing to answer.
        """
        ...
