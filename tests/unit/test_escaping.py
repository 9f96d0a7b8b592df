"""The one function through which a peer's text reaches people."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.escaping import escape


def test_characters_that_could_control_a_terminal_become_their_numbers() -> None:
    assert escape("\x1b[2J\r\n\x00\x7f\x9b", 99) == r"\x1b[2J\x0d\x0a\x00\x7f\x9b"
    assert escape("\u202e\u200b\u2028\U000e0001", 99) == r"\u202e\u200b\u2028\U000e0001"


def test_ordinary_text_is_not_changed() -> None:
    assert escape("Zoë 王 😀 ok", 99) == "Zoë 王 😀 ok"


def test_a_backslash_is_doubled_so_that_nothing_looks_like_an_escape() -> None:
    assert escape(r"\x1b", 99) == r"\\x1b"


def test_text_that_is_too_long_is_cut_and_marked() -> None:
    assert escape("a" * 10, 5) == "aaaa…"
    assert escape("a" * 5, 5) == "aaaaa"


@given(text=st.text(st.characters(), max_size=200), limit=st.integers(1, 300))
def test_escaped_text_is_printable_and_within_its_limit(text: str, limit: int) -> None:
    shown = escape(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert "\n" not in shown


@given(text=st.text(st.characters(blacklist_characters="'\""), max_size=100))
def test_nothing_is_lost_by_escaping(text: str) -> None:
    assert ast.literal_eval(f'"{escape(text, 2000)}"') == text
