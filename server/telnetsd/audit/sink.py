"""Group commit: events of many sessions, one sync of the disk for all that came meanwhile.

While one batch is being written (in a thread of its own, so that the event loop goes on), the next one
gathers. Who awaits an event is woken when its batch is on disk, or with the error that kept it from there.
A session tells of its next deed only when the one before is written. Some events nobody waits for (a handshake that
failed); so the gathering batch has a limit, and what comes beyond it fails.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from telnetsd.audit.event import Fields
from telnetsd.audit.log import AuditLog, AuditUnavailableError

GATHERED_MAX: Final = 10_000

logger = logging.getLogger(__name__)


class GroupCommit:
    """The sink of a server."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._gathering: list[tuple[Fields, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._is_closed = False

    def put(self, event: Fields) -> asyncio.Future[None]:
        """Take an event; the future is done when it is on disk."""
        written: asyncio.Future[None] = self._loop.create_future()
        written.add_done_callback(_mark_seen)
        if self._is_closed or len(self._gathering) >= GATHERED_MAX:
            why = "is closed: the server is being stopped" if self._is_closed else "is written too slowly"
            written.set_exception(AuditUnavailableError(f"the audit log {why}"))
            return written
        self._gathering.append((event, written))
        if self._writing is None:
            self._writing = self._loop.create_task(self._write_batches())
        return written

    async def close(self) -> None:
        """Write what is left, take nothing more, and end the thread."""
        self._is_closed = True
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()

    async def _write_batches(self) -> None:
        while self._gathering:
            batch, self._gathering = self._gathering, []
            _settle(batch, await self._write([event for event, _ in batch]))
        self._writing = None

    async def _write(self, events: list[Fields]) -> AuditUnavailableError | None:
        try:
            await self._loop.run_in_executor(self._thread, self._log.append, events)
        except AuditUnavailableError as error:
            return error
        except Exception as error:
            # Whatever it is, who waits for these events must learn that they are not on disk.
            logger.exception("the audit log failed by a fault of the server")
            return AuditUnavailableError(f"the audit log failed: {error!r}")
        return None


def _settle(batch: list[tuple[Fields, asyncio.Future[None]]], error: AuditUnavailableError | None) -> None:
    for _, written in batch:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


def _mark_seen(written: asyncio.Future[None]) -> None:
    """A failure that nobody awaits is no error of the program: who awaits the next event is told."""
    if not written.cancelled():
        written.exception()
