"""Texts that others wrote are kept within their bounds, and can always be written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swit_saga_server.core.texts import MARK_BYTES, cut, cut_end, cut_middle, printable


@given(st.text(max_size=400), st.integers(2 * MARK_BYTES, 600))
def test_what_is_cut_has_its_bound_and_says_how_much(text: str, limit: int) -> None:
    size = len(text.encode(errors="backslashreplace"))
    for cutter in (cut_end, cut_middle):
        kept, omitted = cutter(text, limit)
        assert len(kept.encode()) <= limit
        assert (omitted == 0) == (size <= limit)
        assert (f"[{omitted:,} bytes cut]" in kept) == (omitted > 0) or "bytes cut" in text
        assert cutter(kept, limit) == (kept, 0), "once is enough"


def test_lone_surrogates_are_spelled_out() -> None:
    assert cut("bad \ud800", 100) == "bad \\ud800"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("NO", "NO"), ("a\nb\x1b[31m", "a\\nb\\x1b[3"), ("\u202e" * 20, "\\u202e\\u20"), ("x" * 20, "x" * 10)],
)
def test_codes_can_be_shown(text: str, shown: str) -> None:
    assert printable(text, 10) == shown
