"""Places where a test can have the process killed: before and after everything that is persisted, sent or received.

Armed by an environment variable, ``SAGA_KILL_AT=commit.before:3`` for the third time; otherwise a test of one variable.
"""

import os
import signal
from enum import StrEnum


class Point(StrEnum):
    """The places. Whoever persists, sends or receives somewhere new adds two here; the crash matrix runs them all."""

    COMMIT_BEFORE = "commit.before"
    COMMIT_AFTER = "commit.after"
    CREATE_BEFORE = "create.before"
    CREATE_AFTER = "create.after"
    POST_BEFORE = "post.before"
    POST_AFTER = "post.after"
    SEND_BEFORE = "send.before"
    SEND_AFTER = "send.after"
    RECEIVE_BEFORE = "receive.before"
    RECEIVE_AFTER = "receive.after"


_point, _, _times = os.environ.get("SAGA_KILL_AT", "").partition(":")
_left = int(_times or 1)


def reach(point: Point) -> None:
    """Die here if so armed: at once, with no chance to say goodbye."""
    global _left
    if _point and point == _point:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
