"""Maintain the audit log, in addition to writing it: compress and remove rotated files, and serve collectors."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from telnetsd.audit.retention import compress_rotated, find_expired
from telnetsd.audit.shipping.collector import make_collector
from telnetsd.audit.shipping.shipper import Shipper
from telnetsd.audit.trail import Trail
from telnetsd.config.settings import AuditSettings
from telnetsd.errors import OperatorError
from telnetsd.events.of_the_server import AuditNotShipped, AuditPruned
from telnetsd.events.reason import ShippingReason
from telnetsd.files.atomic import sync_folder
from telnetsd.files.home import Home

REMOVED_PER_ROUND: Final = 100
LAST_LINES_S: Final = 3.0
"""How long the collectors may take for the last lines when the server stops, in seconds."""

logger = logging.getLogger(__name__)


class AuditKeeper:
    """Maintains the files of one log.

    Args:
        home: The installation.
        settings: What is kept, and for how long.
        trail: Bound to nothing.
    """

    def __init__(self, home: Home, settings: AuditSettings, trail: Trail) -> None:
        self._home = home
        self._settings = settings
        self._trail = trail
        self._told = ""

    async def keep_up(self) -> None:
        """Compress and remove the files that are due; report an error on the operator's terminal, once."""
        try:
            if self._settings.compress:
                await asyncio.to_thread(compress_rotated, self._home.audit_file)
            await self._remove_expired()
            self._told = ""
        except (OSError, OperatorError) as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("rotated files of the audit log were left unchanged: %s", error)

    async def _remove_expired(self) -> None:
        for _ in range(REMOVED_PER_ROUND):
            now = datetime.now(UTC)
            expired = await asyncio.to_thread(find_expired, self._home.audit_file, self._settings, now)
            if expired is None:
                return
            first, last = expired.first.head.sequence, expired.last.head
            message = f"{expired.path.name}, lines {first} to {last.sequence} of the audit log, is removed"
            await self._trail.record(
                AuditPruned(
                    reason=expired.reason,
                    message=message,
                    file=expired.path.name,
                    first_sequence=first,
                    last_sequence=last.sequence,
                    last_sha256=last.sha256,
                )
            )
            expired.path.unlink()
            sync_folder(expired.path.parent)


@asynccontextmanager
async def shipping(home: Home, settings: AuditSettings, trail: Trail) -> AsyncIterator[None]:
    """Serve the collectors; at the end each has a moment for the last lines.

    Raises:
        OperatorError: A certificate or key of a collector cannot be read.
    """
    loop = asyncio.get_running_loop()

    def report(reason: ShippingReason, name: str, first: int, last: int) -> None:
        message = f"the collector {name} did not receive lines {first} to {last} of the audit log ({reason.value})"
        event = AuditNotShipped(
            reason=reason, message=message, collector=name, first_sequence=first, last_sequence=last
        )
        loop.call_soon_threadsafe(trail.record, event)

    shippers = [Shipper(home, one, make_collector(home, one), report) for one in settings.shipping]
    for shipper in shippers:
        shipper.start()
    try:
        yield
    finally:
        for shipper in shippers:
            shipper.begin_to_end()
        deadline = time.monotonic() + LAST_LINES_S
        for shipper in shippers:
            await asyncio.to_thread(shipper.wait, deadline)
