"""The states of sagas, steps and compensations, as the specification names them."""

from enum import StrEnum


class SagaState(StrEnum):
    """Where a saga stands."""

    PENDING = "pending"
    RUNNING = "running"
    STEP_COMPLETED = "step_completed"
    COMPLETED = "completed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def is_terminal(self) -> bool:
        """The outcome is recorded; only an operator reopens ``failed``."""
        return self in TERMINAL_STATES

    @property
    def is_active(self) -> bool:
        """Running, step_completed or compensating; *pending is not active*."""
        return self in ACTIVE_STATES


TERMINAL_STATES = frozenset(
    {SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED, SagaState.CANCELLED, SagaState.TIMED_OUT}
)
ACTIVE_STATES = frozenset({SagaState.RUNNING, SagaState.STEP_COMPLETED, SagaState.COMPENSATING})


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    SKIPPED = "skipped"

    @property
    def is_passed(self) -> bool:
        """Whether the steps that depend on it may begin."""
        return self is StepStatus.COMPLETED or self is StepStatus.SKIPPED


class CompensationStatus(StrEnum):
    """Where a step's compensation stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_undone(self) -> bool:
        """Whether nothing of the step's effect is left, or need be undone."""
        return self is CompensationStatus.COMPLETED or self is CompensationStatus.SKIPPED


class Effect(StrEnum):
    """What is durably known of a step's effect: ``maybe`` from the commit that intends its first attempt."""

    NONE = "none"
    MAYBE = "maybe"
    DONE = "done"


class StopCause(StrEnum):
    """Why a saga stopped going forward. The first cause fixes the outcome."""

    FAILURE = "failure"
    CANCEL = "cancel"
    DEADLINE = "deadline"
