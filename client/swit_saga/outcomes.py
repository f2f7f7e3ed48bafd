"""What became of a saga: the result of a completed one, an exception for any other outcome."""

from collections.abc import Mapping
from typing import Any

from swit_saga.errors import SagaClientError
from swit_saga.names import UNKNOWN
from swit_saga.views import SagaView


class OutcomeError(SagaClientError):
    """The saga did not complete. Only ``result`` raises this; ``wait`` never does.

    This very class, and none below it, stands for an outcome that a newer coordinator knows and this client does not.

    Attributes:
        saga: The saga with its outcome.
    """

    def __init__(self, saga: SagaView) -> None:
        why = f": {saga.error.message}" if saga.error else ""
        what = "at an outcome that this client does not know" if saga.state == UNKNOWN else saga.state
        super().__init__(f"saga {saga.id!r} is {what}{why}")
        self.saga = saga


class SagaCompensated(OutcomeError):
    """The saga failed, and every effect is undone."""


class SagaFailed(OutcomeError):
    """Effects remain: it waits for an operator."""


class SagaCancelled(OutcomeError):
    """The saga was cancelled, and every effect is undone."""


class SagaTimedOut(OutcomeError):
    """Its deadline passed, and every effect is undone."""


OUTCOMES: Mapping[str, type[OutcomeError]] = {
    "compensated": SagaCompensated,
    "failed": SagaFailed,
    "cancelled": SagaCancelled,
    "timed_out": SagaTimedOut,
}
"""By the saga's state."""


class WaitTimeout(SagaClientError):
    """The saga had not reached its outcome within the time given to ``result``."""


def result_of(saga: SagaView, kind: Any, *, done: bool) -> Any:
    """The result of a saga that was waited for.

    Args:
        saga: As it was when the wait ended.
        kind: Decoded as this; None takes what the payload suggests.
        done: Whether the coordinator says that it has its outcome.

    Raises:
        OutcomeError: It has another outcome than completed.
        WaitTimeout: It has none.
        CodecError: The result cannot be read as ``kind``; there is none, and ``kind`` does not admit None.
    """
    if not (done or saga.is_terminal):
        raise WaitTimeout(f"saga {saga.id!r} is still {saga.state}")
    if saga.state == "completed":
        return saga.result_data(kind) if saga.proto.HasField("result_data") else saga.codecs.decode(None, kind)
    raise OUTCOMES.get(saga.state, OutcomeError)(saga)
