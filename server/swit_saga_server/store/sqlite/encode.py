"""A write as columns and blobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import record
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.store.codec import Writer
from swit_saga_server.store.contract import InboxAnswer, Write

Row: TypeAlias = tuple[Any, ...]

ALWAYS = ("version", "commit_id", "last_seq", "updated", "progress")
IF_CHANGED = ("state", "expires", "due", "in_flight", "stuck")
"""Written only when they differ: an index is touched for every column named, not for every column changed."""
ORIGIN = ("definition", "created", "labels", "metadata", "origin")
"""Written only when the origin is said to have changed."""


@record(frozen=True, slots=True)
class Reply:
    """What ``reply`` was asked for."""

    saga_id: str
    base_version: int | None
    answers: Sequence[InboxAnswer]


class EncodedWrite:
    """A write as columns and blobs; made on the caller's thread, since the writer's is busy with the round before."""

    __slots__ = ("always", "data", "definition", "if_changed", "origin", "steps", "write")

    def __init__(self, write: Write, writer: Writer) -> None:
        saga = write.saga
        self.write = write
        self.steps = [(i, writer.pack_step(saga.steps[i])) for i in write.changed_steps]
        self.data = writer.pack_events(write.events)
        self.definition = writer.pack_definition(write.definition) if write.definition is not None else None
        progress = writer.pack_progress(saga)
        self.always: Row = (saga.version, write.commit_id, saga.last_sequence, saga.updated_at, progress)
        self.if_changed: Row = (
            saga.state.value,
            _expires(saga),
            write.due_at,
            int(write.in_flight),
            int(saga.quarantined > 0),
        )
        self.origin = _origin(saga, writer) if write.changed_origin else ()


def _origin(saga: Saga, writer: Writer) -> Row:
    labels, metadata = _json(saga.labels), _json(saga.metadata)
    return saga.definition_id, saga.created_at, labels, metadata, writer.pack_origin(saga)


def _expires(saga: Saga) -> Instant:
    # A failed saga is exempt from cleanup until it is resolved (invariant 16).
    return saga.completed_at if saga.state.is_terminal and saga.state is not SagaState.FAILED else NEVER


def _json(values: Mapping[str, Any]) -> str | None:
    return json.dumps(dict(values), sort_keys=True, allow_nan=False) if values else None
