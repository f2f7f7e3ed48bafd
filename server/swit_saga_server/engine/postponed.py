"""Inputs that nobody waits for and that need a newer level than the fleet's: kept, and put to their sagas again.

Whoever asks for something is refused and may ask again. A participant's answer comes only once: without it the attempt
would count as lost, and attempts are limited.
"""

from swit_saga_server.core.units import SECOND, Span
from swit_saga_server.engine.alarm import Alarm
from swit_saga_server.engine.environment import Clock
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.mailbox import Mailbox

PAUSE: Span = 5 * SECOND
"""Between one try and the next."""


class Postponed:
    """Puts items back into the mailbox, a while later. One whose saga is another's by then is sent on from there."""

    def __init__(self, clock: Clock, mailbox: Mailbox) -> None:
        self._clock = clock
        self._mailbox = mailbox
        self._items: list[Item] = []
        self._alarm = Alarm(clock.elapsed, self._put_back)

    def put(self, item: Item) -> None:
        """Try it again later."""
        self._items.append(item)
        self._alarm.set(self._clock.elapsed() + PAUSE)

    def stop(self) -> None:
        """Put nothing back any more. Safe to call twice."""
        self._alarm.stop()

    def _put_back(self) -> None:
        items, self._items = self._items, []
        for item in items:
            self._mailbox.put(item)
