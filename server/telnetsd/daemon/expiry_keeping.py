"""Telling, once a day, that a certificate of the server or of its CA ends."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from telnetsd.administration.authority.authorities import built_in_authorities
from telnetsd.administration.installation.generation import load_server_chain
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.errors import OperatorError
from telnetsd.events.of_the_server import CertificateExpiring
from telnetsd.events.reason import ExpiryReason
from telnetsd.files.home import Home
from telnetsd.pki.authority import utc_now
from telnetsd.pki.facts import days_left

WINDOW_DAYS: Final = 30
EVERY_S: Final = 86_400.0
RETRY_S: Final = 300.0
_PREVIOUS: Final = "previous"

logger = logging.getLogger(__name__)


class ExpiryKeeper:
    """Records the certificates of an installation that end soon.

    Args:
        home: The installation.
        trail: Bound to nothing.
    """

    def __init__(self, home: Home, trail: Trail) -> None:
        self._home = home
        self._trail = trail
        self._due_at = time.monotonic()

    async def keep_up(self) -> None:
        """See Keeper."""
        if time.monotonic() < self._due_at:
            return
        try:
            for event in await asyncio.to_thread(lambda: list(find_expiring(self._home, utc_now()))):
                await self._trail.record(event)
        except (OSError, AuditUnavailableError) as error:
            logger.warning("certificates that end soon cannot be reported: %s; it is tried again", error)
            self._due_at = time.monotonic() + RETRY_S
        else:
            self._due_at = time.monotonic() + EVERY_S


def find_expiring(home: Home, at: datetime) -> Iterator[CertificateExpiring]:
    """Yield an event for each certificate of an installation that has ended, or ends within WINDOW_DAYS."""
    for path, certificate in _certificates_of(home):
        left = days_left(certificate.not_valid_after_utc, at)
        if left < WINDOW_DAYS:
            reason, verb = (ExpiryReason.SOON, "is") if left >= 0 else (ExpiryReason.OVER, "was")
            message = f"{home.shown(path)} {verb} valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
            yield CertificateExpiring(reason=reason, message=message, file=path.name)


def _certificates_of(home: Home) -> Iterator[tuple[Path, x509.Certificate]]:
    """Yield the certificates that are in use; one that cannot be read keeps the server from starting anyway."""
    try:
        yield home.server_certificate, load_server_chain(home)[0]
        for certificate, role in built_in_authorities(home):
            if not role.startswith(_PREVIOUS):
                yield (home.issuing_certificate if "intermediate" in role else home.ca_certificate), certificate
    except OperatorError:
        return
