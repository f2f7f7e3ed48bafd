"""``commit`` and ``create``: what is refused, and that a refused write changes nothing at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from swit_saga_server.core.errors import UnstorableValue
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.conformance.backend import WithStore, hold_all
from swit_saga_server.store.conformance.samples import (
    FAR,
    answers_to,
    applied,
    change,
    event,
    finish,
    fresh,
    ids_in,
    start,
)
from swit_saga_server.store.contract import (
    InboxAnswer,
    InboxEntry,
    Lease,
    SagaFilter,
    SagaOrder,
    StateStorage,
    Verdict,
    Write,
    partition_of,
)


@dataclass(frozen=True)
class Everything:
    """All that a store shows of its sagas."""

    sagas: list[Saga | None]
    events: list[Any]
    due: list[Any]
    in_flight: list[Any]
    feed: list[Any]
    inbox: list[Any]
    listed: list[Any]
    count: dict[SagaState, int]


async def everything(store: StateStorage, *saga_ids: str) -> Everything:
    """Read all of it."""
    parts = range(store.partitions)
    page = await store.list_sagas(SagaFilter(), SagaOrder.CREATED_ASC, 1_000, "")
    return Everything(
        sagas=list(await store.load(saga_ids)),
        events=[list(await store.events(i, 0, 1_000)) for i in saga_ids],
        due=[list(await store.due(p, FAR, 1_000)) for p in parts],
        in_flight=[list(await store.in_flight(p, "", 1_000)) for p in parts],
        feed=[list(await store.feed(p, 0, 1_000)) for p in parts],
        inbox=[list(await store.inbox(p, 1_000)) for p in parts],
        listed=list(page.sagas),
        count={s: n for s, n in (await store.count()).items() if n},
    )


def _event_beyond(saga: Saga) -> Write:
    write = change(saga)
    return replace(write, events=(event(saga.last_sequence + 2, saga.id),))


def _events_from_nowhere(saga: Saga) -> Write:
    """Consistent in itself; only the store can see that event ``last_sequence + 1`` is missing."""
    return replace(change(saga, last_sequence=saga.last_sequence + 2), events=(event(saga.last_sequence + 2, saga.id),))


def _create_without_all_steps(saga: Saga) -> Write:
    return replace(start(), changed_steps=(0,))


BROKEN: dict[str, Callable[[Saga], Write]] = {
    "events that leave a gap": _event_beyond,
    "events that do not continue the stored ones": _events_from_nowhere,
    "events out of order": lambda s: replace(w := change(s, events=2), events=w.events[::-1]),
    "events missing": lambda s: replace(change(s, events=2), events=()),
    "a create that lacks a step": _create_without_all_steps,
    "a create that lacks its origin": lambda s: replace(start(), changed_origin=False),
    "a step that is not there": lambda s: replace(change(s), changed_steps=(7,)),
    "a version going back": lambda s: replace(change(s), saga=replace(s, version=s.version - 1)),
    "the same version": lambda s: replace(change(s, events=0), saga=s, answers=answers_to("e")),
    "version 0": lambda s: start(fresh("saga"), version=0, last_sequence=0, events=0),
    "no commit id": lambda s: replace(change(s), commit_id=""),
    "a commit id with a blank": lambda s: replace(change(s), commit_id="a b"),
    "a commit id of two lines": lambda s: replace(change(s), commit_id="a\nb"),
    "no saga id": lambda s: start(id=""),
}


def _nested(depth: int) -> Any:
    value: Any = "leaf"
    for _ in range(depth):
        value = [value]
    return value


UNSTORABLE: dict[str, dict[str, Any]] = {
    "half a character": {"stop_reason": "\ud800"},
    "half a character in a tree": {"metadata": {"a": {"b": ["\udfff"]}}},
    "a number beyond 64 bits": {"updated_at": Instant(2**70)},
    "a number beyond 64 bits in a tree": {"metadata": {"a": 10**400}},
    "no plain value": {"metadata": {"a": object()}},
    "too deep a tree": {"metadata": {"a": _nested(5_000)}},
}


class RefusalTests(WithStore):
    """Fences, conflicts, and writes that break the rules."""

    @pytest.fixture
    async def saga(self, store: StateStorage, leases: dict[int, Lease]) -> Saga:
        """A running saga with an entry in its inbox, called ``entry``."""
        (saga,) = await applied(store, leases, start())
        (saga,) = await applied(store, leases, change(saga))
        await store.post(InboxEntry(entry_id="entry", saga_id=saga.id, body=b"cancel"))
        return saga

    @pytest.mark.parametrize("how", ["old lease", "other nonce", "other epoch", "no lease", "released"])
    async def test_fenced_write_changes_nothing(
        self, store: StateStorage, leases: dict[int, Lease], saga: Saga, how: str
    ) -> None:
        """Epoch and nonce are compared for equality (invariant 5)."""
        if how == "old lease":
            await hold_all(store, "me")
        elif how == "other nonce":
            leases = {p: replace(lease, nonce="somebody's") for p, lease in leases.items()}
        elif how == "other epoch":
            leases = {p: replace(lease, epoch=lease.epoch + 1) for p, lease in leases.items()}
        elif how == "no lease":
            leases = {}
        elif how == "released":
            await store.release(list(leases.values()))
        before = await everything(store, saga.id)
        answers = (InboxAnswer(entry_id="entry", answer=b"done"),)
        round_ = [change(saga, answers=answers, events=2, due_at=Instant(5), labels={"a": "b"}), start()]
        assert await store.commit(round_, leases) == [Verdict.FENCED, Verdict.FENCED]
        assert await store.commit([finish(saga)], leases) == [Verdict.FENCED]
        assert await everything(store, saga.id) == before

    async def test_fence_goes_before_conflict(self, store: StateStorage, leases: dict[int, Lease], saga: Saga) -> None:
        """Who is fenced is told so, however stale the version."""
        await hold_all(store, "me")
        stale = change(replace(saga, version=saga.version - 1))
        assert await store.commit([stale, start()], leases) == [Verdict.FENCED, Verdict.FENCED]

    async def test_conflict_changes_nothing(self, store: StateStorage, leases: dict[int, Lease], saga: Saga) -> None:
        """A base version that is too old, too new, of no saga; a create of what exists."""
        before = await everything(store, saga.id)
        answers = (InboxAnswer(entry_id="entry", answer=b"done"),)
        older, newer = (replace(saga, version=saga.version + d) for d in (-1, 1))
        rivals = [
            change(older, answers=answers, events=2, due_at=Instant(5)),
            change(newer, answers=answers, labels={"a": "b"}),
            finish(newer),
            start(saga.id),
            change(start(fresh("nobody")).saga),
        ]
        for rival in rivals:
            assert await store.commit([rival], leases) == [Verdict.CONFLICT]
        assert await everything(store, saga.id) == before

    async def test_only_the_latest_commit_id_counts(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """An older write that comes again is a conflict; it is never applied twice."""
        first = start()
        second = change(first.saga)
        await applied(store, leases, first)
        await applied(store, leases, second)
        assert await store.commit([first], leases) == [Verdict.CONFLICT]
        assert await store.load([first.saga.id]) == [second.saga]

    @pytest.mark.parametrize("rule", BROKEN)
    async def test_broken_write_undoes_its_round(
        self, store: StateStorage, leases: dict[int, Lease], saga: Saga, rule: str
    ) -> None:
        """A bug of the caller: nothing of its partition is applied; each alone is another matter."""
        before = await everything(store, saga.id)
        ids = ids_in(partition_of(saga.id, store.partitions), store.partitions)
        good, also_good = start(next(ids)), start(next(ids))
        with pytest.raises(ValueError, match=r"."):
            await store.commit([good, BROKEN[rule](saga), also_good], leases)
        assert await everything(store, saga.id) == before
        await applied(store, leases, good, also_good, change(saga))

    @pytest.mark.parametrize("value", UNSTORABLE)
    async def test_value_that_cannot_be_held_undoes_its_round(
        self, store: StateStorage, leases: dict[int, Lease], saga: Saga, value: str
    ) -> None:
        """It says so, as one that can never be written; nothing of its partition is applied; the others can be."""
        before = await everything(store, saga.id)
        ids = ids_in(partition_of(saga.id, store.partitions), store.partitions)
        good, also_good = start(next(ids)), start(next(ids))
        bad = change(saga, **UNSTORABLE[value])
        for round_ in ([good, bad, also_good], [bad]):
            with pytest.raises(UnstorableValue):
                await store.commit(round_, leases)
        with pytest.raises(UnstorableValue):
            await store.create(start(next(ids), events=0, **UNSTORABLE[value]))
        assert await everything(store, saga.id) == before
        await applied(store, leases, good, also_good, change(saga))

    async def test_saga_twice_in_a_round_is_refused(
        self, store: StateStorage, leases: dict[int, Lease], saga: Saga
    ) -> None:
        """At most one write per saga in a round."""
        before = await everything(store, saga.id)
        first = change(saga)
        with pytest.raises(ValueError, match=saga.id):
            await store.commit([first, change(first.saga)], leases)
        assert await everything(store, saga.id) == before

    async def test_create_takes_only_a_new_pending_saga(self, store: StateStorage, saga: Saga) -> None:
        """It has no lease to be fenced by, so it must not be able to change anything."""
        before = await everything(store, saga.id)
        answered = replace(start(), answers=(InboxAnswer(entry_id="entry", answer=b"x"),))
        for write in (change(saga), start(state=SagaState.RUNNING), answered):
            with pytest.raises(ValueError, match=r"."):
                await store.create(write)
        assert await everything(store, saga.id) == before

    async def test_nothing_is_no_error(self, store: StateStorage) -> None:
        """What is not there is empty, not an error."""
        nothing = await everything(store, "nobody")
        assert nothing.sagas == [None]
        assert nothing.count == {}
        assert not any([*nothing.events, *nothing.due, *nothing.in_flight, *nothing.feed, *nothing.inbox])
        assert nothing.listed == []
