"""Selecting, describing, counting and exporting events, whatever a line holds."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.audit.reading.export import COLUMNS, ExportFormat, export
from telnetsd.audit.reading.row import describe, read_event
from telnetsd.audit.reading.selection import Selection, parse_moment, parse_network
from telnetsd.audit.reading.statistics import count
from telnetsd.audit.reading.story import tell_stories

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SESSION = "0192f0c1-2345-7678-9abc-def012345678"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KNOWN = st.sampled_from(
    ["event", "user", "source", "telnetsd", "tls", "message", "@timestamp", "action", "name", "ip"]
)
EVENTS = st.dictionaries(KNOWN, st.dictionaries(KNOWN, JSON, max_size=4) | JSON, max_size=6)


def an_event(action: str = "command-executed", at: str = "2026-11-25T11:00:00.000000Z", **members: Any) -> Any:
    outcome = "failure" if "denied" in action or "refused" in action else "success"
    return {
        "@timestamp": at,
        "event": {"action": action, "outcome": outcome, "reason": "permitted", "sequence": 7},
        "message": "bob: echo hello",
        "user": {"name": "bob", "roles": ["user"]},
        "source": {"ip": "192.0.2.7", "port": 4711},
        "telnetsd": {"session": {"id": SESSION}, "identity": {"kind": "user"}, "command": {"line": "echo hello"}},
        **members,
    }


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(user="bob"),
        Selection(session="345678"),
        Selection(action="command-*"),
        Selection(action="command-executed"),
        Selection(source=parse_network("192.0.2.7")),
        Selection(source=parse_network("192.0.2.0/24")),
        Selection(since=parse_moment("2h", NOW)),
        Selection(until=parse_moment("2026-11-25T11:00", NOW)),
    ],
)
def test_a_selection_matches_the_requested_events(selection: Selection) -> None:
    assert selection.takes(an_event())


@pytest.mark.parametrize(
    "selection",
    [
        Selection(user="bo"),
        Selection(user="guest"),
        Selection(session="345679"),
        Selection(action="command"),
        Selection(source=parse_network("192.0.2.8")),
        Selection(source=parse_network("2001:db8::/32")),
        Selection(only_failed=True),
        Selection(since=parse_moment("30m", NOW)),
        Selection(until=parse_moment("2026-11-25T10:59:59", NOW)),
        Selection(user="bob", action="session-*"),
    ],
)
def test_a_selection_matches_no_other_events(selection: Selection) -> None:
    assert not selection.takes(an_event())


def test_a_user_selection_includes_changes_to_that_user_and_guest_selects_guests() -> None:
    changed = an_event("user-changed", user={"target": {"name": "bob"}})
    assert Selection(user="bob").takes(changed)
    guest = an_event(user={"roles": ["guest"]}, telnetsd={"identity": {"kind": "guest"}})
    assert Selection(user="guest").takes(guest)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 25, 11, 58, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 25, 10, 0, tzinfo=UTC)),
        ("1w", datetime(2026, 11, 18, 12, 0, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01T10:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-01T10:00Z", datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_moment_is_absolute_or_relative_to_now(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "2", "h", "2y", "yesterday", "999999w", "2026-13-01"])
def test_an_invalid_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_moment(text, NOW)


def test_an_invalid_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not an address or network"):
        parse_network("example.com")


def test_the_story_of_a_session_has_its_user_its_steps_and_its_end() -> None:
    started = an_event("session-started", "2026-11-25T11:00:00.000000Z")
    ran = an_event("command-executed", "2026-11-25T11:00:01.500000Z")
    ended = an_event("session-ended", "2026-11-25T11:00:03.250000Z")
    other = an_event(telnetsd={"session": {"id": SESSION.replace("0192", "0193")}})
    first, second = tell_stories([started, ran, other, ended])
    assert first.id == SESSION
    assert dict(first.facts)["user"] == "bob (user)"
    assert dict(first.facts)["from"] == "192.0.2.7:4711"
    assert dict(first.facts)["length"] == "3.2 s, ended: permitted"
    assert [(step.offset_s, step.action) for step in first.steps] == [
        (0.0, "session-started"),
        (1.5, "command-executed"),
        (3.25, "session-ended"),
    ]
    assert first.is_over
    assert not second.is_over


def test_figures_count_logins_refusals_and_hours() -> None:
    events = [
        an_event("session-started"),
        an_event("session-started", "2026-11-25T23:00:00.000000Z"),
        an_event("session-started", user={"roles": ["guest"]}, telnetsd={"identity": {"kind": "guest"}}),
        an_event("session-refused"),
        an_event("command-denied"),
    ]
    figures = count(events)
    assert figures.logins_by_user == {"bob": 2, "guest": 1}
    assert figures.refusals_by_reason == {"permitted": 2}
    assert (figures.logins_by_hour["11"], figures.logins_by_hour["23"], figures.logins_by_hour["00"]) == (2, 1, 0)
    assert (figures.events, figures.failures) == (5, 2)


def test_csv_has_a_row_for_each_event_and_a_spreadsheet_reads_it_as_text() -> None:
    hostile = an_event(message='=HYPERLINK("http://example","x")', user={"name": "@bob"})
    rows = list(csv.DictReader(io.StringIO("\n".join(export([an_event(), hostile], ExportFormat.CSV)))))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["command"] == "echo hello"
    assert rows[0]["roles"] == "user"
    assert rows[1]["message"] == '\'=HYPERLINK("http://example","x")'
    assert rows[1]["user"] == "'@bob"


def test_cef_escapes_its_field_separators() -> None:
    (line,) = export([an_event(message="a=b|c\\d", user={"name": "x suser=root"})], ExportFormat.CEF)
    assert line.startswith("CEF:0|telnetsd|telnetsd|")
    assert (
        "|command-executed|a command is about to run; the event is written before it does|3|rt=1795604400000 " in line
    )
    assert "suser=x suser\\=root " in line
    assert "msg=a\\=b|c\\\\d" in line
    (refused,) = export([an_event("session-refused")], ExportFormat.CEF)
    assert "|session-refused|a client is refused|6|" in refused


@given(EVENTS)
def test_any_event_can_be_selected_shown_described_counted_and_exported(event: dict[str, Any]) -> None:
    selection = Selection(
        user="bob",
        session="1",
        action="x*",
        source=parse_network("192.0.2.1"),
        only_failed=True,
        since=NOW,
        until=NOW,
    )
    assert selection.takes(event) in {True, False}
    assert all(text.isprintable() for text in describe(event).__dataclass_fields__)
    row = describe(event)
    assert all(getattr(row, name).isprintable() for name in row.__dataclass_fields__)
    count([event])
    for story in tell_stories([event]):
        assert all(text.isprintable() for _, text in story.facts)
        assert all(step.message.isprintable() for step in story.steps)
    for kind in (ExportFormat.CSV, ExportFormat.CEF):
        assert all(line.isprintable() for line in export([event], kind))


@given(st.binary(max_size=200))
def test_any_line_can_be_shown(line: bytes) -> None:
    row = describe(read_event(line))
    assert all(getattr(row, name).isprintable() for name in row.__dataclass_fields__)
