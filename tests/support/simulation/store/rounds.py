"""Rounds of the simulated store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from swit_saga_server.core.units import MINUTE, Span
from swit_saga_server.store.contract import FeedItem, InboxAnswer, Lease, Verdict, Write
from swit_saga_server.store.round import check_create, check_reply, check_round
from tests.support.simulation.observed import Committed, Replied
from tests.support.simulation.store.data import Memory, Record
from tests.support.simulation.store.definitions import keep_inline
from tests.support.simulation.store.hints import SimHints

ANSWERS_KEPT: Span = 20 * MINUTE


class SimRounds:
    """``Rounds`` in memory."""

    def __init__(self, memory: Memory, hints: SimHints) -> None:
        self._memory = memory
        self._hints = hints

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        check_round(writes)
        self._memory.check_values(writes)
        self._memory.check_level(writes)
        judged = []
        for write in writes:
            lease = leases.get(self._memory.part(write.saga.id))
            judged.append((write, lease, self._judge(write, fenced=not self._memory.is_current(lease))))
        for write, lease, verdict in judged:
            self._carry_out(write, verdict, lease)
        return [verdict for _, _, verdict in judged]

    async def create(self, write: Write) -> Verdict:
        check_create(write)
        self._memory.check_values([write])
        self._memory.check_level([write])
        verdict = self._judge(write, fenced=False)
        self._carry_out(write, verdict, None, is_create=True)
        self._hints.give("due", self._memory.part(write.saga.id))
        return verdict

    def _judge(self, write: Write, *, fenced: bool) -> Verdict:
        found = self._memory.data.sagas.get(write.saga.id)
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
        found = self._memory.data.sagas.get(write.saga.id)
        part = self._memory.part(write.saga.id)
        if verdict is Verdict.APPLIED:
            self._apply(write, found, part)
        self._memory.saw(
            Committed(
                at=self._memory.true_time(),
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
        self._memory.data.sagas[write.saga.id] = Record(
            saga=write.saga,
            commit_id=write.commit_id,
            due_at=write.due_at,
            in_flight=write.in_flight,
            events=(found.events if found else ()) + write.events,
        )
        if write.definition is not None:
            keep_inline(self._memory.data, write.saga, write.definition)
        for event in write.events:
            self._memory.data.position += 1
            self._memory.data.feed.append((part, FeedItem(self._memory.data.position, write.saga.id, event)))
        self._answer(write.answers)

    async def reply(
        self, saga_id: str, base_version: int | None, answers: Sequence[InboxAnswer], lease: Lease
    ) -> Verdict:
        check_reply(saga_id, answers)
        found, part = self._memory.data.sagas.get(saga_id), self._memory.part(saga_id)
        verdict = Verdict.APPLIED
        if lease.partition != part or not self._memory.is_current(lease):
            verdict = Verdict.FENCED
        elif base_version not in (None, found.saga.version if found else 0):
            verdict = Verdict.CONFLICT
        else:
            self._answer(answers)
        self._memory.saw(
            Replied(
                at=self._memory.true_time(),
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
        now = self._memory.clock()
        for answer in answers:
            message = self._memory.data.inbox.get(answer.entry_id)
            if message is not None and message.answer is None:
                self._memory.data.inbox[answer.entry_id] = replace(message, answer=answer.answer, answered_at=now)
        if answers:
            old = [
                e
                for e, x in self._memory.data.inbox.items()
                if x.answer is not None and x.answered_at < now - ANSWERS_KEPT
            ]
            for entry_id in old:
                del self._memory.data.inbox[entry_id]
