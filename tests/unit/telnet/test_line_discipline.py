"""From bytes to bounded lines."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.telnet.line_discipline import (
    TOKENS_PER_TURN,
    EndOfInput,
    Input,
    Interrupt,
    LineDiscipline,
    LineEndless,
    LineNotUtf8,
    LineTooLong,
    TypedLine,
)

LIMIT = 20
ENDLESS = 50


def discipline() -> LineDiscipline:
    return LineDiscipline(line_max_bytes=LIMIT, endless_max_bytes=ENDLESS)


def feed(*pieces: bytes) -> list[Input]:
    lines = discipline()
    return [one for piece in pieces for one in lines.feed(piece)]


@pytest.mark.parametrize("end", [b"\r\n", b"\r\x00", b"\n", b"\r"])
def test_each_line_end_ends_one_line(end: bytes) -> None:
    assert feed(b"one" + end + b"two" + end) == [TypedLine("one"), TypedLine("two")]


@pytest.mark.parametrize("bytes_of_nothing", [b"ab\x08\x08", b"x\x15", b"\x00a\x00\x08"])
def test_long_input_without_lines_lets_the_caller_do_other_work(bytes_of_nothing: bytes) -> None:
    lines = LineDiscipline(line_max_bytes=LIMIT, endless_max_bytes=10**9)
    pieces = [list(lines.inputs(bytes_of_nothing * 8)) for _ in range(TOKENS_PER_TURN)]
    breaths = [one for piece in pieces for one in piece]
    assert set(breaths) == {None}
    assert len(breaths) >= 16


def test_runs_of_bytes_without_effect_cost_no_more_than_one() -> None:
    assert list(discipline().inputs(b"\x00" * 10**6 + b"\x15" * 10**6 + b"\x7f" * 10**6)) == []


@pytest.mark.parametrize("end", [b"\r\n", b"\r\x00"])
def test_a_line_end_that_is_split_between_packets_is_one_line_end(end: bytes) -> None:
    assert feed(b"one" + end[:1], end[1:] + b"two\n") == [TypedLine("one"), TypedLine("two")]


def test_a_line_is_complete_at_its_cr_without_waiting_for_more() -> None:
    assert feed(b"one\r") == [TypedLine("one")]


def test_empty_lines_are_lines() -> None:
    assert feed(b"\r\n\n\r\r\x00") == [TypedLine("")] * 4


def test_backspace_and_delete_remove_a_character() -> None:
    assert feed(b"abd\x08c\x7f\x7fx\n") == [TypedLine("ax")]


def test_backspace_removes_a_whole_character_of_utf8() -> None:
    assert feed("aé\x08b€\x7f😀\x08\n".encode()) == [TypedLine("ab")]


def test_backspace_stops_at_the_beginning() -> None:
    assert feed(b"\x08\x08a\x08\x08\x08b\n") == [TypedLine("b")]


def test_backspace_over_bytes_that_are_not_utf8_terminates() -> None:
    assert feed(b"\x80\x80\x80\x08a\n") == [TypedLine("a")]


def test_control_u_deletes_the_line() -> None:
    assert feed(b"rm -rf\x15help\n") == [TypedLine("help")]


def test_control_d_ends_the_input_on_an_empty_line_only() -> None:
    assert feed(b"\x04") == [EndOfInput()]
    assert feed(b"a\x04b\n") == [TypedLine("ab")]


def test_control_c_cancels_the_line() -> None:
    assert feed(b"abc\x03d\n") == [Interrupt(), TypedLine("d")]


def test_a_line_that_is_not_utf8_is_reported_and_the_next_one_is_read() -> None:
    assert feed(b"\xff\xfe\nok\n") == [LineNotUtf8(), TypedLine("ok")]


def test_a_line_at_its_limit_is_accepted_and_one_beyond_it_is_reported_once() -> None:
    assert feed(b"a" * LIMIT + b"\n") == [TypedLine("a" * LIMIT)]
    assert feed(b"a" * (LIMIT + 1), b"aa", b"\nok\n") == [LineTooLong(), TypedLine("ok")]


def test_an_endless_line_is_reported_once_and_then_ignored() -> None:
    lines = discipline()
    told = [one for _ in range(200) for one in lines.feed(b"a")]
    assert told == [LineTooLong(), LineEndless()]
    assert lines.feed(b"\nhelp\n") == []


def test_editing_works_at_the_limit() -> None:
    assert feed(b"a" * LIMIT + b"\x08b\n") == [TypedLine("a" * (LIMIT - 1) + "b")]


PIECE = st.sampled_from(
    [b"\r", b"\n", b"\x00", b"\x08", b"\x7f", b"\x15", b"\x03", b"\x04", b"a", b"word", b"\xc3\xa9", b"\xff"]
)


@given(pieces=st.lists(PIECE, max_size=60), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_split_of_the_bytes_yields_the_same_lines(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    whole = discipline().feed(data)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    # A run of text is measured as a whole: a cut may reveal earlier that the line is endless, but changes nothing
    # else.
    split = feed(*(data[start:end] for start, end in pairwise(bounds)))
    assert split == whole


@given(data=st.binary(max_size=2000))
def test_any_bytes_are_processed_and_memory_is_bounded(data: bytes) -> None:
    lines = discipline()
    for one in lines.feed(data):
        if isinstance(one, TypedLine):
            assert len(one.text.encode()) <= LIMIT
    assert len(lines._typed) <= LIMIT
