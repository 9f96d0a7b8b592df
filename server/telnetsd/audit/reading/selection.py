"""Selecting the events that a user wants to see."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from telnetsd.audit.reading.row import LoggedEvent, value_of
from telnetsd.events.fields import Outcome, timestamp
from telnetsd.events.of_sessions import SessionContinued

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
GUEST: Final = "guest"
_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_HEXADECIMAL: Final = re.compile("[0-9A-F]{1,80}")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The conditions that an event has to meet; an attribute that is empty, None or False sets no condition.

    The events with which a file of the log repeats the open sessions are not events of those sessions: they are
    selected only if their action is asked for.

    Attributes:
        user: The user's name, also as the user that a change is about; or `guest`.
        session: The end of a session's id.
        action: `event.action`, with * for any characters.
        source: The address or network that it came from.
        certificate: The beginning of its certificate's SHA-256, or its serial number, in upper-case hexadecimal.
        only_failed: Whether its outcome has to be a failure.
        since, until: The times (aware, UTC) between which it has to have been written.
    """

    user: str = ""
    session: str = ""
    action: str = ""
    source: Network | None = None
    certificate: str = ""
    only_failed: bool = False
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
            and (not self.only_failed or value_of(event, "event.outcome") == Outcome.FAILURE)
            and (not self.action or fnmatchcase(str(value_of(event, "event.action")), self.action))
            and (not self.session or str(value_of(event, "telnetsd.session.id")).endswith(self.session))
            and (not self.user or self._is_about_user(event))
            and (not self.certificate or self._has_certificate(event))
            and (self.source is None or _is_within(value_of(event, "source.ip"), self.source))
        )

    def _is_in_time(self, at: Any) -> bool:  # noqa: ANN401 -- whatever JSON the line holds
        # RFC 3339 in UTC with six digits: the texts sort in the order of the times.
        is_late_enough = self.since is None or str(at) >= timestamp(self.since)
        return is_late_enough and (self.until is None or str(at) <= timestamp(self.until))

    def _has_certificate(self, event: LoggedEvent) -> bool:
        sha256 = value_of(event, "tls.client.hash.sha256")
        serial_number = value_of(event, "tls.client.x509.serial_number")
        return str(sha256).startswith(self.certificate) or self.certificate == serial_number

    def _is_about_user(self, event: LoggedEvent) -> bool:
        if self.user == GUEST:
            return bool(value_of(event, "telnetsd.identity.kind") == GUEST)
        return self.user in (value_of(event, "user.name"), value_of(event, "user.target.name"))


def parse_fingerprint(text: str) -> str:
    """Parse a value for Selection.certificate: hexadecimal, with or without colons and a leading SHA256:.

    Raises:
        ValueError: The text is not such a value.
    """
    digits = text.upper().removeprefix("SHA256:").replace(":", "")
    if not _HEXADECIMAL.fullmatch(digits):
        raise ValueError(f"not a certificate's SHA-256 or serial number: {text!r}; write hexadecimal digits")
    return digits


def parse_moment(text: str, now: datetime) -> datetime:
    """Parse a time: 2h (ago), 2026-01-31, 2026-01-31T12:00, with or without an offset; it is UTC without one.

    Raises:
        ValueError: The text is not a time.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not a time: {text!r}; write 2h, 7d, 2026-01-31 or 2026-01-31T12:00") from error


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
