"""The states of a saga by name."""

from swit_saga.names import name_of
from swit_saga.v1 import saga_pb2

ACTIVE = frozenset({"running", "step_completed", "compensating"})
"""Under way: neither waiting to begin nor at its outcome."""
TERMINAL = frozenset({"completed", "compensated", "failed", "cancelled", "timed_out"})
"""The outcomes."""


def state_name(value: "saga_pb2.SagaState.ValueType") -> str:
    """``running`` for SAGA_STATE_RUNNING; ``unknown`` for a state that this client does not know."""
    return name_of(saga_pb2.SagaState.DESCRIPTOR, value)


def state_value(name: str) -> "saga_pb2.SagaState.ValueType":
    """The reverse of ``state_name``.

    Raises:
        ValueError: There is no such state.
    """
    return saga_pb2.SagaState.Value(f"SAGA_STATE_{name.upper()}")
