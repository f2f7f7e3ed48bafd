"""``post``, ``inbox``, ``answer``, and their consumption by a commit."""

from dataclasses import replace

from swit_saga_server.core.units import MINUTE, SECOND
from swit_saga_server.store.conformance.backend import Backend, WithStore, hold_all, reopen
from swit_saga_server.store.conformance.samples import applied, change, fresh, ids_in, only_answers, start
from swit_saga_server.store.contract import InboxAnswer, InboxEntry, Lease, StateStorage, Verdict, partition_of


def entry(saga_id: str, body: bytes = b"\x00body") -> InboxEntry:
    """A fresh entry."""
    return InboxEntry(entry_id=fresh("entry"), saga_id=saga_id, body=body)


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
        await applied(store, leases, only_answers(saga, e.entry_id))
        await store.post(e)
        assert list(await store.inbox(partition_of(saga.id, store.partitions), 10)) == []
        other = (InboxAnswer(entry_id=e.entry_id, answer=b"other"),)
        await applied(store, leases, change(saga, answers=other))
        assert await store.answer(e) == e.entry_id.encode()

    async def test_entry_that_changed_nothing_is_answered(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Only entries and answers are written; the saga is as it was and goes on from its version."""
        (saga,) = await applied(store, leases, start())
        e = entry(saga.id)
        await store.post(e)
        write = only_answers(saga, e.entry_id)
        due = await store.due(partition_of(saga.id, store.partitions), 2**53, 10)
        await applied(store, leases, write)
        assert await store.commit([write], leases) == [Verdict.ALREADY_APPLIED]
        assert await store.answer(e) == e.entry_id.encode()
        assert await store.load([saga.id]) == [saga]
        assert await store.due(partition_of(saga.id, store.partitions), 2**53, 10) == due
        assert len(await store.events(saga.id, 0, 10)) == 1
        await applied(store, leases, change(saga))

    async def test_entry_for_no_saga_is_answered(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Both versions 0: the writer learns that there is no such saga, and there is none afterwards."""
        e = entry("nobody")
        await store.post(e)
        write = only_answers(start("nobody", version=0, last_sequence=0).saga, e.entry_id)
        await applied(store, leases, write)
        # With no saga to remember the commit id, a resubmission is applied again, to the same effect.
        assert (await store.commit([write], leases))[0] in (Verdict.APPLIED, Verdict.ALREADY_APPLIED)
        assert await store.answer(e) == e.entry_id.encode()
        assert list(await store.inbox(partition_of("nobody", store.partitions), 10)) == []
        assert await store.load(["nobody"]) == [None]
        assert not any((await store.count()).values())

    async def test_entry_and_create_in_one_write(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A start that came by the inbox."""
        e = entry(fresh("saga"))
        await store.post(e)
        write = replace(start(e.saga_id), answers=(InboxAnswer(entry_id=e.entry_id, answer=b"created"),))
        await applied(store, leases, write)
        assert await store.answer(e) == b"created"
        assert await store.load([e.saga_id]) == [write.saga]

    async def test_former_owner_cannot_consume(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """The entry is left for the new owner, who answers it."""
        (saga,) = await applied(store, leases, start())
        e = entry(saga.id)
        await store.post(e)
        taken = await hold_all(store, "me")
        assert await store.commit([only_answers(saga, e.entry_id)], leases) == [Verdict.FENCED]
        assert await store.answer(e) is None
        assert list(await store.inbox(partition_of(saga.id, store.partitions), 10)) == [e]
        await applied(store, taken, only_answers(saga, e.entry_id))
        assert await store.answer(e) == e.entry_id.encode()

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
        await applied(store, leases, only_answers(saga, e.entry_id))
        if backend.time_is_free:
            await backend.pass_time(10 * MINUTE - SECOND)
        await store.post(later)
        await applied(store, leases, only_answers(saga, later.entry_id))
        assert await store.answer(e) == e.entry_id.encode()
        assert await store.answer(later) == later.entry_id.encode()
