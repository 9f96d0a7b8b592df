"""Selecting, describing, counting and exporting events, whatever a line holds."""

import csv
import io
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.audit.reading.export import COLUMNS, ExportFormat, export
from telnetsd.audit.reading.moment import parse_moment
from telnetsd.audit.reading.row import describe, read_event
from telnetsd.audit.reading.selection import Selection, parse_network
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
        "telnetsd": {
            "session": {"id": SESSION},
            "identity": {"kind": "user"},
            "command": {"line": "echo hello"},
            "line": {"name": "switch-1"},
        },
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
        Selection(line="switch-*"),
        Selection(reason="perm*"),
        Selection(outcome="success"),
        Selection(text="HELLO"),
        Selection(text="cho hel"),
        Selection(since=parse_moment("2h", NOW, UTC)),
        Selection(until=parse_moment("2026-11-25T11:00", NOW, UTC)),
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
        Selection(outcome="failure"),
        Selection(line="switch"),
        Selection(reason="denied"),
        Selection(text="goodbye"),
        Selection(since=parse_moment("30m", NOW, UTC)),
        Selection(until=parse_moment("2026-11-25T10:59:59", NOW, UTC)),
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


def test_an_invalid_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not an address or network"):
        parse_network("example.com")


def test_the_story_of_a_session_has_its_user_its_steps_and_its_end() -> None:
    started = an_event("session-started", "2026-11-25T11:00:00.000000Z")
    ran = an_event("command-executed", "2026-11-25T11:00:01.500000Z")
    ended = an_event("session-ended", "2026-11-25T11:00:03.250000Z")
    other = an_event(telnetsd={"session": {"id": SESSION.replace("0192", "0193")}})
    first, second = tell_stories([started, ran, other, ended], UTC)
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
    figures = count(events, UTC)
    assert figures.logins_by_user == {"bob": 2, "guest": 1}
    assert figures.refusals_by_reason == {"permitted": 2}
    assert (figures.logins_by_hour["11"], figures.logins_by_hour["23"], figures.logins_by_hour["00"]) == (2, 1, 0)
    assert figures.logins_by_day == {"2026-11-25": 3}
    assert (figures.events, figures.failures) == (5, 2)
    assert count(events, ZoneInfo("Asia/Tokyo")).logins_by_day == {"2026-11-25": 2, "2026-11-26": 1}
    assert (figures.events_by_line, figures.events_by_source) == ({"switch-1": 4}, {"192.0.2.7": 5})


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("bob: echo hello", "echo hello"),
        ("bob logged in", "logged in"),
        ("bob", "bob"),
        ("bob: ", "bob: "),
        ("bobby logged in", "bobby logged in"),
        ("user carol was added", "user carol was added"),
    ],
)
def test_a_row_with_the_user_does_not_repeat_the_user_in_the_message(message: str, what: str) -> None:
    assert describe(an_event(message=message)).what == what


def test_csv_has_a_row_for_each_event_and_a_spreadsheet_reads_it_as_text() -> None:
    hostile = an_event(message='=HYPERLINK("http://example","x")', user={"name": "@bob"})
    rows = list(csv.DictReader(io.StringIO("\n".join(export([an_event(), hostile], ExportFormat.CSV)))))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["command"] == "echo hello"
    assert rows[0]["line"] == "switch-1"
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
    assert "cs4=switch-1 " in line
    assert "cs4Label=line" in line
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
        outcome="failure",
        since=NOW,
        until=NOW,
    )
    assert selection.takes(event) in {True, False}
    row = describe(event)
    texts = [getattr(row, name) for name in row.__dataclass_fields__ if name != "at"]
    assert all(text.isprintable() for text in (*texts, row.what, row.outcome_letter, row.time(UTC)))
    count([event], UTC)
    for story in tell_stories([event], UTC):
        assert all(text.isprintable() for _, text in story.facts)
        assert all(step.message.isprintable() for step in story.steps)
    for kind in (ExportFormat.CSV, ExportFormat.CEF):
        assert all(line.isprintable() for line in export([event], kind))


@given(st.binary(max_size=200))
def test_any_line_can_be_shown(line: bytes) -> None:
    row = describe(read_event(line))
    texts = [getattr(row, name) for name in row.__dataclass_fields__ if name != "at"]
    assert all(text.isprintable() for text in (*texts, row.what, row.outcome_letter, row.time(UTC)))
