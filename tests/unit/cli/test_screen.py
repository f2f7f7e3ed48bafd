"""What reaches a screen: text on one line, in columns that cut nothing."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swit_saga_server.cli.screen import aligned, shown


@given(st.text(st.characters(codec=None)))
def test_nothing_that_a_terminal_acts_on_is_left(text):
    said = shown(text)
    assert all(c.isprintable() or c.isspace() for c in said)
    assert len(said.splitlines()) <= 1
    assert said.isprintable() is False or shown(said) == said


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ("plain [red] :smile: \\ é 漢字 👍", "plain [red] :smile: \\ é 漢字 👍"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("\u202e\u2066\u200f\u061c", r"\u202e\u2066\u200f\u061c"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("\udcff\U000e0001", r"\udcff\U000e0001"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_what_is_shown_escaped(data, seen):
    assert shown(data) == seen


def test_every_character_that_has_a_meaning():
    for code in (*range(0x20000), *range(0xE0000, 0xE1000), sys.maxunicode):
        said = shown(chr(code))
        assert said.isprintable() or said.isspace()
        assert said not in "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"


ROWS = [("id", "at", "error"), ("i" * 200, "2026", "word " * 30), ("漢字", "2027", "")]


def test_piped_a_row_is_a_line():
    lines = list(aligned(ROWS, None))
    assert len(lines) == len(ROWS)
    assert lines[1] == f"{'i' * 200}  2026  {('word ' * 30).rstrip()}"
    assert lines[2] == "漢字" + " " * 196 + "  2027"


def test_on_a_terminal_the_last_column_is_folded_and_nothing_else_is():
    lines = list(aligned([("id", "error"), ("i" * 40, "word " * 30)], 80))
    assert [len(line) <= 80 for line in lines] == [True] * len(lines)
    assert lines[1].startswith("i" * 40 + "  word")
    assert "".join(line[42:] for line in lines[1:]).count("word") == 30
    assert list(aligned(ROWS, 80)) == list(aligned(ROWS, None)), "there is no room to fold into"
