"""Selecting the events that a user wants to see."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from telnetsd.audit.reading.row import LoggedEvent, value_of
from telnetsd.events.fields import timestamp
from telnetsd.events.of_sessions import SessionContinued
from telnetsd.trigrams import folded

USERS: Final = ("user.name", "user.target.name", "user.changes.name", "telnetsd.enrolment.name")
"""The fields in which a user's name is searched for."""
TEXTS: Final = ("message", "telnetsd.command.line", "telnetsd.line.command")
"""The fields in which `text` is searched for."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
GUEST: Final = "guest"
_HEXADECIMAL: Final = re.compile("[0-9A-F]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The conditions that an event has to meet; an attribute that is empty, None or False sets no condition.

    The events with which a file of the log repeats the open sessions are not events of those sessions: they are
    selected only if their action is asked for.

    Attributes:
        user: The user's name, also as the user that a change is about; or `guest`.
        also: Other names of the same user, which count as well.
        session: The end of a session's id.
        action: `event.action`, with * for any characters.
        source: The address or network that it came from.
        certificate: The beginning of its certificate's SHA-256, or its serial number, in upper-case hexadecimal.
        line: The line's name, with * for any characters.
        reason: `event.reason`, with * for any characters.
        text: Part of its message or of what was typed; case is ignored.
        outcome: `event.outcome`.
        since, until: The times (aware, UTC) between which it has to have been written.
    """

    user: str = ""
    also: tuple[str, ...] = ()
    session: str = ""
    action: str = ""
    source: Network | None = None
    certificate: str = ""
    line: str = ""
    reason: str = ""
    text: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it selects every event."""
        return self == Selection()

    def takes(self, event: LoggedEvent) -> bool:
        """Tell whether an event meets the conditions."""
        return (
            (bool(self.action) or value_of(event, "event.action") != SessionContinued.action)
            and self._is_in_time(value_of(event, "@timestamp"))
            and self._has_words(event)
            and (not self.session or str(value_of(event, "telnetsd.session.id")).endswith(self.session))
            and (not self.user or self._is_about_user(event))
            and (not self.certificate or self._has_certificate(event))
            and (self.source is None or _is_within(value_of(event, "source.ip"), self.source))
        )

    def _is_in_time(self, at: Any) -> bool:  # noqa: ANN401 -- whatever JSON the line holds
        # RFC 3339 in UTC with six digits: the texts sort in the order of the times.
        is_late_enough = self.since is None or str(at) >= timestamp(self.since)
        return is_late_enough and (self.until is None or str(at) <= timestamp(self.until))

    def _has_words(self, event: LoggedEvent) -> bool:
        return (
            (not self.outcome or value_of(event, "event.outcome") == self.outcome)
            and _matches(value_of(event, "event.action"), self.action)
            and _matches(value_of(event, "event.reason"), self.reason)
            and _matches(value_of(event, "telnetsd.line.name"), self.line)
            and (not self.text or self._has_text(event))
        )

    def _has_text(self, event: LoggedEvent) -> bool:
        wanted = folded(self.text)
        return any(wanted in folded(str(value_of(event, one) or "")) for one in TEXTS)

    def _has_certificate(self, event: LoggedEvent) -> bool:
        sha256 = value_of(event, "tls.client.hash.sha256")
        serial_number = value_of(event, "tls.client.x509.serial_number")
        return str(sha256).startswith(self.certificate) or self.certificate == serial_number

    def _is_about_user(self, event: LoggedEvent) -> bool:
        if self.user == GUEST:
            return bool(value_of(event, "telnetsd.identity.kind") == GUEST)
        names = {value_of(event, path) for path in USERS if isinstance(value_of(event, path), str)}
        return not names.isdisjoint((self.user, *self.also))


def parse_fingerprint(text: str) -> str:
    """Parse a value for Selection.certificate: hexadecimal, with or without colons and a leading SHA256:.

    Raises:
        ValueError: The text is not such a value.
    """
    digits = text.upper().removeprefix("SHA256:").replace(":", "")
    if not _HEXADECIMAL.fullmatch(digits):
        raise ValueError(f"not a certificate's SHA-256 or serial number: {text!r}; write hexadecimal digits")
    return digits


def parse_network(text: str) -> Network:
    """Parse an address or a network, as in 192.0.2.1, 192.0.2.0/24, 2001:db8::/32.

    Raises:
        ValueError: The text is neither.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"not an address or network: {text!r}; write 192.0.2.1 or 192.0.2.0/24") from error


def _is_within(address: Any, network: Network) -> bool:  # noqa: ANN401
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _matches(value: Any, pattern: str) -> bool:  # noqa: ANN401
    return not pattern or (isinstance(value, str) and fnmatchcase(value, pattern))
