"""Listing: sagas by filter, page by page."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Protocol

from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import record
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NEVER, Instant


class SagaOrder(StrEnum):
    """Sort order of a list; ties are broken by saga id, so that pages never overlap."""

    CREATED_DESC = "created_at desc"
    CREATED_ASC = "created_at asc"
    UPDATED_DESC = "updated_at desc"
    UPDATED_ASC = "updated_at asc"


@record(frozen=True, slots=True, kw_only=True)
class SagaFilter:
    """Which sagas to list; conditions are joined by *and*, an empty one matches all.

    Attributes:
        states, definition_ids: Any of these.
        created_from, updated_from: Inclusive; 0 is open.
        created_to, updated_to: Exclusive; 0 is open.
        labels: Every label must have this very value.
        metadata: Every top-level metadata key must have this very value (strings, numbers, booleans).
        overdue_at: Only sagas whose due time lies before this; 0 does not ask.
        stuck: Only quarantined sagas.
    """

    states: frozenset[SagaState] = frozenset()
    definition_ids: frozenset[str] = frozenset()
    created_from: Instant = NEVER
    created_to: Instant = NEVER
    updated_from: Instant = NEVER
    updated_to: Instant = NEVER
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str | float | bool] = field(default_factory=dict)
    overdue_at: Instant = NEVER
    stuck: bool = False


@record(frozen=True, slots=True)
class SagaPage:
    """One page of a list.

    Attributes:
        next_token: Empty on the last page, opaque otherwise.
        tokens: One for each saga: goes on after it, for whoever passes on only the first of the page.
    """

    sagas: tuple[Saga, ...]
    next_token: str
    tokens: tuple[str, ...]


class Listing(Protocol):
    """Lists and counts, over all partitions."""

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """A page of matching sagas.

        A saga that exists and matches during the whole listing is on exactly one page, provided that what the list is
        sorted by does not change meanwhile.

        Args:
            wanted: The filter; the same for every page, but ``overdue_at`` may move on.
            order: The sort order; the same for every page.
            page_size: Sagas at most, from 1. Large ones are fewer: a page ends where its records have ``PAGE_BYTES``
                (``core.limits``), and has one at least if there is one.
            page_token: Empty for the first page, else the ``next_token`` of the one before.

        Raises:
            InvalidRequest: The token is not one of this listing's.
            NewerRecord: A newer version wrote a saga that may be on the page; it is not left out in silence.
        """
        ...

    async def count(self) -> Mapping[SagaState, int]:
        """Sagas per state, over all partitions; states without any, or unknown to this version, may be missing."""
        ...
