"""Which sagas are meant, as keywords and as it is sent."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct

from swit_saga.durations import DurationLike, duration_message
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.views import ACTIVE, state_value


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
        ValueError: A state or a duration is none; or ``states`` and ``active`` are both given.
    """
    wanted = [state_value(s) for s in states]
    if active:
        if wanted:
            raise ValueError("give states or active, not both: active stands for " + ", ".join(sorted(ACTIVE)))
        wanted = sorted(state_value(s) for s in ACTIVE)
    made = pb.SagaFilter(
        states=wanted,
        definition_ids=list(definitions),
        labels=labels or {},
        overdue_by=duration_message(overdue_by),
        stuck=stuck,
    )
    if metadata:
        values = Struct()
        values.update(dict(metadata))
        made.metadata.CopyFrom(values)
    for field, at in (
        (made.created_from, created_from),
        (made.created_to, created_to),
        (made.updated_from, updated_from),
        (made.updated_to, updated_to),
    ):
        if at is not None:
            field.FromDatetime(at)
    return made
