"""The backlog: the last whole lines of what a line showed, whatever the pieces in which it came."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.backlog import Backlog
from telnetsd.lines.replay import replay

AT = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
PIECES = st.lists(st.sampled_from([b"one", b"\r\n", b"\n", b"\x1b[1;31m", b"\x1b[", b"\xc3", b"\xbc", b"x" * 50]))


def filled(data: bytes, max_bytes: int = 1000, size: int = 7) -> Backlog:
    backlog = Backlog(max_bytes)
    for number, start in enumerate(range(0, len(data), size)):
        backlog.add(data[start : start + size], AT + timedelta(seconds=number))
    return backlog


def test_the_last_lines_and_the_one_that_is_not_ended_are_returned() -> None:
    past = filled(b"one\r\ntwo\r\nthree\r\nlogin: ").last(2)
    assert past is not None
    assert (past.lines, past.current, past.is_all) == (["two", "three"], "login: ", False)
    everything = filled(b"one\r\ntwo\r\nthree\r\nlogin: ").last(None)
    assert everything is not None
    assert (everything.lines, everything.is_all) == (["one", "two", "three"], True)


def test_an_empty_backlog_has_no_past() -> None:
    assert Backlog(1000).last(20) is None
    assert filled(b"shown", max_bytes=0).last(None) is None


def test_it_never_has_more_bytes_than_allowed_and_a_cut_line_or_sequence_is_not_shown() -> None:
    backlog = filled(b"\x1b[31mfirst line\r\n" * 100, max_bytes=50)
    assert backlog.size == 50
    past = backlog.last(None)
    assert past is not None
    assert set(past.lines) == {"first line"}


def test_its_times_are_those_of_the_first_and_the_last_piece() -> None:
    past = filled(b"one\r\ntwo\r\n", size=5).last(None)
    assert past is not None
    assert (past.since, past.until) == (AT, AT + timedelta(seconds=1))


@given(PIECES, st.integers(1, 200), st.one_of(st.none(), st.integers(0, 10)))
def test_whatever_was_shown_the_past_is_text_without_control_characters(
    pieces: list[bytes], max_bytes: int, count: int | None
) -> None:
    backlog = Backlog(max_bytes)
    for piece in pieces:
        backlog.add(piece, AT)
        assert backlog.size <= max_bytes
    past = backlog.last(count)
    if past is None:
        assert not b"".join(pieces)
        return
    assert count is None or len(past.lines) <= count
    assert all(one.isprintable() for one in (*past.lines, past.current))


@given(st.lists(st.sampled_from([b"one\r\n", b"two", b"\r\n", b"three "]), max_size=30), st.integers(1, 20))
def test_the_split_of_the_output_does_not_matter(pieces: list[bytes], size: int) -> None:
    whole = b"".join(pieces)
    one, other = filled(whole, size=size).last(None), filled(whole, size=1000).last(None)
    assert (one and (one.lines, one.current)) == (other and (other.lines, other.current))


def test_past_output_is_marked_with_its_time_and_its_last_line_goes_on() -> None:
    past = filled(b"one\r\ntwo\r\nlogin: ", size=100).last(1)
    assert past is not None
    assert replay(past, "switch-1") == (
        b"\r\n*** the last past output of switch-1, 2026-11-30 14:00:00 to 14:00:00 UTC:\r\n"
        b"two\r\n"
        b"*** now live; ~r shows more of the past, ~p all of it\r\n"
        b"login: "
    )
