"""The SQL of a saga listing, from its filter."""

import json
from dataclasses import replace
from typing import Any

from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import SagaFilter, SagaOrder


def listing(wanted: SagaFilter, order: SagaOrder, after: list[Any] | None, limit: int) -> tuple[str, list[Any]]:
    """A query for ``(n, id, sort key)`` of matching sagas and its parameters.

    Args:
        wanted: The filter.
        order: The sort order; ties go by id in the same direction.
        after: Sort key and id of the last saga of the page before; None for the first page.
        limit: Rows at most.
    """
    column, direction = order.value.split()
    key = {"created_at": "created", "updated_at": "updated"}[column]
    where: list[str] = []
    parameters: list[Any] = []

    def add(condition: str, *values: Any) -> None:
        where.append(condition)
        parameters.extend(values)

    if wanted.states:
        add(f"state in ({_marks(wanted.states)})", *sorted(s.value for s in wanted.states))
    if wanted.definition_ids:
        add(f"definition in ({_marks(wanted.definition_ids)})", *sorted(wanted.definition_ids))
    for name, low, high in (
        ("created", wanted.created_from, wanted.created_to),
        ("updated", wanted.updated_from, wanted.updated_to),
    ):
        if low:
            add(f"{name} >= ?", low)
        if high:
            add(f"{name} < ?", high)
    for label, value in sorted(wanted.labels.items()):
        add("n in (select saga from label where key = ? and value = ?)", label, value)
    for name, value_ in sorted(wanted.metadata.items()):
        # As JSON on both sides, so that true is not 1 and "1" is not 1; 1 and 1.0 are the same number.
        add(
            "exists (select 1 from json_each(metadata) where key = ? and type in (select value from json_each(?))"
            " and value = json_extract(?, '$[0]'))",
            name,
            json.dumps(_json_types(value_)),
            json.dumps([value_]),
        )
    if wanted.overdue_at:
        add("due > 0 and due < ?", wanted.overdue_at)
    if wanted.stuck:
        add("stuck = 1")
    if after is not None:
        add(f"({key}, id) {'<' if direction == 'desc' else '>'} (?, ?)", *after)
    condition = f" where {' and '.join(where)}" if where else ""
    sql = f"select n, id, {key} from saga{condition} order by {key} {direction}, id {direction} limit ?"
    return sql, [*parameters, limit]


def listing_key(wanted: SagaFilter) -> Any:
    """A value that is equal for filters that may share page tokens.

    ``overdue_at`` is usually the time of the call, so only whether it is asked for counts.
    """
    return replace(wanted, overdue_at=Instant(wanted.overdue_at > 0))


def _marks(values: Any) -> str:
    return ", ".join("?" * len(values))


def _json_types(value: str | float | bool) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return ["text"] if isinstance(value, str) else ["integer", "real"]
