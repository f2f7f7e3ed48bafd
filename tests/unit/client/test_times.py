"""Times and lengths of time beyond what Python can hold read as the first or the last there is, in every view."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga import Codecs, StepContext
from swit_saga.times import datetime_of, timedelta_of
from swit_saga.v1 import participant_service_pb2 as participant_pb
from tests.unit.client.test_view_fields import VIEWS

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
FAR = (2**63 - 1, 9_300_000_000_000, 253_402_300_800)
"""Seconds: all there are, the first past microseconds of 64 bits, the first of the year 10000."""


def of(field: Any) -> str:
    kind = field.message_type
    return str(kind.full_name) if kind is not None and not field.is_repeated else ""


TIMES = [
    pytest.param(kind, field, id=f"{kind.DESCRIPTOR.name}.{field.name}")
    for kind in VIEWS
    for field in kind.DESCRIPTOR.fields
    if of(field) in ("google.protobuf.Timestamp", "google.protobuf.Duration")
]


@pytest.mark.parametrize("seconds", FAR)
@pytest.mark.parametrize(("kind", "field"), TIMES)
def test_every_time_of_a_view_can_be_read(kind: type[Message], field: FieldDescriptor, seconds: int):
    for sign in (1, -1):
        message = kind()
        getattr(message, field.name).seconds = sign * seconds
        shown = getattr(VIEWS[kind](message), field.name)
        if of(field) == "google.protobuf.Timestamp":
            assert shown == (LAST if sign > 0 else FIRST)
        elif seconds // 86_400 > timedelta.max.days:
            assert shown == (timedelta.max if sign > 0 else timedelta.min)
        else:
            assert shown == timedelta(seconds=sign * seconds)


def test_a_handler_has_a_time_for_whatever_was_sent():
    request = participant_pb.ExecuteRequest()
    request.command.not_after.seconds = FAR[0]
    step = StepContext(request, Codecs())
    assert (step.not_after, step.time_left > timedelta(days=1)) == (LAST, True)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (Timestamp(seconds=1_767_323_045, nanos=6_999), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (Timestamp(seconds=-1, nanos=999_999_999), datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        (Duration(seconds=1, nanos=500_000_999), timedelta(seconds=1.5)),
        (Duration(seconds=-1, nanos=-500_000_999), timedelta(seconds=-1.5)),
        (Duration(nanos=2**31 - 1), timedelta(microseconds=2_147_483)),
    ],
)
def test_ordinary_ones_are_exact_to_the_microsecond(sent, read):
    assert (datetime_of(sent) if isinstance(sent, Timestamp) else timedelta_of(sent)) == read
