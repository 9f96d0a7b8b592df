"""The clocks of a session: which action is due, when, and how often it is announced."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.session.clocks import Bounds, Clocks, Due, is_expiring

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
FAR = AT + timedelta(days=400)
BOUNDS = Bounds(idle_timeout_s=600, idle_warning_s=60, max_time_s=3600, window_days=30)
ENDS = {Due.CERTIFICATE_EXPIRED, Due.MAX_TIME, Due.IDLE_TIMEOUT}


def test_nothing_is_due_while_the_user_types() -> None:
    clocks = Clocks(1000)
    for now in range(1000, 4600, 300):
        clocks.note_heard(now)
        assert clocks.look(now, AT, FAR, BOUNDS) == []


def test_an_idle_session_is_warned_once_and_then_ends() -> None:
    clocks = Clocks(1000)
    assert clocks.look(1540, AT, None, BOUNDS) == []
    assert clocks.look(1541, AT, None, BOUNDS) == [Due.IDLE_WARNING]
    assert clocks.look(1599, AT, None, BOUNDS) == []
    assert clocks.look(1600, AT, None, BOUNDS) == []
    assert clocks.look(1601, AT, None, BOUNDS) == [Due.IDLE_TIMEOUT]
    assert clocks.idle_s(1601) == 601


def test_a_user_that_types_after_the_warning_is_warned_again() -> None:
    clocks = Clocks(0)
    assert clocks.look(550, AT, None, BOUNDS) == [Due.IDLE_WARNING]
    clocks.note_heard(560)
    assert clocks.look(1110, AT, None, BOUNDS) == [Due.IDLE_WARNING]


def test_the_maximum_time_is_reached_however_much_is_typed() -> None:
    clocks = Clocks(0)
    clocks.note_heard(3600)
    assert clocks.look(3600, AT, FAR, BOUNDS) == []
    assert clocks.look(3601, AT, FAR, BOUNDS) == [Due.MAX_TIME]


def test_a_certificate_expiry_ends_a_session_before_every_other_reason() -> None:
    clocks = Clocks(0)
    assert clocks.look(1, AT, AT, BOUNDS) == [Due.EXPIRY_WARNING]
    assert clocks.look(9999, AT + timedelta(seconds=1), AT, BOUNDS) == [Due.CERTIFICATE_EXPIRED]


def test_the_expiry_warning_is_given_once_and_not_after_a_greeting_that_gave_it() -> None:
    ends = AT + timedelta(days=10)
    clocks = Clocks(0)
    assert clocks.look(1, AT, ends, BOUNDS) == [Due.EXPIRY_WARNING]
    assert clocks.look(2, AT, ends, BOUNDS) == []
    told = Clocks(0)
    told.is_told_of_expiry = True
    assert told.look(1, AT, ends, BOUNDS) == []


def test_the_expiry_window_has_the_configured_number_of_days() -> None:
    assert not is_expiring(AT + timedelta(days=30), AT, 30)
    assert is_expiring(AT + timedelta(days=30, seconds=-1), AT, 30)


@given(
    heard=st.lists(st.floats(0, 5000), max_size=20).map(sorted),
    looks=st.lists(st.floats(0, 5000), min_size=1, max_size=20).map(sorted),
)
def test_at_most_one_end_is_due_and_only_when_its_time_has_come(heard: list[float], looks: list[float]) -> None:
    clocks, last = Clocks(0), 0.0
    for now in looks:
        while heard and heard[0] <= now:
            last = heard.pop(0)
            clocks.note_heard(last)
        due = clocks.look(now, AT, FAR, BOUNDS)
        ends = ENDS.intersection(due)
        assert len(ends) <= 1
        assert (Due.MAX_TIME in ends) == (now > BOUNDS.max_time_s)
        if Due.IDLE_TIMEOUT in ends:
            assert now - last > BOUNDS.idle_timeout_s
        assert not ends or len(due) == 1


def test_a_session_that_ends_for_another_reason_is_still_warned_of_the_expiry() -> None:
    clocks = Clocks(now=0)
    clocks.note_heard(3600)
    assert clocks.look(3601, AT, AT + timedelta(days=1), BOUNDS) == [Due.EXPIRY_WARNING, Due.MAX_TIME]
