"""What may be intended now: the one place where limits, holds and everything else that makes a step wait is asked.

The gate answers with *places*: how many commands the saga may have open, those that it has open counted, so that a saga
goes on in the place that its own answer frees; or with the reason why there is none.
"""

from enum import StrEnum
from typing import Final, Protocol

from swit_saga_server.core.identity import Kind
from swit_saga_server.core.record import record

UNLIMITED: Final = 1 << 30


class Reason(StrEnum):
    """Why a step waits although its turn has come."""

    FULL = "full"
    """As many commands are open as may be."""


@record(frozen=True, slots=True)
class Waiting:
    """A call whose turn has come and that may not be intended: nothing is charged while it waits."""

    step_index: int
    kind: Kind
    participant: str
    reason: Reason


class Gate(Protocol):
    """Answers for one saga, for the length of one decision."""

    def in_all(self, kind: Kind) -> int:
        """How many commands the saga may have open if one of this kind is to be added."""
        ...

    def places(self, participant: str, kind: Kind) -> int | Reason:
        """How many commands to this participant the saga may have open if one of this kind is to be added."""
        ...


class _Open:
    """Nothing is limited."""

    def in_all(self, kind: Kind) -> int:
        return UNLIMITED

    def places(self, participant: str, kind: Kind) -> int | Reason:
        return UNLIMITED


OPEN: Final[Gate] = _Open()
