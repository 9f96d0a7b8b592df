"""The screen shows what a terminal shows: compared with pyte, within what pyte itself does right."""

import unicodedata

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.typed.page_text import is_drawn, line_of, line_to_cursor
from telnetsd.lines.typed.rows import COMBINED_MAX
from telnetsd.lines.typed.screen import COLUMNS_MAX, ROWS_MAX, Moment, Screen

COLUMNS, ROWS = 20, 6
MOVES = st.one_of(
    st.builds("\b\x1b[{}{}".format, st.integers(0, 30), st.sampled_from("ABCDEFGd")),
    st.builds("\x1b[{};{}H".format, st.integers(0, 9), st.integers(0, 30)),
    st.builds("\x1b[{}J".format, st.integers(1, 2)),
    st.builds("\r\x1b7{}\x1b8".format, st.text("abc", max_size=5)),  # pyte restores a cursor once
    st.sampled_from(["\x1b[1;31m", "\x1b[m", "\x1b]0;title\x07", "\b\x1bM"]),
)


def _edits(finals: str) -> st.SearchStrategy[str]:
    """Return edits of a row, which begin away from the edge: pyte differs while the cursor is about to wrap."""
    counted = st.builds("{}{}".format, st.integers(1, 5), st.sampled_from(finals))
    return st.builds(
        "\r\x1b[{}C\x1b[{}".format, st.integers(1, 15), st.one_of(counted, st.sampled_from(["K", "1K", "2K", "J"]))
    )


TEXT = st.text(st.sampled_from("abc xyz#$0"), min_size=1, max_size=30)
CONTROLS = st.sampled_from(["\r", "\r\n", "\b", "\t"])
# What is pushed out of a row comes back in pyte when something is deleted; and it deletes no rows below empty ones.
INSERTING = st.one_of(_edits("@XL"), st.sampled_from(["\x1b[4h", "\x1b[4l"]))
OUTPUT = st.one_of(
    *(
        st.lists(st.one_of(TEXT, TEXT, CONTROLS, MOVES, edits), max_size=25).map("".join)
        for edits in (INSERTING, _edits("PXL"))
    )
)


def _feed(screen: Screen, data: bytes) -> list[Moment]:
    return list(screen.feed(data))


def _shown(screen: Screen) -> list[str]:
    rows = [row.text(screen.page.columns).rstrip() for row in screen.page.rows]
    return [*rows, *[""] * (screen.page.height - len(rows))]


@given(OUTPUT)
def test_the_screen_shows_what_pyte_shows(output: str) -> None:
    screen, other = Screen(COLUMNS, ROWS), pyte.Screen(COLUMNS, ROWS)

    _feed(screen, output.encode())
    pyte.Stream(other).feed(output)

    assert _shown(screen) == [row.rstrip() for row in other.display]
    assert (screen.page.y, screen.page.x) == (other.cursor.y, min(other.cursor.x, COLUMNS - 1))


@given(st.lists(st.sampled_from([*"ab漢字ü", "e\u0301", "\r\n", "\b"]), max_size=12).map("".join))
def test_wide_and_combining_characters_are_shown_as_pyte_shows_them(output: str) -> None:
    screen, other = Screen(40, ROWS), pyte.Screen(40, ROWS)

    _feed(screen, output.replace("\b", "").encode())
    pyte.Stream(other).feed(output.replace("\b", ""))

    assert [unicodedata.normalize("NFC", row) for row in _shown(screen)] == [
        unicodedata.normalize("NFC", row).rstrip() for row in other.display
    ]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_leave_the_screen_within_its_size(pieces: list[bytes]) -> None:
    screen = Screen(COLUMNS, ROWS)

    for piece in pieces:
        _feed(screen, piece)

    _assert_within_size(screen)


@given(st.lists(st.one_of(OUTPUT, st.builds("\x1b[{};{}r".format, st.integers(0, 9), st.integers(0, 9)))))
def test_scroll_regions_leave_the_screen_within_its_size(pieces: list[str]) -> None:
    screen = Screen(COLUMNS, ROWS)

    for piece in pieces:
        _feed(screen, piece.encode())
        screen.resize(COLUMNS - len(piece) % 5, ROWS - len(piece) % 3)

    _assert_within_size(screen)


def _assert_within_size(screen: Screen) -> None:
    page = screen.page
    assert len(page.rows) <= page.height
    assert all(len(row.cells) <= COLUMNS for row in page.rows)
    assert 0 <= page.y < len(page.rows)
    assert 0 <= page.x < page.columns


@given(OUTPUT, st.integers(0, 400))
def test_a_split_of_the_output_makes_no_difference(output: str, at: int) -> None:
    data = output.encode()
    whole, split = Screen(COLUMNS, ROWS), Screen(COLUMNS, ROWS)

    moments = _feed(whole, data)

    assert _feed(split, data[:at]) + _feed(split, data[at:]) == moments
    assert _shown(split) == _shown(whole)


def test_a_line_that_wraps_is_one_line() -> None:
    screen = Screen(10, 3)

    _feed(screen, b"$ " + b"0123456789" * 4)

    assert line_of(screen.page).endswith("0123456789" * 2)
    assert line_to_cursor(screen.page) == line_of(screen.page)


def test_many_combining_characters_take_no_more_room() -> None:
    screen = Screen(10, 3)

    _feed(screen, ("e" + "\u0301" * 1000).encode())

    assert len(screen.page.row.cells[0]) == COMBINED_MAX


def test_a_huge_terminal_is_cut() -> None:
    screen = Screen(65535, 65535)

    screen.resize(60000, 60000)

    assert (screen.page.columns, screen.page.height) == (COLUMNS_MAX, ROWS_MAX)


@pytest.mark.parametrize("final", "ABCDEFGHIJKLMPSTXZ@`abdefr")
def test_a_huge_count_costs_no_more_than_the_screen(final: str) -> None:
    screen = Screen(COLUMNS, ROWS)

    _feed(screen, b"x\x1b[99999999999999999999%c" % final.encode() * 100)

    _assert_within_size(screen)


def test_the_alternate_page_is_reported_and_the_main_one_is_there_again() -> None:
    screen = Screen(COLUMNS, ROWS)
    _feed(screen, b"$ vim")

    assert _feed(screen, b"\x1b[?1049h\x1b[Htext") == [Moment.PAGE_CHANGES]
    assert screen.is_alternate
    assert _feed(screen, b"\x1b[?1049l") == [Moment.PAGE_CHANGES]
    assert line_of(screen.page) == "$ vim"


def test_an_editor_that_accepts_a_line_is_reported_before_the_line_ends() -> None:
    screen = Screen(COLUMNS, ROWS)

    assert _feed(screen, b"\x1b[?2004h$ ls\x1b[?2004l\r\n") == [Moment.EDITING_ENDS, Moment.LINE_ENDS]


def test_a_row_below_an_absolute_address_is_drawn_until_the_page_scrolls() -> None:
    screen = Screen(COLUMNS, ROWS)

    _feed(screen, b"\x1b[6;1H:wq")
    assert is_drawn(screen.page)
    _feed(screen, b"\r\n$ ")
    assert not is_drawn(screen.page)
