"""An alert is reported at once, and then once a minute with the number of matches in between."""

import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.alert_matching import INTERVAL_S, QUIET_S, AlertMatcher, Match
from telnetsd.lines.recordings.plain_text import PENDING_MAX_BYTES


def _matcher(*patterns: str) -> AlertMatcher:
    def find(text: str) -> Sequence[int]:
        return [number for number, pattern in enumerate(patterns) if re.search(pattern, text)]

    return AlertMatcher(list(patterns), find)


def test_a_match_is_reported_when_its_line_ends() -> None:
    matcher = _matcher("panic")

    assert matcher.feed(b"kernel \x1b[31mpan", 0.0) == []
    assert matcher.feed(b"ic\x1b[0m now\r\nnext", 0.1) == [Match("panic", "kernel panic now", 0)]


def test_further_matches_are_counted_and_reported_after_a_minute() -> None:
    matcher = _matcher("panic")
    matcher.feed(b"panic 0\r\n", 0.0)

    assert matcher.feed(b"panic 1\r\npanic 2\r\n", 1.0) == []
    assert matcher.due(INTERVAL_S - 0.1) == []
    assert matcher.due(INTERVAL_S) == [Match("panic", "panic 2", 1)]
    assert matcher.due(2 * INTERVAL_S) == []
    assert matcher.feed(b"panic 3\r\n", 3 * INTERVAL_S) == [Match("panic", "panic 3", 0)]


def test_alerts_are_limited_each_for_itself() -> None:
    matcher = _matcher("panic", "disk full")
    matcher.feed(b"panic\r\n", 0.0)

    assert matcher.feed(b"disk full: panic\r\n", 1.0) == [Match("disk full", "disk full: panic", 0)]


def test_a_prompt_without_a_line_end_is_reported_once_after_a_moment_of_silence() -> None:
    matcher = _matcher("^db>")
    matcher.feed(b"stopped\r\ndb> ", 0.0)

    assert matcher.due(QUIET_S / 2) == []
    assert matcher.due(QUIET_S) == [Match("^db>", "db> ", 0)]
    assert matcher.due(2 * QUIET_S) == []
    matcher.feed(b"bt", 3 * QUIET_S)
    assert matcher.due(5 * QUIET_S) == []
    assert matcher.feed(b"\r\n", 6 * QUIET_S) == []
    assert matcher.due(2 * INTERVAL_S) == []


def test_output_without_a_line_end_is_matched_in_pieces() -> None:
    matcher = _matcher("panic")

    found = [match for _ in range(20) for match in matcher.feed(b"x" * 10_000 + b"panic ", 0.0)]

    assert len(found) == 1
    assert len(matcher._lines._pending) <= PENDING_MAX_BYTES


@given(st.lists(st.sampled_from([b"panic\r\n", b"ok\r\n", b"pa", b"nic\n"]), max_size=60), st.integers(1, 7))
def test_every_match_is_reported_or_counted(pieces: list[bytes], step_s: int) -> None:
    matcher = _matcher("panic")
    reported = 0
    for number, piece in enumerate([*pieces, b"\n"]):
        for match in [*matcher.feed(piece, number * step_s), *matcher.due(number * step_s)]:
            reported += 1 + match.unreported

    reported += sum(1 + match.unreported for match in matcher.due(10_000))

    assert reported == len(re.findall(rb"[^\n]*panic[^\n]*", b"".join(pieces)))
