"""``list_sagas`` and ``count``: every filter, every order, and pages that neither repeat nor miss."""

import asyncio
from collections.abc import Sequence

import pytest

from swit_saga_server.core.errors import InvalidRequest
from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.model import Saga
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import SagaState
from swit_saga_server.store.conformance.backend import WithStore
from swit_saga_server.store.conformance.samples import T0, applied, change, finish, moment, start
from swit_saga_server.store.contract import Lease, SagaFilter, SagaOrder, StateStorage

S = SagaState


async def whole(
    store: StateStorage, wanted: SagaFilter, order: SagaOrder = SagaOrder.CREATED_ASC, size: int = 3
) -> list[Saga]:
    """All pages; no saga may come twice, and no page may be too long."""
    found: list[Saga] = []
    token = ""
    while True:
        page = await store.list_sagas(wanted, order, size, token)
        assert len(page.sagas) <= size
        found += page.sagas
        token = page.next_token
        if not token:
            assert len({s.id for s in found}) == len(found)
            return found
        assert len(page.sagas) == size


class ListingTests(WithStore):
    """Lists of sagas."""

    @pytest.fixture
    async def sagas(self, store: StateStorage, leases: dict[int, Lease]) -> list[Saga]:
        """Twelve, no two alike; created one after the other but for the last three, changed the other way round."""
        made = [
            start(
                at=moment(10 * min(n, 9)),
                definition_id=("order", "refund", "gift")[n % 3],
                labels={"tenant": "ab"[n % 2], "n": str(n)} if n else {},
                metadata={"priority": n, "text": str(n), "vip": n % 2 == 0, "deep": {"n": n}},
                quarantined=int(n in (4, 5)),
            )
            for n in range(12)
        ]
        sagas = await applied(store, leases, *made)
        for n in (11, 8, 5, 2):
            (sagas[n],) = await applied(
                store,
                leases,
                change(
                    sagas[n], updated_at=moment(1_000 - n), due_at=moment(100 + n), quarantined=sagas[n].quarantined
                ),
            )
        for n, state in ((10, S.COMPLETED), (7, S.FAILED), (4, S.COMPENSATED)):
            (sagas[n],) = await applied(store, leases, finish(sagas[n], state, updated_at=moment(2_000 - n)))
        return sagas

    async def test_every_order(self, store: StateStorage, sagas: list[Saga]) -> None:
        """Ties are broken by id, in the same direction."""
        for order, key, backwards in (
            (SagaOrder.CREATED_ASC, "created_at", False),
            (SagaOrder.CREATED_DESC, "created_at", True),
            (SagaOrder.UPDATED_ASC, "updated_at", False),
            (SagaOrder.UPDATED_DESC, "updated_at", True),
        ):
            expected = sorted(sagas, key=lambda s: (getattr(s, key), s.id), reverse=backwards)
            for size in (1, 2, 5, 12, 100):
                assert await whole(store, SagaFilter(), order, size) == expected, order

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (SagaFilter(states=frozenset({S.RUNNING})), (2, 5, 8, 11)),
            (SagaFilter(states=frozenset({S.FAILED, S.COMPLETED})), (7, 10)),
            (SagaFilter(states=frozenset({S.TIMED_OUT})), ()),
            (SagaFilter(definition_ids=frozenset({"refund"})), (1, 4, 7, 10)),
            (SagaFilter(definition_ids=frozenset({"refund", "gift", "none"})), (1, 2, 4, 5, 7, 8, 10, 11)),
            (SagaFilter(created_from=moment(30), created_to=moment(60)), (3, 4, 5)),
            (SagaFilter(created_from=moment(90)), (9, 10, 11)),
            (SagaFilter(updated_from=moment(1_990)), (4, 7, 10)),
            (SagaFilter(updated_from=moment(900), updated_to=moment(998)), (5, 8, 11)),
            (SagaFilter(labels={"tenant": "a"}), (2, 4, 6, 8, 10)),
            (SagaFilter(labels={"tenant": "a", "n": "6"}), (6,)),
            (SagaFilter(labels={"tenant": "a", "n": "7"}), ()),
            (SagaFilter(labels={"tenant": "c"}), ()),
            (SagaFilter(metadata={"priority": 3}), (3,)),
            (SagaFilter(metadata={"priority": 3.0}), (3,)),
            (SagaFilter(metadata={"priority": "3"}), ()),
            (SagaFilter(metadata={"priority": True}), ()),
            (SagaFilter(metadata={"text": "3"}), (3,)),
            (SagaFilter(metadata={"vip": True}), (0, 2, 4, 6, 8, 10)),
            (SagaFilter(metadata={"vip": 1}), ()),
            (SagaFilter(metadata={"vip": False, "priority": 5}), (5,)),
            (SagaFilter(metadata={"deep": "x"}), ()),
            (SagaFilter(overdue_at=moment(105)), (0, 1, 2, 3, 6, 9)),
            (SagaFilter(overdue_at=moment(106)), (0, 1, 2, 3, 5, 6, 9)),
            (SagaFilter(stuck=True), (4, 5)),
            (SagaFilter(stuck=True, states=frozenset({S.RUNNING}), labels={"tenant": "b"}), (5,)),
        ],
    )
    async def test_every_filter(
        self, store: StateStorage, sagas: list[Saga], wanted: SagaFilter, expected: Sequence[int]
    ) -> None:
        """Joined by *and*, whatever the order."""
        assert [sagas.index(s) for s in sorted(await whole(store, wanted), key=sagas.index)] == list(expected)
        for order in SagaOrder:
            assert len(await whole(store, wanted, order)) == len(expected)

    async def test_lists_move_with_the_saga(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """A change of state takes it off one list and puts it on another, in the same step."""
        (saga,) = await applied(store, leases, start(labels={"a": "1"}))
        for state in (S.RUNNING, S.STEP_COMPLETED, S.RUNNING, S.COMPENSATING, S.FAILED):
            (saga,) = await applied(store, leases, change(saga, state=state, labels={"a": str(state)}))
            for other in SagaState:
                found = await whole(store, SagaFilter(states=frozenset({other})))
                assert found == ([saga] if other is state else [])
                assert await whole(store, SagaFilter(labels={"a": str(other)})) == found

    async def test_pages_under_change(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """Sagas that are there all the time are on exactly one page, whatever comes and goes meanwhile."""
        sagas = await applied(store, leases, *(start(at=moment(n // 3)) for n in range(60)))
        seen: list[str] = []
        token = ""
        for turn in range(100):
            page = await store.list_sagas(SagaFilter(), SagaOrder.CREATED_ASC, 7, token)
            seen += [s.id for s in page.sagas]
            token = page.next_token
            if not token:
                break
            late, early = start(at=moment(500 + turn)), start(at=moment(-500 - turn))
            await asyncio.gather(store.commit([late], leases), store.commit([early], leases))
            (sagas[turn],) = await applied(store, leases, change(sagas[turn]))
        assert len(seen) == len(set(seen))
        assert {s.id for s in sagas} <= set(seen)

    @pytest.mark.parametrize("token", ["x", "eJw", "?", "a" * 500, "kqx4AQ"])
    async def test_token_of_no_listing_is_refused(self, store: StateStorage, sagas: list[Saga], token: str) -> None:
        """It comes from a client: anything may be in it."""
        with pytest.raises(InvalidRequest):
            await store.list_sagas(SagaFilter(), SagaOrder.CREATED_ASC, 3, token)

    async def test_token_of_another_listing_is_refused(self, store: StateStorage, sagas: list[Saga]) -> None:
        """Another filter or order would skip or repeat; only ``overdue_at`` may move on."""
        token = (await store.list_sagas(SagaFilter(), SagaOrder.CREATED_ASC, 3, "")).next_token
        for wanted, order in (
            (SagaFilter(stuck=True), SagaOrder.CREATED_ASC),
            (SagaFilter(), SagaOrder.CREATED_DESC),
            (SagaFilter(overdue_at=T0), SagaOrder.CREATED_ASC),
        ):
            with pytest.raises(InvalidRequest):
                await store.list_sagas(wanted, order, 3, token)
        token = (await store.list_sagas(SagaFilter(overdue_at=moment(500)), SagaOrder.CREATED_ASC, 3, "")).next_token
        page = await store.list_sagas(SagaFilter(overdue_at=moment(501)), SagaOrder.CREATED_ASC, 3, token)
        assert page.sagas

    async def test_each_item_has_a_token(self, store: StateStorage, sagas: list[Saga]) -> None:
        """Whoever passes on only the first of a page goes on after them."""
        for order in SagaOrder:
            all_of_them = await store.list_sagas(SagaFilter(), order, 100, "")
            assert all_of_them.next_token == ""
            for n, token in enumerate(all_of_them.tokens, 1):
                assert (await store.list_sagas(SagaFilter(), order, 100, token)).sagas == all_of_them.sagas[n:]

    async def test_pages_end_by_bytes(self, store: StateStorage, leases: dict[int, Lease]) -> None:
        """However many are asked for: one at least, and no more after ``PAGE_BYTES``."""
        large = Payload("application/octet-stream", bytes(PAGE_BYTES // 3))
        sagas = await applied(
            store, leases, *(start(at=moment(n), initial_data=large if n % 2 else None) for n in range(10))
        )
        for order in SagaOrder:
            found: list[Saga] = []
            sizes: list[int] = []
            token = ""
            while not sizes or token:
                page = await store.list_sagas(SagaFilter(), order, 1_000, token)
                assert len(page.tokens) == len(page.sagas)
                sizes.append(sum(s.initial_data is not None for s in page.sagas))
                found += page.sagas
                token = page.next_token
            assert sizes == [3, 2]
            assert sorted(found, key=lambda s: s.created_at) == sagas

    async def test_count_by_state(self, store: StateStorage, sagas: list[Saga]) -> None:
        """Over all partitions."""
        found = {state: number for state, number in (await store.count()).items() if number}
        assert found == {S.PENDING: 5, S.RUNNING: 4, S.COMPLETED: 1, S.FAILED: 1, S.COMPENSATED: 1}
