"""The states of a saga by name."""

from swit_saga.names import name_of
from swit_saga.v1 import saga_pb2

ACTIVE = frozenset({"running", "step_completed", "compensating"})
"""Under way: neither waiting to begin nor at its outcome."""
TERMINAL = frozenset({"completed", "compensated", "failed", "cancelled", "timed_out"})
"""The outcomes."""

_STATES = {name_of(saga_pb2.SagaState.DESCRIPTOR, number): number for number in saga_pb2.SagaState.values() if number}


def state_name(value: "saga_pb2.SagaState.ValueType") -> str:
    """``running`` for SAGA_STATE_RUNNING; ``unknown`` for a state that this client does not know."""
    return name_of(saga_pb2.SagaState.DESCRIPTOR, value)


def state_value(name: str) -> "saga_pb2.SagaState.ValueType":
    """The reverse of ``state_name``.

    Raises:
        ValueError: There is no such state.
    """
    found = _STATES.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"{name!r} is no state of a saga; there are {', '.join(_STATES)}")
    return found
