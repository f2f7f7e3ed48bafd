"""Which sagas are meant, as keywords and as it is sent."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from swit_saga.durations import DurationLike, duration_message
from swit_saga.given import several
from swit_saga.ids import given_id
from swit_saga.trees import texts, tree
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.views import ACTIVE, state_values


def saga_filter(
    *,
    states: Iterable[str] = (),
    active: bool = False,
    definitions: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    updated_from: datetime | None = None,
    updated_to: datetime | None = None,
    overdue_by: DurationLike | None = None,
    stuck: bool = False,
) -> pb.SagaFilter:
    """The filter that all these conditions make; see ``AsyncSagaClient.list`` for each.

    Raises:
        ValueError: A state, a duration, an id or a metadata's value is none; a time has no timezone; or ``states`` and
            ``active`` are both given.
        TypeError: A label, an id or a metadata's value is of no type that can be sent.
    """
    wanted = state_values(states)
    if active:
        if wanted:
            raise ValueError("give states or active, not both: active stands for " + ", ".join(sorted(ACTIVE)))
        wanted = sorted(state_values(ACTIVE))
    made = pb.SagaFilter(
        states=wanted,
        definition_ids=[given_id(d, "definitions") for d in several(definitions, "definitions")],
        labels=texts(labels or {}, "labels"),
        overdue_by=duration_message(overdue_by, "overdue_by"),
        stuck=stuck,
    )
    if metadata:
        made.metadata.CopyFrom(tree(metadata))
    for name, at in (
        ("created_from", created_from),
        ("created_to", created_to),
        ("updated_from", updated_from),
        ("updated_to", updated_to),
    ):
        if at is not None:
            getattr(made, name).FromDatetime(_moment(at, name))
    return made


def _moment(at: datetime, name: str) -> datetime:
    if not isinstance(at, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(at).__name__}")
    if at.utcoffset() is None:
        raise ValueError(f"{name} has no timezone: give it one, such as datetime.now(UTC), or {name}.astimezone()")
    return at
