"""Ids that sort by time, so that stores append rather than scatter."""

import secrets
import time


def new_saga_id() -> str:
    """Unique: 11 hex digits of milliseconds since the epoch, 21 random ones."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.randbits(84):021x}"
