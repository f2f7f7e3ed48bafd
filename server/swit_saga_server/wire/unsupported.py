"""What this version does not do yet, in one place: it is refused, never ignored.

A test walks every field of the messages below and fails on one that is neither converted nor listed here.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from swit_saga.v1 import definition_pb2 as d
from swit_saga_server.core.errors import UnsupportedField, Violation

RPCS: frozenset[str] = frozenset(
    {
        "CoordinatorService/WatchSagas",
        "CoordinatorService/CompleteStep",
        "CoordinatorService/HeartbeatStep",
        "CoordinatorService/ExplainSaga",
        "OperatorService/RetrySaga",
        "OperatorService/ForceCompensation",
        "OperatorService/SkipCompensation",
        "OperatorService/PauseSaga",
        "OperatorService/ResumeSaga",
        "OperatorService/EditStepInput",
        "OperatorService/BatchOperate",
        "OperatorService/DeleteSaga",
        "OperatorService/PurgeSagas",
        "WorkerService/Work",
        "EventService/Publish",
        "EventService/Subscribe",
    }
)
"""Answered with UNIMPLEMENTED and the reason NOT_IMPLEMENTED."""

FIELDS: dict[str, dict[str, frozenset[Any]]] = {
    "SagaDefinition": {
        "compensation_strategy": frozenset(
            {
                d.COMPENSATION_STRATEGY_PARALLEL,
                d.COMPENSATION_STRATEGY_BEST_EFFORT,
                d.COMPENSATION_STRATEGY_CUSTOM,
                d.COMPENSATION_STRATEGY_NONE,
            }
        ),
        "compensation_order": frozenset(),
        "error_rules": frozenset(),
        "mode": frozenset({d.COORDINATOR_MODE_CHOREOGRAPHY, d.COORDINATOR_MODE_HYBRID}),
    },
    "StepDefinition": {
        "kind": frozenset({d.STEP_KIND_PIVOT, d.STEP_KIND_RETRIABLE}),
        "depends_on": frozenset(),
        "async_completion": frozenset(),
        "heartbeat_timeout": frozenset(),
    },
    "CompensationDefinition": {"total_timeout": frozenset()},
    "StartSagaRequest": {"mode": frozenset({d.COORDINATOR_MODE_CHOREOGRAPHY, d.COORDINATOR_MODE_HYBRID})},
}
"""By message and field: the values refused; an empty set refuses the field altogether."""

OUTPUT_ONLY: dict[str, frozenset[str]] = {
    "SagaDefinition": frozenset({"version", "digest", "disabled", "registered_at"}),
}
"""Fields only the server fills. Taken as they come, so that what was read can be sent back; they change nothing."""


def refuse_unsupported(message: Message, path: str = "") -> None:
    """Check a whole message.

    Raises:
        UnsupportedField: With every such field, by path.
    """
    found = tuple(_unsupported(message, path))
    if found:
        raise UnsupportedField(found)


@cache
def _is_ours(kind: Descriptor | None) -> bool:
    """Whether a field holds a message of this project, which may have fields to refuse."""
    return kind is not None and kind.full_name.startswith("swit_saga.") and not kind.GetOptions().map_entry


def _unsupported(message: Message, path: str) -> Iterator[Violation]:
    refused = FIELDS.get(message.DESCRIPTOR.name, {})
    for field, value in message.ListFields():
        at = f"{path}.{field.name}" if path else field.name
        if field.name in refused:
            values = refused[field.name]
            if not values:
                yield Violation(at, "is not supported by this version of the server; leave it out")
            elif value in values:
                shown = field.enum_type.values_by_number[value].name if field.enum_type else value
                yield Violation(at, f"{shown} is not supported by this version of the server")
        elif _is_ours(field.message_type):
            if field.is_repeated:
                for i, item in enumerate(value):
                    yield from _unsupported(item, f"{at}[{i}]")
            else:
                yield from _unsupported(value, at)
