"""Syslog messages (RFC 5424), without I/O: an audit event as JSON, after a header that says what it is."""

from typing import Final

import msgspec

from telnetsd.events.fields import Outcome

FACILITY_AUTHPRIV: Final = 10
SEVERITY_WARNING: Final = 4
SEVERITY_NOTICE: Final = 5
APP_NAME: Final = "telnetsd"
_NIL: Final = "-"
# RFC 5424 section 6: HOSTNAME has at most 255 characters, MSGID 32, all of them visible ASCII.
_HOSTNAME_MAX_CHARS: Final = 255
_MSGID_MAX_CHARS: Final = 32


class _Event(msgspec.Struct):
    action: str
    outcome: str


class _Head(msgspec.Struct):
    event: _Event
    timestamp: str = msgspec.field(name="@timestamp")


_decoder: Final = msgspec.json.Decoder(_Head)


def severity_of(outcome: str) -> int:
    """Return the severity of an event (RFC 5424 section 6.2.1): warning where something was refused or failed."""
    return SEVERITY_WARNING if outcome == Outcome.FAILURE else SEVERITY_NOTICE


def to_syslog(line: bytes, host_name: str, process_id: int) -> bytes:
    """Return the message of an event's line, as it goes into a datagram (RFC 5426) or a frame."""
    try:
        head = _decoder.decode(line)
        at, action, outcome = head.timestamp, head.event.action, head.event.outcome
    except (msgspec.DecodeError, UnicodeDecodeError):
        at, action, outcome = _NIL, _NIL, Outcome.FAILURE
    priority = FACILITY_AUTHPRIV * 8 + severity_of(outcome)
    host = _visible(host_name, _HOSTNAME_MAX_CHARS)
    header = f"<{priority}>1 {at} {host} {APP_NAME} {process_id} {_visible(action, _MSGID_MAX_CHARS)} {_NIL} "
    return header.encode() + line


def to_frame(message: bytes) -> bytes:
    """Return a message as sent over a stream: its length, a space, the message (RFC 5425 section 4.3, RFC 6587)."""
    return f"{len(message)} ".encode() + message


def _visible(text: str, max_chars: int) -> str:
    return "".join(one for one in text if "!" <= one <= "~")[:max_chars] or _NIL
