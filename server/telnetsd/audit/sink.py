"""Group commit: events of many sessions, with one disk sync for all that arrived during the previous write.

While one batch is being written (in a separate thread, so that the event loop continues), the next one gathers. A
caller that awaits an event is woken when its batch is on disk, or with the error that prevented the write. A session
records its next action only when the previous one is written. For some events no caller waits (a handshake that
failed). So the gathering batch has a limit, and events beyond it fail.

One clock, whose work runs in the same thread, signs a log that has become quiet, syncs what interval durability has
left unsynced, and retries while the log cannot be written.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec

from telnetsd.audit.chain import Draft, make_draft
from telnetsd.audit.log import AuditLog, AuditUnavailableError
from telnetsd.audit.outage import Outage
from telnetsd.config.settings import AuditSettings
from telnetsd.config.values import Durability, FailurePolicy
from telnetsd.events.part import Fields
from telnetsd.events.reason import CheckpointReason

GATHERED_MAX: Final = 10_000
GATHER_S: Final = 0.005
"""How long events are gathered when many arrive: one write for all of them costs little more than for one."""
QUIET_TURNS: Final = 2
"""The number of event loop turns without a new event after which the batch is not delayed any longer."""
RETRY_S: Final = 1.0
"""The interval of retries while the log cannot be written and no new event causes one."""
_Batch = list[tuple[Draft, asyncio.Future[None]]]
_P = ParamSpec("_P")

logger = logging.getLogger(__name__)


class GroupCommit:
    """The sink of a server.

    Args:
        log: Where events go; no other code in this process may use it.
        settings: The clock's intervals, and what happens to events while the log cannot be written.
        tell: Called with True when the log cannot be written, and with False when it can be written again.
        note: Called with each batch that was written, and how many seconds that took.
    """

    def __init__(
        self,
        log: AuditLog,
        settings: AuditSettings | None = None,
        tell: Callable[[bool], None] = lambda _: None,
        note: Callable[[Sequence[Draft], float], None] = lambda _, __: None,
    ) -> None:
        self._log = log
        self._settings = settings or AuditSettings()
        self._goes_on = self._settings.on_audit_failure is FailurePolicy.CONTINUE
        self._tell = tell
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._gathering: _Batch = []
        self._expected = 0
        """The number of events that are expected to arrive together."""
        self._are_enough = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._outage: Outage | None = None
        self._is_closed = False
        self._has_ended = asyncio.Event()
        self._clock = self._loop.create_task(self._keep_time())

    def put(self, event: Fields) -> asyncio.Future[None]:
        """Accept an event; the future is done when the event is on disk."""
        try:
            return self.put_draft(encode(event))
        except AuditUnavailableError as error:
            return failed(error)

    def put_draft(self, event: Draft) -> asyncio.Future[None]:
        """Accept an encoded event."""
        written: asyncio.Future[None] = self._loop.create_future()
        if self._is_closed:
            settle(written, AuditUnavailableError("the audit log is closed: the server is stopping"))
            return written
        if len(self._gathering) >= GATHERED_MAX:
            self._note_outage([(event, written)], AuditUnavailableError("the audit log is written too slowly"))
            return written
        self._gathering.append((event, written))
        if len(self._gathering) == self._expected:
            self._are_enough.set()
        if self._outage is not None and self._goes_on:
            # No caller waits for it: it is written with the kept events, when that is possible.
            written.set_result(None)
        self._write_in_background()
        return written

    @property
    def queued(self) -> int:
        """How many events wait to be written."""
        return len(self._gathering)

    @property
    def is_writable(self) -> bool:
        """Whether the log could be written at the last attempt."""
        return self._outage is None

    async def close(self) -> None:
        """Write the remaining events, sign the log, accept no more events, and end the thread."""
        self._is_closed = True
        self._has_ended.set()
        await self._clock
        if self._writing is not None:
            await self._writing
        if self._outage is not None:
            await self._write([])
        if self._outage is not None:
            logger.error("%d events were never written to the audit log", len(self._outage.kept) + self._outage.lost)
        await self._do(self._log.checkpoint, CheckpointReason.SERVER_STOPPED)
        await self._do(self._log.sync)
        self._thread.shutdown()

    def _write_in_background(self) -> None:
        if self._writing is None:
            self._writing = self._loop.create_task(self._write_batches())

    async def _write_batches(self) -> None:
        self._expected = 0
        while True:
            await self._gather()
            batch, self._gathering = self._gathering, []
            await self._write(batch)
            if not self._gathering:
                break
            # The callers that were woken will soon record their next events, if they behave as before.
            self._expected = len(batch)
        self._writing = None

    async def _gather(self) -> None:
        """Wait for more events if more are likely to arrive; a single caller waits for nothing."""
        if len(self._gathering) < self._expected:
            self._are_enough.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._are_enough.wait(), GATHER_S)
        deadline, count, quiet_turns = self._loop.time() + GATHER_S, 0, 0
        while quiet_turns < QUIET_TURNS and self._loop.time() < deadline:
            quiet_turns = quiet_turns + 1 if len(self._gathering) == count else 0
            count = len(self._gathering)
            await asyncio.sleep(0)

    async def _write(self, batch: _Batch) -> None:
        """Write a batch, after the events that an outage has left to be written."""
        outage = self._outage.copy() if self._outage else None
        late = outage.events() if outage else []
        events, begun = [*late, *(event for event, _ in batch)], self._loop.time()
        error = await self._do(self._log.append_drafts, events)
        if error is None:
            self._note(events, self._loop.time() - begun)
            self._end_outage(outage)
            for _, written in batch:
                settle(written, None)
        elif isinstance(error, AuditUnavailableError):
            self._note_outage(batch, error)
        else:
            for _, written in batch:
                settle(written, AuditUnavailableError(f"the audit log failed: {error!r}"))

    def _note_outage(self, batch: _Batch, error: AuditUnavailableError) -> None:
        if self._outage is None:
            self._outage = Outage()
            logger.error("%s", error)
            self._tell(True)
        for event, written in batch:
            is_kept = self._outage.note(event, is_everything_kept=self._goes_on)
            settle(written, None if is_kept and self._goes_on else error)

    def _end_outage(self, written: Outage | None) -> None:
        """Note that the log can be written; events that arrived during the write stay for the next one."""
        if self._outage is not None and written is not None and self._outage.forget_written(written):
            self._outage = None
            logger.warning("the audit log can be written again")
            self._tell(False)

    async def _keep_time(self) -> None:
        """Sign, sync and retry, each at its own interval."""
        sign_at = time.monotonic() + self._settings.checkpoint_interval_s
        while not self._has_ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_ended.wait(), self._interval_s())
            if self._outage is not None:
                self._write_in_background()
            elif time.monotonic() >= sign_at:
                await self._do(self._log.checkpoint, CheckpointReason.INTERVAL)
                sign_at = time.monotonic() + self._settings.checkpoint_interval_s
            error = await self._do(self._log.sync)
            if isinstance(error, AuditUnavailableError):
                self._note_outage([], error)

    def _interval_s(self) -> float:
        is_unsynced = self._settings.durability is Durability.INTERVAL
        return self._settings.sync_interval_s if is_unsynced else min(RETRY_S, self._settings.checkpoint_interval_s)

    async def _do(self, work: Callable[_P, object], *arguments: _P.args, **options: _P.kwargs) -> Exception | None:
        """Run a call on the log in its thread; returns the error, or None."""
        return await self._loop.run_in_executor(self._thread, lambda: _attempt(partial(work, *arguments, **options)))


def _attempt(work: Callable[[], object]) -> Exception | None:
    """Run a call on the log; returns the error, or None."""
    try:
        work()
    except AuditUnavailableError as error:
        return error
    except Exception as error:
        # Whatever the error is, the callers that wait for these events must learn that they are not on disk.
        logger.exception("the audit log failed: internal error")
        return error
    return None


def encode(event: Fields) -> Draft:
    """Encode an event.

    Raises:
        AuditUnavailableError: It cannot be encoded, by a fault of the server; what it records must not happen.
    """
    try:
        return make_draft(event)
    except Exception as error:
        logger.exception("the audit log failed: internal error")
        raise AuditUnavailableError(f"the audit log failed: {error!r}") from error


def failed(error: AuditUnavailableError) -> asyncio.Future[None]:
    """Return the future for a caller that awaits an event, when the event is not written."""
    written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    settle(written, error)
    return written


def settle(written: asyncio.Future[None], error: AuditUnavailableError | None) -> None:
    """Wake the caller that awaits an event: it is on disk, or the error says why it is not."""
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
        # A failure that no caller awaits is not a program error: a caller that awaits the next event is notified.
        written.exception()
