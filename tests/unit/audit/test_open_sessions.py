"""Which sessions a log leaves open."""

from telnetsd.audit.open_sessions import fields_of_session, find_unended


def line(action: str, session: str) -> bytes:
    return f'{{"event":{{"action":"{action}"}},"telnetsd":{{"session":{{"id":"{session}"}}}}}}'.encode()


def test_a_session_is_open_from_its_start_to_its_end_and_other_events_change_nothing() -> None:
    lines = [
        line("session-started", "a"),
        line("session-watched", "a"),
        line("session-continued", "b"),
        line("session-started", "c"),
        line("session-ended", "c"),
        line("command-executed", "d"),
    ]
    assert [one["telnetsd"]["session"]["id"] for one in find_unended(lines)] == ["a", "b"]


def test_a_session_without_tls_shares_no_fields_of_it() -> None:
    assert "tls" not in fields_of_session({"event": {}, "telnetsd": {"session": {"id": "a"}}})
