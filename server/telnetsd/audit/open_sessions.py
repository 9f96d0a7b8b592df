"""Sessions whose end is not on the log: what a new file repeats of them, and which of them a crash left open.

The first event of a session has its certificate in full; later events have only the fingerprint. Each file of the log
begins with an event for every session that is open then, so that no file needs the previous ones.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from telnetsd.audit.chain import Draft, make_draft
from telnetsd.audit.reading.row import read_event, text_of, who_of
from telnetsd.audit.trail import make_event
from telnetsd.events.of_sessions import SessionContinued, SessionEnded, SessionStarted
from telnetsd.events.part import Fields

_BEGINNINGS: Final = frozenset({SessionStarted.action, SessionContinued.action})
_MARK: Final = b'"action":"session-'
_OF_EVERY_EVENT: Final = frozenset({"@timestamp", "event", "message", "ecs"})
_OF_THE_LOG: Final = frozenset({"chain", "handshake_s"})
_OF_ALL_EVENTS_OF_A_SESSION: Final = ("hash", "server_name")


class OpenSessions:
    """The sessions that one process has recorded and that are still open, by their ids."""

    def __init__(self) -> None:
        self._begun: dict[str, Draft] = {}

    def note(self, events: Iterable[Draft]) -> None:
        """Note events that are on disk."""
        for event in events:
            if event.action in _BEGINNINGS:
                self._begun[_session_id(event)] = event
            elif event.action == SessionEnded.action:
                self._begun.pop(_session_id(event), None)

    def continued(self) -> list[Draft]:
        """Return the events that a file begins with: one for each open session."""
        return [make_draft(_continue(event_of(one))) for one in self._begun.values()]


def event_of(draft: Draft) -> Fields:
    """Return the event of a draft."""
    event: Fields = msgspec.json.decode(draft.head + draft.body + draft.tail + b"}}")
    return event


def fields_of_session(began: Fields) -> Fields:
    """Return the fields that all events of a session share, from the event that it began with: see `Trail`."""
    fields = _own_fields(began)
    client = began.get("tls", {}).get("client")
    if client is not None:
        shared = {key: client[key] for key in _OF_ALL_EVENTS_OF_A_SESSION if key in client}
        fields["tls"] = {**began["tls"], "client": shared}
    return fields


def find_unended(lines: Iterable[bytes]) -> list[Fields]:
    """Return the first event of each session that has no end in these lines; lines without an event are skipped."""
    begun: dict[str, Fields] = {}
    for line in lines:
        if _MARK not in line:
            continue
        event = dict(read_event(line))
        session_id, action = text_of(event, "telnetsd.session.id"), text_of(event, "event.action")
        if action in _BEGINNINGS:
            begun[session_id] = event
        elif action == SessionEnded.action:
            begun.pop(session_id, None)
    return list(begun.values())


def _session_id(event: Draft) -> str:
    session_id: str = msgspec.json.decode(b"{" + event.tail + b"}")["session"]["id"]
    return session_id


def _own_fields(began: Fields) -> Fields:
    fields = {key: value for key, value in began.items() if key not in _OF_EVERY_EVENT}
    fields["telnetsd"] = {key: value for key, value in began["telnetsd"].items() if key not in _OF_THE_LOG}
    return fields


def _continue(began: Fields) -> Fields:
    message = f"{who_of(began)} had a session open when this file began"
    return make_event(SessionContinued(message=message), _own_fields(began))
