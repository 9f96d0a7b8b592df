"""How commands write durations."""

import pytest

from telnetsd.commands.wording import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86399, "23h"), (86400, "1d")],
)
def test_durations_are_short(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown
