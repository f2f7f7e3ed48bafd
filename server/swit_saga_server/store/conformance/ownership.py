"""Leases: who may write a partition."""

import asyncio

import pytest

from swit_saga_server.core.errors import NameTaken
from swit_saga_server.core.units import MICROSECOND, NEVER, Span
from swit_saga_server.store.conformance.backend import LONG, TERM, Backend, WithStore, hold_all, reopen
from swit_saga_server.store.conformance.samples import fresh, start
from swit_saga_server.store.contract import Hint, InboxEntry, Lease, Peer, StateStorage, Verdict


class OwnershipTests(WithStore):
    """``now``, ``acquire``, ``renew``, ``release``, ``heartbeat``, ``deregister``, ``listen``."""

    async def test_keeps_the_protocol(self, store: StateStorage) -> None:
        """Every method is there."""
        assert isinstance(store, StateStorage)
        assert store.partitions >= 1

    async def test_clock_moves_on(self, backend: Backend, store: StateStorage) -> None:
        """``now`` is the clock that ``pass_time`` moves, and never goes back."""
        before = await store.now()
        await backend.pass_time(Span(50_000))
        assert await store.now() >= before + 50_000

    async def test_free_partition_is_taken_for_the_term(self, store: StateStorage) -> None:
        """A lease is valid for ``term`` from now."""
        for partition in range(store.partitions):
            before = await store.now()
            lease = await store.acquire(partition, "me", TERM)
            assert lease is not None
            assert lease.partition == partition
            assert before + TERM <= lease.expires_at <= await store.now() + TERM

    async def test_not_taken_while_anothers_is_valid(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """None while somebody else's is valid; theirs is not disturbed."""
        assert await store.acquire(0, "other", TERM) is None
        assert await store.renew([leases[0]], LONG) != [None]

    async def test_expired_lease_is_taken(self, backend: Backend, store: StateStorage) -> None:
        """The former holder is fenced from then on (invariant 5)."""
        leases = await hold_all(store, "me", TERM)
        await backend.pass_time(TERM + MICROSECOND)
        taken = await store.acquire(0, "other", TERM)
        assert taken is not None
        assert taken.epoch > leases[0].epoch
        assert taken.nonce != leases[0].nonce
        assert await store.renew([leases[0]], TERM) == [None]

    async def test_own_partition_is_a_new_lease(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A former life of the same owner is fenced."""
        again = await store.acquire(0, "me", TERM)
        assert again is not None
        assert again.epoch > leases[0].epoch
        assert again.nonce != leases[0].nonce
        assert await store.renew([leases[0], again], TERM) != [None, None]
        assert (await store.renew([leases[0], again], TERM))[0] is None

    async def test_epoch_grows_and_is_not_below_the_clock(self, backend: Backend, store: StateStorage) -> None:
        """max(old + 1, store time in ms): with every change of holder, within one millisecond, and after a release."""
        epochs = []
        for turn in range(6):
            at_least = await store.now() // 1000
            lease = await store.acquire(0, "me", TERM)
            assert lease is not None
            assert lease.epoch >= at_least
            epochs.append(lease.epoch)
            if turn % 2:
                await store.release([lease])
            if turn == 3:
                await backend.pass_time(Span(20_000))
        assert epochs == sorted(set(epochs))

    async def test_epoch_outlives_a_restart(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """And so does the lease, where several can open the store: what another holds is not taken.

        Where only one can, the former holder is gone, and nobody waits for its lease to expire.
        """
        store = await reopen(backend, store)
        try:
            if backend.is_shared:
                assert await store.acquire(0, "other", TERM) is None
            lease = await store.acquire(0, "me" if backend.is_shared else "other", TERM)
            assert lease is not None
            assert lease.epoch > leases[0].epoch
        finally:
            await store.close()

    async def test_renew_extends(self, backend: Backend, store: StateStorage) -> None:
        """To ``term`` from now, keeping epoch and nonce; another cannot take it when the first term has passed."""
        leases = await hold_all(store, "me", TERM)
        await backend.pass_time(TERM // 2)
        now = await store.now()
        for old, new in zip(leases.values(), await store.renew(list(leases.values()), LONG), strict=True):
            assert new is not None
            assert (new.partition, new.epoch, new.nonce) == (old.partition, old.epoch, old.nonce)
            assert new.expires_at >= now + LONG
        await backend.pass_time(TERM * 2 // 3)
        assert await store.acquire(0, "other", TERM) is None

    async def test_expired_but_untaken_lease_is_renewed(self, backend: Backend, store: StateStorage) -> None:
        """And is then valid again."""
        leases = await hold_all(store, "me", TERM)
        await backend.pass_time(2 * TERM)
        assert await store.renew([leases[0]], LONG) != [None]
        assert await store.acquire(0, "other", TERM) is None

    async def test_renew_answers_in_order(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """None for a wrong epoch, a wrong nonce, and for nothing known; no lease, no answer."""
        good = leases[0]
        wrong_epoch = Lease(0, good.epoch + 1, good.nonce, good.expires_at)
        wrong_nonce = Lease(0, good.epoch, "somebody", good.expires_at)
        found = await store.renew([wrong_epoch, good, wrong_nonce], TERM)
        assert [lease is not None for lease in found] == [False, True, False]
        assert list(await store.renew([], TERM)) == []

    async def test_released_partition_is_free_at_once(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """For anybody; the released lease can neither be renewed nor used."""
        await store.release(list(leases.values()))
        assert await store.renew([leases[0]], TERM) == [None]
        assert await store.commit([start()], leases) == [Verdict.FENCED]
        taken = await hold_all(store, "other")
        assert all(taken[p].epoch > leases[p].epoch for p in taken)

    async def test_release_passes_over_what_is_not_held(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A late release of the former holder does not free the new holder's partition."""
        taken = await store.acquire(0, "me", LONG)
        assert taken is not None
        await store.release([leases[0], Lease(0, 1, "never", NEVER)])
        assert await store.acquire(0, "other", TERM) is None
        assert await store.renew([taken], TERM) != [None]

    async def test_partitions_are_held_one_by_one(self, store: StateStorage) -> None:
        """Each has its own holder."""
        owners = [f"owner-{p}" for p in range(store.partitions)]
        for partition, owner in enumerate(owners):
            assert await store.acquire(partition, owner, LONG) is not None
        for partition in range(store.partitions):
            assert await store.acquire(partition, "nobody", TERM) is None

    async def test_who_lives_is_known(self, backend: Backend, store: StateStorage) -> None:
        """Sorted, oneself among them, until the term is over or they are gone; living says nothing of leases."""

        async def beat(owner: str, term: Span) -> list[str]:
            return [peer.owner for peer in await store.heartbeat(owner, term, 1)]

        assert await beat("b", LONG) == ["b"]
        assert await beat("c", LONG) == ["b", "c"]
        assert await beat("a", LONG) == ["a", "b", "c"]
        assert await store.acquire(0, "nobody", TERM) is not None
        await store.deregister("c")
        await store.deregister("c")
        await store.deregister("never")
        assert await beat("a", LONG) == ["a", "b"]
        assert "b" in await beat("b", TERM)
        await backend.pass_time(TERM + MICROSECOND)
        assert await beat("a", LONG) == ["a"]
        assert await beat("c", TERM) == ["a", "c"]

    async def test_a_name_is_one_instances(self, backend: Backend, store: StateStorage) -> None:
        """Where several share a store: until its term is over or it is gone; whoever else wants it changes nothing."""
        if not backend.is_shared:
            await store.heartbeat("a", LONG, 1, "one")
            await store.heartbeat("a", LONG, 1, "two")
            return
        await store.heartbeat("a", LONG, 1, "one")
        await store.heartbeat("b", LONG, 1, "two")
        for _ in range(2):
            with pytest.raises(NameTaken) as raised:
                await store.heartbeat("a", TERM, 9, "two")
            assert raised.value.fields["holder"] == "one"
        assert list(await store.heartbeat("a", LONG, 1, "one")) == [Peer("a", 1), Peer("b", 1)]
        await store.deregister("a", "two")
        assert Peer("a", 1) in await store.heartbeat("b", LONG, 1, "two")
        with pytest.raises(NameTaken):
            await store.heartbeat("a", LONG, 1, "two")
        await store.deregister("a", "one")
        await store.heartbeat("a", TERM, 1, "two")
        await backend.pass_time(TERM + MICROSECOND)
        await store.heartbeat("a", LONG, 1, "one")

    async def test_levels_are_known(self, store: StateStorage) -> None:
        """Of each the one that it announced last; who comes back announces it anew."""
        await store.heartbeat("b", LONG, 7)
        assert list(await store.heartbeat("a", LONG, 3)) == [Peer("a", 3), Peer("b", 7)]
        assert list(await store.heartbeat("b", LONG, 8)) == [Peer("a", 3), Peer("b", 8)]
        await store.deregister("b")
        assert list(await store.heartbeat("a", LONG, 4)) == [Peer("a", 4)]
        assert list(await store.heartbeat("b", LONG, 2)) == [Peer("a", 4), Peer("b", 2)]

    async def test_close_twice_and_before_open(self, backend: Backend) -> None:
        """Both are safe, and leases are not released by it; where only one can have the store open, opening it does."""
        store = backend.handle()
        await store.close()
        await store.open()
        assert await store.acquire(0, "me", LONG) is not None
        await store.close()
        await store.close()
        again = backend.handle()
        await again.open()
        try:
            assert (await again.acquire(0, "other", TERM) is None) == backend.is_shared
        finally:
            await again.close()

    async def test_hints_are_well_formed_and_end(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """None need come, but what comes says what and where. Nothing comes once it was ended; ending twice is safe."""
        hints: list[Hint] = []
        late: list[Hint] = []
        stops = [store.listen(hints.append), store.listen(late.append)]
        await self._cause_hints(store, list(leases.values()))
        stops[1]()
        so_far = len(late)
        await self._cause_hints(store, [])
        stops[0]()
        stops[0]()
        assert len(late) == so_far
        assert {h.kind for h in hints} <= {"inbox", "due", "lease"}
        assert all(0 <= h.partition < store.partitions for h in hints)

    async def _cause_hints(self, store: StateStorage, leases: list[Lease]) -> None:
        write = start()
        await store.create(write)
        await store.post(InboxEntry(entry_id=fresh("entry"), saga_id=write.saga.id, body=b""))
        await store.release(leases)
        await asyncio.sleep(0)  # What was said on this very loop has come by now.
