"""Lines that fit the screen: broken between words only, and columns stay columns."""

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from telnetsd.session.wrapping import COLUMNS_MIN, wrap

LINES = st.text(st.sampled_from("ab-ü漢 "), max_size=120)


def rows(line: str, columns: int) -> list[str]:
    return list(wrap(line, columns))


def test_a_line_that_fits_or_a_screen_of_unknown_width_leaves_it_as_it_is() -> None:
    line = "x " * 60
    assert rows(line, 0) == rows(line, COLUMNS_MIN - 1) == rows(line, 120) == [line]
    assert rows("", 80) == [""]


def test_a_sentence_is_broken_between_words() -> None:
    assert rows("one two three four five six", 20) == ["one two three four", "five six"]


def test_what_follows_a_gap_stays_a_column() -> None:
    line = "collect [ID]     fetch a granted certificate, by key or one-time code"
    assert rows(line, 50) == [
        "collect [ID]     fetch a granted certificate, by",
        "                 key or one-time code",
    ]


def test_a_column_in_the_right_half_is_not_kept() -> None:
    assert rows("a line with a gap  then text that goes on", 30) == ["a line with a gap  then text", "that goes on"]


def test_a_word_that_is_longer_than_the_screen_is_not_broken() -> None:
    assert rows(f"fingerprint  SHA256:{'0' * 64} end", 60) == [
        f"fingerprint  SHA256:{'0' * 64}",
        "             end",
    ]


@given(LINES, st.integers(COLUMNS_MIN, 60))
def test_no_word_is_lost_or_broken_and_every_row_that_can_fit_does(line: str, columns: int) -> None:
    made = rows(line, columns)
    assert " ".join(made).split() == line.split()
    for row in made:
        assert wcswidth(row) <= columns or len(row.split()) == 1 or row == line[: len(row)]
