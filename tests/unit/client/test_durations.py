"""One way to write a length of time."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swit_saga.durations import MAX_DURATION, format_duration, parse_duration
from swit_saga_server.core.limits import MAX_SPAN


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "s",
        "-1s",
        "+1s",
        "1 s",
        "1m 30s",
        "30s1m",
        "1s1s",
        "1w",
        "1S",
        "1e3s",
        "1,5s",
        ".5s",
        "1s.",
        "1m30",
    ],
)
def test_what_is_no_duration_is_refused_saying_how_to_write_one(text):
    with pytest.raises(ValueError, match=r"write .*'1m30s'"):
        parse_duration(text)


@pytest.mark.parametrize("value", [30, 1.5, None, True, b"1s"])
def test_a_value_without_a_unit_is_refused(value):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)


@pytest.mark.parametrize(
    "value", ["9999999999999d", "36525d1us", "3000000d", timedelta(days=36_525, microseconds=1), timedelta.max]
)
def test_longer_than_100_years_is_refused(value):
    with pytest.raises(ValueError, match=r"too long; the longest is 36525d"):
        parse_duration(value)


@pytest.mark.parametrize("value", [timedelta(microseconds=-1), timedelta.min])
def test_a_negative_timedelta_is_refused(value):
    with pytest.raises(ValueError, match="negative"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["36525d", MAX_DURATION])
def test_100_years_are_taken(value):
    assert parse_duration(value) == MAX_DURATION


@pytest.mark.parametrize("text", ["nan", "inf", "NaNs", "1e400s", "1e4s", "9" * 5_000 + "s", "\u0661s", "-0s", "0x1s"])
def test_what_only_some_call_a_number_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_the_coordinator_takes_the_same():
    assert MAX_DURATION // timedelta(microseconds=1) == MAX_SPAN


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("0s", 0),
        ("250us", 250),
        ("500ms", 500_000),
        ("30s", 30_000_000),
        (" 30s ", 30_000_000),
        ("1m30s", 90_000_000),
        ("1.5h", 5_400_000_000),
        ("1d2h3m4s5ms6us", 93_784_005_006),
    ],
)
def test_reading(text, microseconds):
    assert parse_duration(text) == timedelta(microseconds=microseconds)


def test_a_timedelta_is_taken_as_it_is():
    assert parse_duration(timedelta(days=1)) == timedelta(days=1)


@given(st.timedeltas(min_value=timedelta(0), max_value=MAX_DURATION))
def test_what_is_written_is_read_back(value):
    assert parse_duration(format_duration(value)) == value
