"""``post``, ``inbox``, ``answer``, and what consumes them: ``commit`` and ``reply``."""

from dataclasses import replace

import pytest

from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import MINUTE, SECOND
from swit_saga_server.store.conformance.backend import Backend, WithStore, hold_all, reopen
from swit_saga_server.store.conformance.samples import FAR, answers_to, applied, change, fresh, ids_in, start
from swit_saga_server.store.contract import InboxAnswer, InboxEntry, Lease, StateStorage, Verdict, partition_of


def entry(saga_id: str, body: bytes = b"\x00body") -> InboxEntry:
    """A fresh entry."""
    return InboxEntry(entry_id=fresh("entry"), saga_id=saga_id, body=body)


async def replied(store: StateStorage, leases: dict[int, Lease], saga: Saga, e: InboxEntry) -> None:
    """Answer an entry that changed nothing with its own id."""
    lease = leases[partition_of(saga.id, store.partitions)]
    assert await store.reply(saga.id, saga.version, answers_to(e.entry_id), lease) is Verdict.APPLIED


class InboxTests(WithStore):
    """Requests for sagas that another coordinator owns."""

    async def test_entries_come_in_order(self, store: StateStorage) -> None:
        """The oldest first, whole, up to the limit, again until consumed."""
        ids = ids_in(0, store.partitions)
        posted = [entry(next(ids), body=bytes([n])) for n in range(9)]
        for e in posted:
            await store.post(e)
        assert list(await store.inbox(0, 100)) == posted
        assert list(await store.inbox(0, 4)) == posted[:4]

    async def test_each_partition_has_its_own(self, store: StateStorage) -> None:
        """An entry is in its saga's partition's inbox only."""
        posted = [entry(next(ids_in(p, store.partitions))) for p in range(store.partitions)]
        for e in posted:
            await store.post(e)
        assert [list(await store.inbox(p, 10)) for p in range(store.partitions)] == [[e] for e in posted]

    async def test_posting_twice_posts_once(self, backend: Backend, store: StateStorage) -> None:
        """Before and after a restart: an entry is durable."""
        e = entry("saga")
        part = partition_of("saga", store.partitions)
        await store.post(e)
        await store.post(e)
        assert list(await store.inbox(part, 10)) == [e]
        store = await reopen(backend, store)
        try:
            await store.post(e)
            assert list(await store.inbox(part, 10)) == [e]
        finally:
            await store.close()

    async def test_commit_consumes_and_answers(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """Entry gone, answer there, saga changed: all in one atomic step, and durable."""
        (saga,) = await applied(store, leases, start())
        part = partition_of(saga.id, store.partitions)
        first, second, third = (entry(saga.id) for _ in range(3))
        for e in (first, second, third):
            await store.post(e)
        assert await store.answer(first) is None
        answers = tuple(InboxAnswer(entry_id=e.entry_id, answer=b) for e, b in ((first, b"yes"), (third, b"")))
        (saga,) = await applied(store, leases, change(saga, answers=answers))
        store = await reopen(backend, store)
        try:
            assert list(await store.inbox(part, 10)) == [second]
            assert [await store.answer(e) for e in (first, second, third)] == [b"yes", None, b""]
            assert await store.load([saga.id]) == [saga]
        finally:
            await store.close()

    async def test_consumed_entry_stays_so(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A repeated post does not bring it back, and a repeated answer does not replace the first (invariant 13)."""
        (saga,) = await applied(store, leases, start())
        e = entry(saga.id)
        await store.post(e)
        await replied(store, leases, saga, e)
        await store.post(e)
        assert list(await store.inbox(partition_of(saga.id, store.partitions), 10)) == []
        other = (InboxAnswer(entry_id=e.entry_id, answer=b"other"),)
        await applied(store, leases, change(saga, answers=other))
        assert await store.answer(e) == e.entry_id.encode()

    async def test_entry_that_changed_nothing_is_answered(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Only entries and answers are written; the saga is as it was, and a write on its way is not disturbed."""
        write = start()
        (saga,) = await applied(store, leases, write)
        part = partition_of(saga.id, store.partitions)
        e = entry(saga.id)
        await store.post(e)
        due = await store.due(part, FAR, 10)
        await replied(store, leases, saga, e)
        assert await store.answer(e) == e.entry_id.encode()
        assert list(await store.inbox(part, 10)) == []
        assert await store.load([saga.id]) == [saga]
        assert await store.due(part, FAR, 10) == due
        assert len(await store.events(saga.id, 0, 10)) == 1
        assert await store.commit([write], leases) == [Verdict.ALREADY_APPLIED]
        await applied(store, leases, change(saga))

    async def test_reply_again_is_applied_again(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Whoever did not hear of the first may say it once more; the answer stays the first."""
        (saga,) = await applied(store, leases, start())
        e, late = entry(saga.id), entry(saga.id)
        await store.post(e)
        await replied(store, leases, saga, e)
        await replied(store, leases, saga, e)
        await store.post(late)
        lease = leases[partition_of(saga.id, store.partitions)]
        both = (InboxAnswer(entry_id=e.entry_id, answer=b"other"), InboxAnswer(entry_id=late.entry_id, answer=b"late"))
        assert await store.reply(saga.id, saga.version, both, lease) is Verdict.APPLIED
        assert [await store.answer(x) for x in (e, late)] == [e.entry_id.encode(), b"late"]

    async def test_entry_for_no_saga_is_answered(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Version 0: the writer learns that there is no such saga, and there is none afterwards."""
        e = entry("nobody")
        await store.post(e)
        lease = leases[partition_of("nobody", store.partitions)]
        assert await store.reply("nobody", 0, answers_to(e.entry_id), lease) is Verdict.APPLIED
        assert await store.answer(e) == e.entry_id.encode()
        assert list(await store.inbox(partition_of("nobody", store.partitions), 10)) == []
        assert await store.load(["nobody"]) == [None]
        assert not any((await store.count()).values())

    async def test_reply_rests_on_a_version(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Another one is a conflict, for the answer may be wrong by now; the entry stays. None rests on nothing."""
        (old,) = await applied(store, leases, start())
        (saga,) = await applied(store, leases, change(old))
        part = partition_of(saga.id, store.partitions)
        e = entry(saga.id)
        await store.post(e)
        answers = answers_to(e.entry_id)
        for version in (0, old.version, saga.version + 1):
            assert await store.reply(saga.id, version, answers, leases[part]) is Verdict.CONFLICT
        nobody = next(ids_in(part, store.partitions, "nobody"))
        assert await store.reply(nobody, 1, answers, leases[part]) is Verdict.CONFLICT
        assert list(await store.inbox(part, 10)) == [e]
        assert await store.answer(e) is None
        assert await store.reply(saga.id, None, answers, leases[part]) is Verdict.APPLIED
        assert await store.answer(e) == e.entry_id.encode()

    async def test_reply_is_durable(self, backend: Backend, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Entry gone and answer there, after a restart, too."""
        (saga,) = await applied(store, leases, start())
        e = entry(saga.id)
        await store.post(e)
        await replied(store, leases, saga, e)
        store = await reopen(backend, store)
        try:
            assert list(await store.inbox(partition_of(saga.id, store.partitions), 10)) == []
            assert await store.answer(e) == e.entry_id.encode()
        finally:
            await store.close()

    async def test_reply_that_answers_nothing_is_refused(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A bug of the caller."""
        with pytest.raises(ValueError, match="answers nothing"):
            await store.reply("nobody", 0, (), leases[partition_of("nobody", store.partitions)])

    async def test_entry_and_create_in_one_write(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A start that came by the inbox."""
        e = entry(fresh("saga"))
        await store.post(e)
        write = replace(start(e.saga_id), answers=(InboxAnswer(entry_id=e.entry_id, answer=b"created"),))
        await applied(store, leases, write)
        assert await store.answer(e) == b"created"
        assert await store.load([e.saga_id]) == [write.saga]

    async def test_former_owner_cannot_consume(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """The entry is left for the new owner, who answers it; being fenced goes before a conflict."""
        (saga,) = await applied(store, leases, start())
        part = partition_of(saga.id, store.partitions)
        e = entry(saga.id)
        await store.post(e)
        taken = await hold_all(store, "me")
        wrong = [leases[part], replace(taken[part], nonce="x"), replace(taken[part], epoch=taken[part].epoch + 1)]
        wrong += [lease for p, lease in taken.items() if p != part]
        for lease in wrong:
            for version in (saga.version, 0):
                assert await store.reply(saga.id, version, answers_to(e.entry_id), lease) is Verdict.FENCED
        assert await store.answer(e) is None
        assert list(await store.inbox(part, 10)) == [e]
        await replied(store, taken, saga, e)
        assert await store.answer(e) == e.entry_id.encode()
        await store.release([taken[part]])
        assert await store.reply(saga.id, saga.version, answers_to(e.entry_id), taken[part]) is Verdict.FENCED

    async def test_answer_of_nothing(self, store: StateStorage) -> None:
        """None, for what was never posted."""
        assert await store.answer(entry("saga")) is None

    async def test_answers_are_kept_ten_minutes(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """At least; whoever waits for one has that long to come back for it."""
        (saga,) = await applied(store, leases, start())
        e, later = entry(saga.id), entry(saga.id)
        await store.post(e)
        await replied(store, leases, saga, e)
        if backend.time_is_free:
            await backend.pass_time(10 * MINUTE - SECOND)
        await store.post(later)
        await replied(store, leases, saga, later)
        assert await store.answer(e) == e.entry_id.encode()
        assert await store.answer(later) == later.entry_id.encode()
