"""The hub: workers, and their sessions on lines, connect to the supervisor here; it knows which workers there are.

It gives access to everything that a server has only once: the audit log, the lines, the shared limits, the sessions.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from telnetsd.audit.chain import Draft
from telnetsd.audit.reading.row import who_of
from telnetsd.audit.sink import GroupCommit
from telnetsd.audit.trail import Trail
from telnetsd.daemon.workers.all_sessions import AllSessions
from telnetsd.daemon.workers.limits import LimitsHub
from telnetsd.daemon.workers.link import WorkerLink, session_fields
from telnetsd.events.of_sessions import SessionEnded, SessionStarted
from telnetsd.events.reason import EndReason
from telnetsd.files.home import Home
from telnetsd.lines.hosting import LineHost
from telnetsd.listener.sockets import BACKLOG, open_unix_listener
from telnetsd.rpc.channel import Channel
from telnetsd.rpc.messages import (
    TO_SUPERVISOR,
    Alive,
    Announce,
    EventRaised,
    EventsWritten,
    Hello,
    KickAnywhere,
    ListEverySession,
    NotifyOthers,
    Ready,
    ScreenShown,
    Stop,
    Welcome,
)

logger = logging.getLogger(__name__)


class Admittance(Protocol):
    """What the supervisor decides about workers."""

    def welcome(self) -> Welcome:
        """Return the answer to a worker that has just connected."""

    def is_unwanted(self, batch: int) -> bool:
        """Tell whether workers of a batch have to end at once."""

    def note_ready(self, worker: WorkerLink) -> None:
        """Take note that a worker accepts connections."""

    def is_missed(self, worker: WorkerLink) -> bool:
        """Tell whether a worker that has ended was still needed."""


@dataclass(frozen=True, slots=True)
class Common:
    """What all workers share: the log, its trail bound to nothing, and the lines."""

    sink: GroupCommit
    trail: Trail
    host: LineHost


class Hub:
    """The supervisor's end of every channel.

    Args:
        home: The installation.
        common: What all workers share.
        admittance: Decides about workers.

    Attributes:
        workers: The connected workers.
        sessions: The open sessions of all workers.
    """

    def __init__(self, home: Home, common: Common, admittance: Admittance) -> None:
        self._path = home.workers_socket
        self._common = common
        self._admittance = admittance
        self._limits = LimitsHub()
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self.workers: list[WorkerLink] = []
        self.sessions = AllSessions(self.workers)

    async def open(self) -> None:
        """Let workers connect."""
        listener = open_unix_listener(self._path)
        self._server = await self._loop.create_unix_server(self._connected, sock=listener, backlog=BACKLOG)

    def close(self) -> None:
        """Stop accepting workers."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for a condition that changes only when a worker connects, becomes ready, or ends."""
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def wait_empty(self) -> None:
        """Wait until there is no worker."""
        await self.wait_until(lambda: not self.workers)

    def _connected(self) -> Channel:
        channel = Channel(TO_SUPERVISOR)
        channel.open_with(Hello, partial(self._greet, channel))
        self._common.host.serve_participant(channel)
        return channel

    async def _greet(self, channel: Channel, hello: Hello) -> Welcome:
        """Add a worker, and return the number of reloads so far and the settings: the worker may be late."""
        worker = WorkerLink(channel=channel, pid=hello.pid, batch=hello.batch, heard_at=self._loop.time())
        channel.on_closed = partial(self._lose, worker)
        channel.answer(ListEverySession, lambda _: self.sessions.rows())
        channel.answer(KickAnywhere, lambda asked: self.sessions.kick(asked.session_id, asked.by))
        channel.answer(NotifyOthers, lambda asked: self.sessions.tell_others(asked.session_id, asked.text))
        channel.hear(Alive, lambda _: self._note_alive(worker))
        channel.hear(EventRaised, partial(self._take_event, worker))
        channel.hear(Ready, lambda _: self._note_ready(worker))
        channel.hear(ScreenShown, self.sessions.pass_on)
        self._common.host.serve_worker(channel)
        self._limits.join(channel)
        self.workers.append(worker)
        if self.sessions.notice:
            channel.tell(Announce(self.sessions.notice, is_lasting=True))
        if self._admittance.is_unwanted(hello.batch):
            channel.tell(Stop())
        return self._admittance.welcome()

    def _note_alive(self, worker: WorkerLink) -> None:
        worker.heard_at = self._loop.time()

    def _note_ready(self, worker: WorkerLink) -> None:
        worker.is_ready = True
        self._admittance.note_ready(worker)
        self._changed.set()

    def _take_event(self, worker: WorkerLink, raised: EventRaised) -> None:
        number, session_id = raised.number, raised.session_id
        event = Draft(raised.action, raised.head, raised.body, raised.tail)
        if event.action == SessionStarted.action:
            worker.open[session_id] = event
        elif event.action == SessionEnded.action:
            worker.open.pop(session_id, None)
        written = self._common.sink.put_draft(event)
        written.add_done_callback(partial(self._acknowledge, worker, number, session_id, event.action))

    def _acknowledge(
        self, worker: WorkerLink, number: int, session_id: str, action: str, written: asyncio.Future[None]
    ) -> None:
        if not worker.written:
            self._loop.call_soon(self._tell_written, worker)
        error = written.exception()
        if error is not None and action == SessionStarted.action:
            worker.open.pop(session_id, None)  # no client was admitted
        worker.written.append((number, str(error) if error is not None else ""))

    def _tell_written(self, worker: WorkerLink) -> None:
        written, worker.written = worker.written, []
        worker.channel.tell(EventsWritten(written))

    def _lose(self, worker: WorkerLink) -> None:
        """Note that a worker has ended, and record the end of its open sessions, which have ended with it."""
        self.workers.remove(worker)
        self._limits.leave(worker.channel)
        self.sessions.lose(worker)
        self._changed.set()
        for fields in map(session_fields, worker.open.values()):
            user = who_of(fields)
            reason = EndReason.WORKER_LOST
            message = f"{user}: the session ended ({reason.value})"
            self._common.trail.with_fields(fields).record(SessionEnded(reason=reason, message=message))
        if self._admittance.is_missed(worker):
            sessions = f"{len(worker.open)} session{'' if len(worker.open) == 1 else 's'}"
            logger.warning("worker %d has ended, and %s with it; another one replaces it", worker.pid, sessions)
