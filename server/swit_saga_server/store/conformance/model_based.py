"""Any sequence of calls: the store answers and shows what a plain dictionary does. Found and shrunk by Hypothesis."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import MINUTE
from swit_saga_server.store.conformance.backend import Backend
from swit_saga_server.store.conformance.model import Model
from swit_saga_server.store.conformance.samples import FAR, answers_to, change, finish, fresh, ids_in, moment, start
from swit_saga_server.store.contract import InboxEntry, Lease, SagaFilter, SagaOrder, StateStorage, Write

SAGAS = 4
ALL = 10_000
ENDS = (SagaState.COMPLETED, SagaState.FAILED, SagaState.COMPENSATED, SagaState.TIMED_OUT)

_saga = st.integers(0, SAGAS - 1)
_lease = st.sampled_from(["current"] * 9 + ["former", "none"])
_owner = st.sampled_from(["me", "me", "you"])
_kind = st.sampled_from(["next"] * 5 + ["end"] * 3 + ["stale", "ahead", "exists", "again", "older"])
_write = st.tuples(_saga, _kind, st.integers(0, 3), st.booleans())
_round = st.lists(_write, min_size=1, max_size=SAGAS, unique_by=lambda write: write[0])
Call = tuple[Any, ...]

_calls: dict[str, st.SearchStrategy[Call]] = {
    "commit": st.tuples(st.just("commit"), _round, _lease),
    "post": st.tuples(st.just("post"), _saga, st.integers(0, 9)),
    "reply": st.tuples(st.just("reply"), _saga, st.sampled_from([0, 0, 0, 1, None]), _lease),
    "create": st.tuples(st.just("create"), _saga, st.booleans()),
    "delete": st.tuples(st.just("delete"), _saga, _lease),
    "acquire": st.tuples(st.just("acquire"), _saga, _owner),
    "renew": st.tuples(st.just("renew"), _lease),
    "release": st.tuples(st.just("release"), _saga, _lease),
    "restart": st.just(("restart",)),
}
_often = ["commit"] * 12 + ["post", "reply", "delete", "acquire"] * 2
_call = st.sampled_from([*_often, *_calls]).flatmap(_calls.__getitem__)
# Lists of lists, because Hypothesis likes short lists, and still shrinks both.
CALLS = st.lists(st.lists(_call, max_size=10), max_size=15).map(lambda parts: [call for part in parts for call in part])


class ModelBasedTests:
    """Compares with ``Model``."""

    # Whatever is in the store already belongs to other sagas, so that examples may share one, and classes the test.
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(calls=CALLS)
    @pytest.mark.timeout(400)  # It takes seconds; shrinking what is found may take five minutes.
    async def test_any_calls(self, backend: Backend, calls: list[Call]) -> None:
        """Verdicts after each call, everything there is to see after each restart and at the end."""
        run = Run(backend)
        await run.open()
        try:
            for call in calls:
                await getattr(run, call[0])(*call[1:])
            await run.compare()
        finally:
            await run.close()


class Run:
    """One sequence of calls, made to the store and to the model."""

    store: StateStorage
    model: Model

    def __init__(self, backend: Backend) -> None:
        """Nothing is open yet."""
        self.backend = backend
        self.name = fresh("run")
        self.history: dict[str, list[Write]] = {}
        self.deleted: set[str] = set()

    async def open(self) -> None:
        """Take all partitions; note what other runs left behind."""
        self.store = self.backend.handle()
        await self.store.open()
        parts = range(self.store.partitions)
        self.model = Model(self.store.partitions)
        # The same partition for the same saga in every run, or a failure could not be repeated.
        self.ids = [next(ids_in(n % len(parts), len(parts), self.name)) for n in range(SAGAS)]
        self.feed_from = [await self.store.feed_end(p) for p in parts]
        self.count_from = await self.store.count()
        for partition in parts:
            lease = await self.store.acquire(partition, "me", MINUTE)
            assert lease is not None
            self.model.acquired("me", lease)

    async def close(self) -> None:
        """Leave the partitions free for the next run."""
        await self.store.release([h.lease for h in self.model.holders if h.lease is not None])
        await self.store.close()

    # ---- the calls -----------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[tuple[int, str, int, bool]], which: str) -> None:
        """A round."""
        round_ = [w for saga, kind, number, answers in writes if (w := self._made(saga, kind, number, answers))]
        leases = {n: lease for n in range(self.store.partitions) if (lease := self._lease(n, which)) is not None}
        assert list(await self.store.commit(round_, leases)) == self.model.commit(round_, leases)

    async def create(self, saga: int, again: bool) -> None:
        """A start without a lease, or one sent before."""
        saga_id = self.ids[saga]
        sent = [w for w in self.history.get(saga_id, ()) if w.base_version == 0 and not w.answers]
        write = sent[0] if again and sent else self._start(saga_id)
        self._note(write)
        assert await self.store.create(write) == self.model.create(write)

    async def post(self, saga: int, number: int) -> None:
        """The same number is the same entry."""
        entry = InboxEntry(entry_id=f"{self.ids[saga]}-{number}", saga_id=self.ids[saga], body=b"%d" % number)
        await self.store.post(entry)
        self.model.post(entry)

    async def reply(self, saga: int, beyond: int | None, which: str) -> None:
        """To all entries that wait for the saga, on the stored version, another or none."""
        saga_id, record = self.ids[saga], self.model.sagas.get(self.ids[saga])
        lease = self._lease(self.model.part(saga_id), which)
        entries = self._waiting(saga_id)
        if lease is None or not entries:
            return
        version = None if beyond is None else (record.saga.version if record is not None else 0) + beyond
        expected = self.model.reply(saga_id, version, entries, lease)
        assert await self.store.reply(saga_id, version, answers_to(*entries), lease) == expected

    async def delete(self, saga: int, which: str) -> None:
        """Of a saga that may be over, or not, or not there."""
        lease = self._lease(self.model.part(self.ids[saga]), which)
        if lease is None:
            return
        gone = self.model.delete(self.ids[saga], lease)
        assert await self.store.delete(self.ids[saga], lease) == gone
        if gone:
            # What was meant for the former saga of this id does not fit a new one. Whether a feed keeps its events is
            # the store's affair.
            self.history.pop(self.ids[saga], None)
            self.deleted.add(self.ids[saga])

    async def acquire(self, saga: int, owner: str) -> None:
        """The saga's partition, by whoever has it, or another."""
        partition = self.model.part(self.ids[saga])
        lease = await self.store.acquire(partition, owner, MINUTE)
        assert (lease is not None) == self.model.may_acquire(partition, owner)
        if lease is not None:
            self.model.acquired(owner, lease)

    async def renew(self, which: str) -> None:
        """All partitions at once."""
        leases = [lease for n in range(self.store.partitions) if (lease := self._lease(n, which)) is not None]
        renewed = await self.store.renew(leases, MINUTE)
        assert [r is not None for r in renewed] == [self.model.renewed(lease) for lease in leases]

    async def release(self, saga: int, which: str) -> None:
        """The current one or a former."""
        lease = self._lease(self.model.part(self.ids[saga]), which)
        if lease is not None:
            await self.store.release([lease])
            self.model.released(lease)

    async def restart(self) -> None:
        """Whatever was acknowledged is there."""
        await self.store.close()
        self.store = self.backend.handle()
        await self.store.open()
        self.model.restarted(leases_expire=not self.backend.is_shared)
        await self.compare()

    # ---- how -----------------------------------------------------------------------------------------------------

    def _lease(self, partition: int, which: str) -> Lease | None:
        holder = self.model.holders[partition]
        if which == "current":
            return holder.lease
        return holder.former[-1] if which == "former" and holder.former else None

    def _start(self, saga_id: str, steps: int = 2) -> Write:
        return start(saga_id, labels={"run": self.name}, at=moment(self.ids.index(saga_id)), steps=steps)

    def _waiting(self, saga_id: str) -> list[str]:
        waiting = self.model.waiting(self.model.part(saga_id))
        return [e.entry_id for e in waiting if e.saga_id == saga_id]

    def _note(self, write: Write) -> None:
        self.history.setdefault(write.saga.id, []).append(write)

    def _made(self, saga: int, kind: str, number: int, with_answers: bool) -> Write | None:
        """A write of this kind; None if there is nothing to make it of."""
        saga_id = self.ids[saga]
        sent = self.history.get(saga_id)
        record = self.model.sagas.get(saga_id)
        before = record.saga if record is not None else None
        match kind:
            case "again" | "older":
                return sent[-1 if kind == "again" else 0] if sent else None
            # These three are in conflict, for good, and so are not sent again.
            case "exists" if before is not None:
                return self._start(saga_id)
            case "stale" if before is not None and before.version > 1:
                return change(replace(before, version=before.version - 1))
            case "ahead":
                return change(replace(before, version=before.version + 1) if before else start(saga_id).saga)
        if before is None:
            write = self._start(saga_id, 2 + number)
        elif kind == "end":
            write = finish(before, ENDS[number], events=number)
        else:
            write = change(
                before,
                events=number,
                due_at=moment(number),
                in_flight=number % 2 == 0,
                labels={"run": self.name, "n": str(number)},
            )
        if with_answers:
            write = replace(write, answers=answers_to(*self._waiting(saga_id)))
        self._note(write)
        return write

    # ---- what there is to see ------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """All that the store shows of this run's sagas."""
        store, model = self.store, self.model
        records = [model.sagas.get(i) for i in self.ids]
        assert list(await store.load(self.ids)) == [r.saga if r else None for r in records]
        for saga_id, record in zip(self.ids, records, strict=True):
            assert list(await store.events(saga_id, 0, ALL)) == (record.events if record else [])
        for part in range(store.partitions):
            assert [d for d in await store.due(part, FAR, ALL) if d.saga_id in self.ids] == model.due(part)
            assert [i for i in await store.in_flight(part, "", ALL) if i in self.ids] == model.in_flight(part)
            assert [e for e in await store.inbox(part, ALL) if e.saga_id in self.ids] == model.waiting(part)
            feed = [(i.saga_id, i.event) for i in await store.feed(part, self.feed_from[part], ALL)]
            assert [(i, e) for i, e in feed if i not in self.deleted] == [
                (i, e) for i, e in model.feed_of(part) if i not in self.deleted
            ]
        for entry in model.inbox.values():
            assert await store.answer(entry) == model.answers.get(entry.entry_id)
        wanted = SagaFilter(labels={"run": self.name})
        listed = (await store.list_sagas(wanted, SagaOrder.CREATED_ASC, ALL, "")).sagas
        assert list(listed) == sorted((r.saga for r in records if r), key=lambda s: s.created_at)
        count = await store.count()
        grown = {s: count.get(s, 0) - self.count_from.get(s, 0) for s in {*count, *self.count_from}}
        assert {s: n for s, n in grown.items() if n} == model.count()
