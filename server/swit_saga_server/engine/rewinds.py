"""The store went back behind what it had confirmed: a flush, an older snapshot, a failover to a replica that lagged.

What it has now is the truth. That it happened is found in many places at once, and is said and counted once.
"""

from swit_saga_server.core.units import SECOND, Span
from swit_saga_server.engine.counters import Counters
from swit_saga_server.engine.environment import Clock
from swit_saga_server.engine.feed import Feed
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

ONE_EVENT: Span = 5 * SECOND
"""What is found within this of the last finding is taken for the same going back."""


class Rewinds:
    """Tells of them."""

    def __init__(self, counters: Counters, clock: Clock, feed: Feed) -> None:
        self._counters = counters
        self._clock = clock
        self._feed = feed
        self._found_at: Span | None = None

    def found(self, error: str, **fields: object) -> None:
        """It went back: whoever watches or waits reads it anew."""
        now = self._clock.elapsed()
        if self._found_at is None or now - self._found_at > ONE_EVENT:
            self._counters.rewinds += 1
            log.critical("store_rewound", error=error, **fields)
        else:
            log.warning("store_rewound_here_too", error=error, **fields)
        self._found_at = now
        self._feed.notify_all()
