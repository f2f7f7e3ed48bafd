"""What lies in the mailbox: an input for a saga, and whoever waits for what it leads to."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.inputs import Input
from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import record
from swit_saga_server.core.units import NO_TIME, Span

StartResult: TypeAlias = tuple[Saga, bool]
"""A saga, durable, and whether this request created it."""


class NotHeld(Exception):
    """The saga's partition is another coordinator's: the request must go through the store."""


class Waiter(Protocol):
    """Where one request's outcome goes."""

    @property
    def is_done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def succeed(self, result: StartResult) -> None:
        """What was asked is durable. Of no effect if nobody waits any more."""
        ...

    def fail(self, error: Exception) -> None:
        """What was asked was refused, or nobody knows. Of no effect if nobody waits any more."""
        ...


@record(frozen=True, slots=True)
class Begin:
    """A new saga in its first state, with its definition. Not an input of the machine: there is no saga yet."""

    saga: Saga
    definition: Definition


@dataclass(slots=True)
class Item:
    """One thing in the mailbox; whoever waits for it hears once what it led to is durable.

    Attributes:
        waiter: A caller in this process that waits for it.
        message_id: Of the inbox message that brought it from another coordinator; empty if it came from here.
        put_at: When it was put in the mailbox, in plain time; of starts only.
    """

    saga_id: str
    given: Input | Begin
    waiter: Waiter | None = None
    message_id: str = ""
    put_at: Span = NO_TIME
