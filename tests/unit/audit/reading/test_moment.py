"""Times as people write them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.audit.reading.moment import parse_moment, zone_words

NOW = datetime(2026, 11, 30, 21, 9, 36, tzinfo=UTC)  # a Monday
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2h", "2026-11-30T19:09:36"),
        ("2h ago", "2026-11-30T19:09:36"),
        ("90 m", "2026-11-30T19:39:36"),
        ("now", "2026-11-30T21:09:36"),
        ("today", "2026-11-30T00:00:00"),
        ("yesterday", "2026-11-29T00:00:00"),
        ("Yesterday 9:30", "2026-11-29T09:30:00"),
        ("tuesday 14:00", "2026-11-24T14:00:00"),
        ("monday", "2026-11-30T00:00:00"),
        ("12:00", "2026-11-30T12:00:00"),
        ("22:00", "2026-11-29T22:00:00"),
        ("monday 22:00", "2026-11-23T22:00:00"),
        ("today 22:00", "2026-11-30T22:00:00"),
        ("12:00:30 UTC", "2026-11-30T12:00:30"),
        ("2026-01-31", "2026-01-31T00:00:00"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00"),
        ("2026-01-31 12:00:05", "2026-01-31T12:00:05"),
        ("2026-01-31T12:00:05.123456Z", "2026-01-31T12:00:05.123456"),
        ("2026-01-31T12:00:05Z", "2026-01-31T12:00:05"),
        ("2026-01-31T12:00+02:00", "2026-01-31T10:00:00"),
        ("2026-01-31 12:00 -0130", "2026-01-31T13:30:00"),
        ("2026-07-31 12:00 Europe/Berlin", "2026-07-31T10:00:00"),
        ("yesterday 12:00 America/New_York", "2026-11-29T17:00:00"),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, means: str) -> None:
    assert parse_moment(text, NOW, UTC) == datetime.fromisoformat(means).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [("2026-10-25 02:30", "00:30", "01:30"), ("2026-03-29 02:30", "00:30", "01:30")],
)
@pytest.mark.parametrize("zone", [BERLIN, None])
@pytest.mark.usefixtures("in_berlin")
def test_where_the_clocks_are_changed_the_interval_is_the_longer_one(
    text: str, begins: str, ends: str, zone: ZoneInfo | None
) -> None:
    assert f"{parse_moment(text, NOW, zone):%H:%M}" == begins
    assert f"{parse_moment(text, NOW, zone, is_end=True):%H:%M}" == ends


def test_a_day_that_ends_an_interval_is_included() -> None:
    last = timedelta(microseconds=1)
    for text, midnight in (
        ("2026-01-31", datetime(2026, 2, 1, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 30, tzinfo=UTC)),
        ("today", datetime(2026, 12, 1, tzinfo=UTC)),
    ):
        assert parse_moment(text, NOW, UTC, is_end=True) == midnight - last
    assert parse_moment("12:00", NOW, UTC, is_end=True) == datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert parse_moment("22:00", NOW, UTC, is_end=True) == datetime(2026, 11, 29, 22, tzinfo=UTC)
    assert parse_moment("22:00", NOW, UTC, is_end=True, is_past=False) == datetime(2026, 11, 30, 22, tzinfo=UTC)
    assert parse_moment("monday 22:00", NOW, UTC, is_end=True) == datetime(2026, 11, 23, 22, tzinfo=UTC)
    # The day on which clocks go forward has 23 hours.
    assert parse_moment("2026-03-29", NOW, BERLIN, is_end=True) == datetime(2026, 3, 29, 22, tzinfo=UTC) - last


def test_a_time_without_a_zone_is_local(in_berlin: None) -> None:
    assert parse_moment("2026-07-31 12:00", NOW) == datetime(2026, 7, 31, 10, tzinfo=UTC)
    assert parse_moment("2026-01-31 12:00", NOW) == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert parse_moment("2026-01-31 12:00Z", NOW) == datetime(2026, 1, 31, 12, tzinfo=UTC)
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)  # already Tuesday in Berlin
    assert parse_moment("today", late) == datetime(2026, 11, 30, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "2026-13-01",
        "25:00",
        "12:61",
        "2026-01-31T",
        "9999999w",
        "12:00 Mars/Olympus",
        "yesterday tuesday",
        "0001-01-01 00:00 +23:00",
        "2026-01-31T12:00+99:99",
        "12:00 /etc/passwd",
        "12:00 ../x",
        "2h2",
        "tuesday tuesday",
    ],
)
def test_other_text_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="not a time: .*; examples: 2h, yesterday, tuesday 14:00"):
        parse_moment(text, NOW, UTC)


@given(st.text(max_size=40) | st.from_regex(r"\A[0-9a-zA-Z:+/ TZ-]{0,30}\Z"))
def test_any_text_is_a_time_in_utc_or_refused(text: str) -> None:
    try:
        assert parse_moment(text, NOW, UTC).utcoffset() == timedelta(0)
    except ValueError as error:
        assert str(error).startswith("not a time: ")


def test_a_zone_is_shown_as_its_distance_from_utc() -> None:
    assert zone_words(NOW) == "UTC"
    assert zone_words(NOW.astimezone(BERLIN)) == "UTC+01:00"
    assert zone_words(NOW.astimezone(ZoneInfo("America/St_Johns"))) == "UTC-03:30"
