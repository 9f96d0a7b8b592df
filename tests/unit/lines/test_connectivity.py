"""Kept-open lines: which changes of an upstream the log gets, and how long the waits between attempts are."""

from datetime import UTC, datetime, timedelta
from typing import Final

from telnetsd.events.reason import LineReason
from telnetsd.lines.backoff import FIRST_S, JITTER, MOST_S, Backoff
from telnetsd.lines.connectivity import RECORDED_MAX, WINDOW_S, Change, Connectivity

AT = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
LOST: Final = LineReason.UPSTREAM_LOST


def note(state: Connectivity, *, is_up: bool, now: float) -> Change | None:
    at = AT + timedelta(seconds=now)
    return state.note(None, "is connected", at, now) if is_up else state.note(LOST, "is lost: reset", at, now)


def test_the_first_state_and_each_change_are_recorded() -> None:
    state = Connectivity(AT)
    assert not state.is_up
    assert note(state, is_up=False, now=0) == Change(LOST, "is lost: reset", 0)
    assert note(state, is_up=False, now=1) is None
    assert note(state, is_up=True, now=2) == Change(None, "is connected", 0)
    assert state.is_up
    assert state.since == AT + timedelta(seconds=2)
    assert state.due(3) is None


def test_an_upstream_that_flaps_a_thousand_times_a_minute_is_counted_and_its_last_state_is_recorded() -> None:
    state = Connectivity(AT)
    recorded = [note(state, is_up=number % 2 == 0, now=number * 0.06) for number in range(1000)]
    assert sum(one is not None for one in recorded) == RECORDED_MAX
    assert state.due(60) is None
    late = state.due(WINDOW_S)
    assert late == Change(LOST, "is lost: reset", 1000 - RECORDED_MAX - 1)
    assert state.due(10 * WINDOW_S) is None


def test_it_is_said_why_and_since_when_an_upstream_is_not_connected() -> None:
    state = Connectivity(AT)
    note(state, is_up=False, now=0)
    assert state.sentence("switch-1") == (
        "switch-1 is lost: reset (since 2026-11-30 14:00:00 UTC), and is connected when possible"
    )


def test_each_wait_is_longer_until_a_minute_and_a_reset_begins_again() -> None:
    backoff = Backoff()
    for expected in (1, 2, 4, 8, 16, 32, 60, 60):
        assert (1 - JITTER) * expected <= backoff.take() <= (1 + JITTER) * expected
    backoff.reset()
    assert backoff.take() <= (1 + JITTER) * FIRST_S < MOST_S
