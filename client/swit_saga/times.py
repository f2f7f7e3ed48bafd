"""Moments and lengths of time as they are sent, read as Python's: what lies beyond Python's range reads as its end.

Records written before there were bounds may hold such times, and so may a participant's answer. Whoever looks at a saga
is to see it, not an exception.
"""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def datetime_of(at: Timestamp) -> datetime:
    """Aware, UTC; cut to microseconds; the first or the last datetime there is for what lies beyond."""
    try:
        return _EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1000)
    except OverflowError:
        return _FIRST if at.seconds < 0 else _LAST


def timedelta_of(length: Duration) -> timedelta:
    """Cut to microseconds; the shortest or the longest timedelta there is for what lies beyond."""
    try:
        # Towards zero: a negative length has negative nanoseconds.
        return timedelta(seconds=length.seconds, microseconds=int(length.nanos / 1000))
    except OverflowError:
        return timedelta.min if length.seconds < 0 else timedelta.max
