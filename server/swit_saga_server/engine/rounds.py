"""One stage of the loop: what is ready is committed, many sagas in one go, and applied as the store's verdicts say.

If the outcome of a commit is unknown, the identical round is committed again until there is a verdict or the lease
ends; meanwhile its sagas stand still.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.errors import NeedsNewerLevel, StoreFault, StoreUnavailable
from swit_saga_server.core.model import Saga, is_in_flight, same_origin
from swit_saga_server.engine.applying import Applying
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.failpoints import Point, reach
from swit_saga_server.engine.patience import YIELD_EVERY, Backoff
from swit_saga_server.engine.supervisor import Supervisor
from swit_saga_server.engine.working_set import Entry, Phase
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import InboxAnswer, Lease, Verdict, Write, partition_of

log = get_logger(__name__)

_Found: TypeAlias = Verdict | Exception | None
"""A verdict; why nothing was written, nor ever will be as it is; None if nobody will know."""
_Ask: TypeAlias = Callable[[], Awaitable[Sequence[_Found]]]
"""Puts one question to the store. Not a coroutine: one that a killed round never asks would be left unawaited."""


FAULTS_BORNE = 3
"""Tries of a write that the store does not understand: it may be the store's fault, and pass, or the write's."""


class Rounds:
    """Commits what is ready: a round of any size if none is under way, full ones beside those that are.

    Attributes:
        under_way: Rounds begun and not yet applied.
    """

    def __init__(self, context: Context, applying: Applying, supervisor: Supervisor) -> None:
        self._store = context.store
        self._options = context.options
        self._env = context.env
        self._ownership = context.ownership
        self._working_set = context.working_set
        self._counters = context.counters
        self._mailbox = context.mailbox
        self._applying = applying
        self._supervisor = supervisor
        self.under_way = 0

    def begin(self) -> None:
        """Begin all rounds that may be begun now."""
        size, ready = self._options.round_size, self._working_set.ready
        while ready and (not self.under_way or (len(ready) >= size and self.under_way < self._options.rounds)):
            entries = self._working_set.take_ready(size)
            changed = [entry for entry in entries if entry.pending is not entry.applied]
            if changed:
                self._spawn(changed, partial(self._verdicts, [self._write(entry) for entry in changed]))
            for entry in entries:
                if entry.pending is entry.applied:
                    self._spawn([entry], self._reply_of(entry))

    def _spawn(self, entries: Sequence[Entry], ask: _Ask) -> None:
        self.under_way += 1
        self._supervisor.spawn(self._commit(entries, ask))

    async def _commit(self, entries: Sequence[Entry], ask: _Ask) -> None:
        """Ask the store for its verdicts, and carry them out."""
        try:
            await self._settle(entries, await ask())
        finally:
            self.under_way -= 1
            self._mailbox.turn.set()

    async def _settle(self, entries: Sequence[Entry], verdicts: Sequence[_Found]) -> None:
        applying = self._applying
        for n, (entry, verdict) in enumerate(zip(entries, verdicts, strict=True), 1):
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            match verdict:
                case Verdict.APPLIED | Verdict.ALREADY_APPLIED:
                    applying.apply(entry)
                case Verdict.FENCED:
                    applying.fenced(entry)
                case Verdict.CONFLICT:
                    applying.conflicted(entry)
                case NeedsNewerLevel():
                    applying.refused(entry, verdict)
                case Exception():
                    applying.unwritable(entry, verdict)
                case None:
                    applying.unknown(entry)
        applying.done()

    def _write(self, entry: Entry) -> Write:
        after, before = entry.pending, entry.applied
        assert after is not None
        entry.phase = Phase.COMMITTING
        entry.commit_id = self._env.hex(16)
        entry.due_at = due_at(after)
        old = before.steps if before is not None else ()
        return Write(
            saga=after,
            base_version=before.version if before is not None else 0,
            commit_id=entry.commit_id,
            changed_steps=tuple([i for i, s in enumerate(after.steps) if i >= len(old) or old[i] is not s]),
            events=tuple(entry.events),
            due_at=entry.due_at,
            in_flight=is_in_flight(after),
            changed_origin=before is None or not same_origin(before, after),
            definition=entry.definition if before is None and not after.definition_version else None,
            answers=tuple(entry.answers),
        )

    def _reply_of(self, entry: Entry) -> _Ask:
        """The answers to inbox messages that changed nothing."""
        saga = entry.applied
        assert saga is not None
        entry.phase = Phase.COMMITTING
        entry.due_at = due_at(saga)
        return partial(self._reply_verdict, entry.partition, saga, tuple(entry.answers))

    async def _reply_verdict(self, partition: int, saga: Saga, answers: Sequence[InboxAnswer]) -> Sequence[_Found]:
        backoff = Backoff()
        while (lease := self._ownership.leases.get(partition)) is not None:
            try:
                reach(Point.COMMIT_BEFORE)
                verdict = await self._store.reply(saga.id, saga.version, answers, lease)
                reach(Point.COMMIT_AFTER)
                return [verdict]
            except StoreUnavailable as unknown:
                log.debug("reply_outcome_unknown", saga_id=saga.id, error=str(unknown))
                if not self._ownership.holds(partition):
                    return [None]
                await backoff.wait()
            except Exception as failed:
                return [failed]
        return [Verdict.FENCED]

    async def _verdicts(self, writes: Sequence[Write]) -> Sequence[_Found]:
        """The store's verdicts; None where there is none, because its lease ended first."""
        leases: Mapping[int, Lease] = dict(self._ownership.leases)
        backoff, faults = Backoff(), 0
        while True:
            try:
                reach(Point.COMMIT_BEFORE)
                verdicts = await self._store.commit(writes, leases)
                reach(Point.COMMIT_AFTER)
                self._counters.rounds += 1
                self._counters.writes += len(writes)
                return verdicts
            except Exception as failed:
                faults += isinstance(failed, StoreFault)
                if not isinstance(failed, StoreUnavailable) or faults > FAULTS_BORNE:
                    if len(writes) == 1:
                        return [failed]
                    # One bad write must not hold up the others: each on its own.
                    return [v for write in writes for v in await self._verdicts([write])]
                held = [self._ownership.holds(partition_of(w.saga.id, self._store.partitions)) for w in writes]
                log.debug("commit_outcome_unknown", writes=len(writes), held=sum(held), error=str(failed))
                if not any(held):
                    return [None] * len(writes)
                await backoff.wait()
