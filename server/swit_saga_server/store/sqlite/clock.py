"""The store's clock."""

import time

from swit_saga_server.core.units import Instant


def system_clock() -> Instant:
    """The wall clock: the store's clock is this machine's."""
    return Instant(time.time_ns() // 1000)
