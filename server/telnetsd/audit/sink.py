"""Where events go: straight to the file for a command line, by group commit for a server.

Group commit: while one batch is being written (in a thread of its own, so that the event loop goes on), the next one
gathers; one sync of the disk is for all that came meanwhile. Who awaits an event is woken when its batch is on disk.
The gathering batch is bounded by who waits: a session tells of its next deed only when the one before is written.
"""

import asyncio
from collections.abc import Awaitable, Generator
from concurrent.futures import ThreadPoolExecutor

from telnetsd.audit.event import Fields
from telnetsd.audit.log import AuditLog, AuditUnavailableError


class DirectSink:
    """The sink of a command line: an event is on disk when `put` returns."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def put(self, event: Fields) -> Awaitable[None]:
        """Write an event.

        Raises:
            AuditUnavailableError: It is not on disk.
        """
        self._log.append([event])
        return _Written()


class _Written(Awaitable[None]):
    """Done already."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


class GroupCommit:
    """The sink of a server."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._gathering: list[tuple[Fields, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    def put(self, event: Fields) -> asyncio.Future[None]:
        """Take an event; the future is done when it is on disk."""
        written: asyncio.Future[None] = self._loop.create_future()
        # A future whose failure nobody awaits is no error: the next one who awaits is told.
        written.add_done_callback(_mark_seen)
        self._gathering.append((event, written))
        if self._writing is None:
            self._writing = self._loop.create_task(self._write_batches())
        return written

    async def close(self) -> None:
        """Write what is left, and end the thread."""
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()

    async def _write_batches(self) -> None:
        while self._gathering:
            batch, self._gathering = self._gathering, []
            try:
                await self._loop.run_in_executor(self._thread, self._log.append, [event for event, _ in batch])
            except AuditUnavailableError as error:
                _settle(batch, error)
            else:
                _settle(batch, None)
        self._writing = None


def _settle(batch: list[tuple[Fields, asyncio.Future[None]]], error: AuditUnavailableError | None) -> None:
    for _, written in batch:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


def _mark_seen(written: asyncio.Future[None]) -> None:
    if not written.cancelled():
        written.exception()
