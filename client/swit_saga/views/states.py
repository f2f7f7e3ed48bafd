"""The states of a saga by name."""

from collections.abc import Iterable

from swit_saga.given import given_text, several
from swit_saga.names import name_of
from swit_saga.v1 import saga_pb2

ACTIVE = frozenset({"running", "step_completed", "compensating"})
"""Under way: neither waiting to begin nor at its outcome."""
TERMINAL = frozenset({"completed", "compensated", "failed", "cancelled", "timed_out"})
"""The outcomes."""
_NUMBERS = {name_of(saga_pb2.SagaState.DESCRIPTOR, value): value for value in saga_pb2.SagaState.values() if value}


def state_name(value: "saga_pb2.SagaState.ValueType") -> str:
    """``running`` for SAGA_STATE_RUNNING; ``unknown`` for a state that this client does not know."""
    return name_of(saga_pb2.SagaState.DESCRIPTOR, value)


def state_value(name: str) -> "saga_pb2.SagaState.ValueType":
    """The reverse of ``state_name``.

    Raises:
        TypeError: It is no text.
        ValueError: There is no such state; the message has those that there are.
    """
    number = _NUMBERS.get(given_text(name, "states").lower())
    if number is None:
        raise ValueError(f"states: {name!r:.80} is no state; there are {', '.join(_NUMBERS)}")
    return number


def state_values(names: Iterable[str]) -> "list[saga_pb2.SagaState.ValueType]":
    """The reverse of ``state_name``, of each.

    Raises:
        TypeError: A single text is given, or one is no text.
        ValueError: There is no such state.
    """
    return [state_value(name) for name in several(names, "states")]
