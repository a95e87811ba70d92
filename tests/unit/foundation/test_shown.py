from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.shown import visible, visible_lines, without_colours


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain: ä 日本 ✓", "plain: ä 日本 ✓"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m", r"\x9b31m"),  # the one-character form of escape and bracket
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\udcff", r"\udcff"),
        (None, "None"),
    ],
)
def test_visible(text: object, shown: str) -> None:
    assert visible(text) == shown


def test_lines_stay_lines() -> None:
    assert visible_lines("a\r\nb\x07\n\tc\n") == "a\nb\\x07\n    c\n"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert visible(text).isprintable()
    assert all(line.isprintable() for line in visible_lines(text).split("\n"))
    visible(text).encode()


def test_colours_are_no_text() -> None:
    assert without_colours("\x1b[1;31mred\x1b[0m and \x1b[38;5;9mmore\x1b[m \x1b[2J") == "red and more \x1b[2J"


def test_diagnostics_show_what_they_quote() -> None:
    told = Diagnostic(code="x", message="no \x1b[2J here", hint="say \x07").render()
    assert told == "error[x]: no \\x1b[2J here\n      = hint: say \\x07"
