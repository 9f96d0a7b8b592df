"""Certificates by fingerprint, collected while the log is read: only one event per session has it in full."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from telnetsd.audit.reading.row import LoggedEvent, value_of
from telnetsd.events.part import merge

CERTIFICATES_MAX: Final = 8192
"""The maximum number of certificates that are kept; beyond it, the least recently used one is dropped."""
_OF_A_CERTIFICATE: Final = ("x509", "subject", "issuer")


class CertificateRecall:
    """The certificates of the events that have been read so far."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def complete(self, event: LoggedEvent) -> LoggedEvent:
        """Return an event with the certificate of its fingerprint, if an earlier event has that in full."""
        client = value_of(event, "tls.client")
        sha256 = value_of(event, "tls.client.hash.sha256")
        if not isinstance(client, dict) or not isinstance(sha256, str):
            return event
        if "x509" in client:
            self._known[sha256] = {key: client[key] for key in _OF_A_CERTIFICATE if key in client}
            if len(self._known) > CERTIFICATES_MAX:
                self._known.popitem(last=False)
        if sha256 not in self._known:
            return event
        self._known.move_to_end(sha256)
        return event if "x509" in client else merge(dict(event), {"tls": {"client": self._known[sha256]}})


def complete_all(events: Iterable[LoggedEvent]) -> Iterator[LoggedEvent]:
    """Yield each event with the certificate of its fingerprint, if an earlier event has that in full."""
    certificates = CertificateRecall()
    return map(certificates.complete, events)
