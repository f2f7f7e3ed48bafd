"""What becomes of an input that is not taken here."""

from collections.abc import Callable
from typing import TypeGuard

from swit_saga_server.core.errors import SwitSagaError
from swit_saga_server.core.inputs import Answered, Input, Unknown
from swit_saga_server.engine.items import Begin, Item, NotHeld


class Rejecting:
    """Tells whoever waits, and sees that nothing certain is lost."""

    def __init__(self, message_done: Callable[[str], None], send_on: Callable[[str, Answered], None]) -> None:
        """Take what is needed.

        Args:
            message_done: Lets go of an inbox message.
            send_on: Hands a participant's answer to whoever holds the saga.
        """
        self._message_done = message_done
        self._send_on = send_on

    def reject(self, item: Item, error: SwitSagaError | NotHeld) -> None:
        """The input did not happen here. A caller hears so; an inbox message stays, for whoever holds the saga."""
        self._message_done(item.message_id)
        given = item.given
        if item.waiter is not None:
            item.waiter.fail(error)
        elif isinstance(error, NotHeld) and not item.message_id and _is_certain(given):
            self._send_on(item.saga_id, given)


def _is_certain(given: Input | Begin) -> TypeGuard[Answered]:
    """Whether it is an answer of a participant that counts, whoever holds the saga now."""
    return isinstance(given, Answered) and not isinstance(given.answer, Unknown)
