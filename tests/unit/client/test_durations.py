"""One way to write a length of time."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swit_saga.durations import format_duration, parse_duration


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


def test_longer_than_a_timedelta_is_refused():
    with pytest.raises(ValueError, match="too long"):
        parse_duration("9999999999999d")


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
    assert parse_duration(timedelta(days=-1)) == timedelta(days=-1)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000)))
def test_what_is_written_is_read_back(value):
    assert parse_duration(format_duration(value)) == value
