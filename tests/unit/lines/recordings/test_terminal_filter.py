"""The filter: output that draws is shown, and output that controls the terminal is not, however it is cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.recordings.terminal_filter import PENDING_MAX_CHARS, TerminalFilter

HARMLESS = [
    "plain text, größer ✓\r\n\t\b",
    "\x1b[31;1mred\x1b[0m",
    "\x1b[2J\x1b[10;20H\x1b[K",
    "\x1b[?1049h\x1b[?7;25l\x1b[?J\x1b[1;24r",
    "\x1b7\x1b8\x1bM\x1b(0qqq\x1b(B",
]
HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b]52;c;b3duZWQ=\x1b\\",
    "\x1bP$q q\x1b\\",
    "\x1b_apc\x1b\\",
    "\x1b^pm\x1b\\",
    "\x1bXsos\x1b\\",
    "\x1b[c",
    "\x1b[>c",
    "\x1b[6n",
    "\x1b[21t",
    "\x1b[?1;2$p",
    "\x1b[?u",
    "\x1b[?1;1;0S",
    "\x1b[?4m",
    "\x1b[?1003h",
    "\x1b[?25;1006h",
    "\x1b[?1004h",
    "\x1b[?2004h",
    "\x1bc",
    "\x1bZ",
    "\x9b31m",
    "\x05",
    "\x0e",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_output_that_draws_is_shown(text: str) -> None:
    assert TerminalFilter().feed(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_output_that_controls_the_terminal_is_not_shown(text: str) -> None:
    assert TerminalFilter().feed(f"a{text}b") in {"ab", "a31mb"}


@given(
    st.lists(st.sampled_from([*HARMLESS, *HOSTILE]) | st.text(max_size=5), max_size=6), st.lists(st.integers(0, 200))
)
def test_any_split_of_the_output_shows_the_same(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    whole, one = TerminalFilter(), TerminalFilter()
    expected = whole.feed(text) + whole.feed("")
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert "".join(one.feed(text[a:b]) for a, b in pairwise(places)) == expected


@given(st.text(alphabet=st.sampled_from("\x1b\x07\x9b[]PX^_?>=0123;$ cntpqhmHABab\x00\r\n"), max_size=40))
def test_no_sequence_that_queries_or_programs_the_terminal_passes(text: str) -> None:
    shown = TerminalFilter().feed(text)
    assert not re.search(r"\x1b[\]PX^_cZ]|\x1b\[[0-?]*[ -/]|\x1b\[[<=>]|\x1b\[[0-?]*[cntpqx]|[\x80-\x9f]", shown)


def test_an_endless_sequence_is_not_kept_forever() -> None:
    one = TerminalFilter()
    for _ in range(100):
        one.feed("\x1b]" + "x" * 1000)
    assert len(one._pending) <= PENDING_MAX_CHARS
