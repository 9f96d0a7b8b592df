"""How fast a session may type."""

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.session.pace import Pace


@given(st.lists(st.floats(0, 0.05), min_size=150, max_size=400))
def test_lines_are_limited_to_their_rate_whatever_their_rhythm(pauses: list[float]) -> None:
    pace, now = Pace(100, 20), 0.0
    for pause in pauses:
        now += pause
        now += pace.take(now)
    assert len(pauses) <= 100 * now + 20 + 1


def test_a_user_at_normal_typing_speed_never_waits() -> None:
    pace = Pace(10, 5)
    assert all(pace.take(second * 0.2) == 0 for second in range(100))
