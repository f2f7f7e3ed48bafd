"""What this version does not do yet, in one place: it is refused at the door, never ignored.

A test walks every field of the messages below and fails on one that is neither converted nor listed here.
"""

from typing import Any

from swit_saga.v1 import definition_pb2 as d

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
