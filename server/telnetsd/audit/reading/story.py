"""The whole story of one session: the user, the certificate, what the user did and when, and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from telnetsd.audit.reading.moment import Zone, to_zone, zone_words
from telnetsd.audit.reading.row import LoggedEvent, describe, text_of
from telnetsd.events.fields import parse_timestamp
from telnetsd.events.of_sessions import SessionEnded, SessionRefused


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One event of a session: how many seconds after the first one it was, and how it is shown to a person."""

    offset_s: float
    outcome: str
    action: str
    message: str


@dataclass(frozen=True, slots=True)
class Story:
    """One session.

    Attributes:
        id: Its UUIDv7.
        facts: What is known about it, as pairs of a label and a text.
        steps: Its events, in order.
        is_over: Whether its end is on the log.
    """

    id: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[StoryStep, ...]
    is_over: bool


def tell_stories(events: Iterable[LoggedEvent], zone: Zone) -> list[Story]:
    """Return the story of each session, from all of its events in the order of the log; times are in a zone."""
    sessions: dict[str, list[LoggedEvent]] = {}
    for event in events:
        sessions.setdefault(text_of(event, "telnetsd.session.id"), []).append(event)
    return [_tell(session_id, steps, zone) for session_id, steps in sessions.items() if session_id]


def _tell(session_id: str, events: list[LoggedEvent], zone: Zone) -> Story:
    first = events[0]
    begun, end = _moment(first), next((one for one in reversed(events) if _ends(one)), None)
    steps = tuple(_step(event, begun) for event in events)
    # After a server was killed, the events of its recordings are on the log after the session's end.
    length = f"{_step(end, begun).offset_s:.1f} s, ended: {text_of(end, 'event.reason')}" if end else "not ended"
    facts = [*_facts(first, zone), ("length", length)]
    return Story(session_id, tuple((word, text) for word, text in facts if text), steps, end is not None)


def _ends(event: LoggedEvent) -> bool:
    return text_of(event, "event.action") in {SessionEnded.action, SessionRefused.action}


def _facts(event: LoggedEvent, zone: Zone) -> list[tuple[str, str]]:
    row, x509 = describe(event), "tls.client.x509"
    identity = text_of(event, "telnetsd.identity.kind")
    why = text_of(event, "telnetsd.identity.reason")
    validity = [text_of(event, f"{x509}.{key}")[:10] for key in ("not_before", "not_after")]
    return [
        ("user", f"{row.user} ({identity}{f': {why}' if why else ''})"),
        ("roles", text_of(event, "user.roles")),
        ("class", text_of(event, "telnetsd.identity.class")),
        ("named by", text_of(event, "rule.id")),
        ("from", row.source),
        ("since", _since(row.at, zone)),
        ("tls", " ".join(text_of(event, f"tls.{key}") for key in ("version", "cipher", "curve"))),
        ("resumed", "yes" if text_of(event, "tls.resumed") == "True" else ""),
        ("certificate", text_of(event, "telnetsd.certificate.status")),
        ("subject", text_of(event, "tls.client.subject")),
        ("issuer", text_of(event, "tls.client.issuer")),
        ("serial number", text_of(event, f"{x509}.serial_number")),
        ("SHA-256", text_of(event, "tls.client.hash.sha256")),
        ("valid", " to ".join(validity) if all(validity) else ""),
    ]


def _since(at: datetime | None, zone: Zone) -> str:
    return "" if at is None else f"{to_zone(at, zone):%Y-%m-%d %H:%M:%S} {zone_words(to_zone(at, zone))}"


def _step(event: LoggedEvent, begun: datetime | None) -> StoryStep:
    at, row = _moment(event), describe(event)
    offset_s = (at - begun).total_seconds() if at is not None and begun is not None else 0.0
    return StoryStep(offset_s, row.outcome, row.action, row.what)


def _moment(event: LoggedEvent) -> datetime | None:
    return parse_timestamp(text_of(event, "@timestamp"))
