"""Listing from the simulated store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage
from swit_saga_server.store.paging import make_tokens, read_token
from tests.support.simulation.store.data import Memory, Record


class SimListing:
    """``Listing`` from memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        listing = [replace(wanted, overdue_at=Instant(wanted.overdue_at > 0)), order.value]
        after = read_token(listing, page_token, int, str)
        name, direction = order.value.split()
        found = [(getattr(r.saga, name), i, r.saga) for i, r in self._memory.data.sagas.items() if _matches(r, wanted)]
        found.sort(key=lambda row: row[:2], reverse=direction == "desc")
        if after is not None:
            last = (after[0], after[1])
            found = [row for row in found if (row[:2] < last if direction == "desc" else row[:2] > last)]
        size = 0
        for n, (_, _, saga) in enumerate(found[:page_size], 1):
            if (size := size + _size(saga)) >= PAGE_BYTES:
                page_size = n
                break
        page = found[:page_size]
        tokens = make_tokens(listing, [list(row[:2]) for row in page])
        token = tokens[-1] if len(found) > page_size else ""
        return SagaPage(tuple(self._memory.read(saga) for _, _, saga in page), token, tokens)

    async def count(self) -> Mapping[SagaState, int]:
        counts: dict[SagaState, int] = {}
        for record in self._memory.data.sagas.values():
            counts[record.saga.state] = counts.get(record.saga.state, 0) + 1
        return counts


def _matches(record: Record, wanted: SagaFilter) -> bool:
    saga = record.saga
    return (
        (not wanted.states or saga.state in wanted.states)
        and (not wanted.definition_ids or saga.definition_id in wanted.definition_ids)
        and _within(saga.created_at, wanted.created_from, wanted.created_to)
        and _within(saga.updated_at, wanted.updated_from, wanted.updated_to)
        and all(saga.labels.get(k) == v for k, v in wanted.labels.items())
        and all(k in saga.metadata and _same(saga.metadata[k], v) for k, v in wanted.metadata.items())
        and (not wanted.overdue_at or 0 < record.due_at < wanted.overdue_at)
        and (not wanted.stuck or saga.quarantined > 0)
    )


def _size(saga: Saga) -> int:
    return sum(p.size for p in (saga.initial_data, *(step.output for step in saga.steps)) if p is not None)


def _within(at: Instant, low: Instant, high: Instant) -> bool:
    return at >= low and (not high or at < high)


def _same(stored: Any, asked: Any) -> bool:
    return isinstance(stored, bool) == isinstance(asked, bool) and bool(stored == asked)
