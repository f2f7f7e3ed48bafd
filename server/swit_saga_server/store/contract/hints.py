"""Hints: wake-ups, best-effort."""

from collections.abc import Callable
from typing import Protocol

from swit_saga_server.core.record import record


@record(frozen=True, slots=True)
class Hint:
    """A wake-up: something may be new in ``partition``. May come twice, late or never; never more than a hint.

    ``kind`` is ``inbox`` (an entry was posted), ``due`` (a saga was created without a lease) or ``lease`` (a partition
    was released).
    """

    kind: str
    partition: int


class Hints(Protocol):
    """Who waits for something by another's hand need not wait for the next look."""

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """Call ``on_hint`` on this event loop when something may be new by another's hand.

        Returns:
            What ends it; safe to call twice.
        """
        ...
