"""One event as it is shown to a person: on one line and printable, whatever wrote it.

The text was escaped when it was written. It is checked again before it is shown, since a file can change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from telnetsd.audit.reading.moment import Zone, to_zone
from telnetsd.escaping import escape
from telnetsd.events.fields import Outcome, parse_timestamp

MESSAGE_MAX_CHARS: Final = 300
_NOTHING: Final = "-"
_LETTERS: Final[Mapping[str, str]] = {Outcome.SUCCESS: "S", Outcome.FAILURE: "F"}
_SHORT_ID_CHARS: Final = 8
LoggedEvent = Mapping[str, Any]
"""An event as it was read: nothing is known about its members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event for people: every text is one line of printable characters, or `-` if there is none.

    Attributes:
        at: When it was written (aware, UTC); None if the line does not say so.
        outcome: success, failure or unknown.
        user: See `who_of`.
        source: See `source_of`.
        session: The end of the session's id.
        action: The action.
        message: What happened, as one sentence.
    """

    at: datetime | None
    outcome: str
    user: str
    source: str
    session: str
    action: str
    message: str

    @property
    def outcome_letter(self) -> str:
        """S for success, F for failure, - for anything else."""
        return _LETTERS.get(self.outcome, _NOTHING)

    @property
    def what(self) -> str:
        """The message without the user at its beginning, for a row that has the user in a column."""
        for beginning in (f"{self.user}: ", f"{self.user} ", f"a {self.user} "):
            rest = self.message.removeprefix(beginning)
            if rest not in {"", self.message}:
                return rest
        return self.message

    def time(self, zone: Zone, form: str = "%H:%M:%S") -> str:
        """Return the time in a zone, or a dash."""
        if self.at is None:
            return _NOTHING
        return to_zone(self.at, zone).strftime(form)


def read_event(line: bytes) -> LoggedEvent:
    """Return the event of a line; for a damaged line, an event that says so."""
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = None
    return event if isinstance(event, dict) else {"message": f"damaged line: {line[:80]!r}"}


def describe(event: LoggedEvent) -> EventRow:
    """Return an event as it is shown to a person."""
    return EventRow(
        at=parse_timestamp(text_of(event, "@timestamp")),
        outcome=text_of(event, "event.outcome") or _NOTHING,
        user=who_of(event) or _NOTHING,
        source=source_of(event) or _NOTHING,
        session=short_session_id(text_of(event, "telnetsd.session.id")) or _NOTHING,
        action=text_of(event, "event.action") or _NOTHING,
        message=text_of(event, "message") or _NOTHING,
    )


def short_session_id(session_id: str) -> str:
    """The last 8 characters of a session's id: they are random, while the first ones are the time."""
    return session_id[-_SHORT_ID_CHARS:]


def who_of(event: LoggedEvent) -> str:
    """The user's name; `guest`; or the operator of the command line in brackets, as that is not a telnetsd user."""
    operator = text_of(event, "telnetsd.operator.name")
    is_guest = text_of(event, "telnetsd.identity.kind") == "guest"
    return text_of(event, "user.name") or ("guest" if is_guest else f"({operator})" if operator else "")


def source_of(event: LoggedEvent) -> str:
    """Where a connection came from, as HOST:PORT, or HOST for several; empty if the event does not say."""
    address, port = text_of(event, "source.ip"), text_of(event, "source.port")
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def value_of(event: LoggedEvent, path: str) -> Any:  # noqa: ANN401 -- whatever JSON the line holds
    """Return a field, as in `event.action`; None where there is none."""
    value: Any = event
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_of(event: LoggedEvent, path: str, max_chars: int = MESSAGE_MAX_CHARS) -> str:
    """Return a field as printable text, at most `max_chars` long; empty where there is none."""
    value = value_of(event, path)
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return "" if value is None else _printable(str(value), max_chars)


def _printable(text: str, max_chars: int) -> str:
    # Backslashes were doubled when the event was made; only characters that should not occur are escaped again.
    return text[:max_chars] if text.isprintable() else escape(text, max_chars)
