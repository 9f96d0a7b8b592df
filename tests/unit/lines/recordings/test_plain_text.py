"""Plain text: what a line of output looks like in the end, without anything that controls a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.recordings.plain_text import LINE_MAX_CHARS, plain_lines

SHOWN = [
    (b"one\r\ntwo\n", ["one", "two", ""]),
    (b"a\r\r\nb\x0bc\x0cd", ["a", "b", "c", "d"]),
    (b"10%\r20%\r100%\r\n", ["100%", ""]),
    (b"longer\rab", ["abnger"]),
    (b"longer\rab\x1b[K", ["ab"]),
    (b"longer\x1b[2K\rab", ["ab"]),
    (b"\r\x1b[2Kab\b\bxy", ["xy"]),
    (b"typo\b \b\b \bed", ["tyed"]),
    (b"a\tb", ["a       b"]),
    (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x1b]52;c;eA==\x1b\\", ["red text"]),
    (b"\x00\x07bell\x7f\xc2\x85next", ["bell", "next"]),
    ("größer ✓ 漢".encode(), ["größer ✓ 漢"]),
    (b"bad \xff", ["bad \N{REPLACEMENT CHARACTER}"]),
]


@pytest.mark.parametrize(("data", "lines"), SHOWN)
def test_a_line_is_shown_as_it_looks_in_the_end(data: bytes, lines: list[str]) -> None:
    assert plain_lines(data) == lines


def test_output_without_line_ends_is_cut_into_lines_of_limited_length() -> None:
    lines = plain_lines(b"x" * (3 * LINE_MAX_CHARS + 1))
    assert [len(one) for one in lines] == [LINE_MAX_CHARS] * 3 + [1]


@given(st.binary(max_size=300) | st.lists(st.sampled_from([one for one, _ in SHOWN])).map(b"".join))
def test_no_control_character_is_left(data: bytes) -> None:
    assert not any(ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 for line in plain_lines(data) for one in line)
