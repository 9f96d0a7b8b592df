"""Several workers that serve as one: started, heard, restarted, and told what concerns them all.

Workers take connections from the same sockets and have sessions; everything of which there is one is in this process:
the audit log, the lines, the operator's socket, the files that are watched. A forker (see `forker`) loads what a
batch of workers needs, and forks them. A rolling restart raises another batch beside the one that serves,
and then retires that: it takes no more connections, and ends with its last session.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from telnetsd.administration.installation.generation import Generation
from telnetsd.audit.chain import Draft
from telnetsd.audit.reading.row import who_of
from telnetsd.audit.sink import GroupCommit
from telnetsd.audit.trail import Trail
from telnetsd.control.server import WatchableSessions
from telnetsd.daemon.workers.forker_process import FirstForker, ForkerProcess, start_forker
from telnetsd.daemon.workers.limits import LimitsHub
from telnetsd.daemon.workers.link import ANSWER_TIMEOUT_S, WorkerLink, ask_all, session_fields
from telnetsd.daemon.workers.pool import STOP_TIMEOUT_S, Listeners
from telnetsd.daemon.workers.process import has_same_tls
from telnetsd.daemon.workers.sessions import AllSessions
from telnetsd.errors import OperatorError
from telnetsd.events.of_sessions import SessionEnded, SessionStarted
from telnetsd.events.reason import EndReason, ReloadReason
from telnetsd.files.home import Home
from telnetsd.lines.hosting import LineHost
from telnetsd.listener.sockets import BACKLOG, open_unix_listener
from telnetsd.rpc.channel import Channel, ChannelError
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
    Plan,
    Ready,
    Reload,
    Retire,
    ScreenShown,
    Stop,
    Welcome,
)

START_TIMEOUT_S: Final = 60.0
"""How long a batch may take to be ready: a CRL of a million entries takes seconds."""
KILL_AFTER_S: Final = STOP_TIMEOUT_S + 3.0
HUNG_S: Final = 30.0
"""How long a worker may give no sign of life: its sessions are lost with it, so it is given time to come back."""
RETRY_S: Final = 5.0
"""How long after workers that did not start others are tried."""
RETIRED_MAX: Final = 16
"""How many retired workers there may be: beyond it the oldest end, with a sentence to their users."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How many workers there are, the forker of the first ones, and the options of `telnetsd workers` for others."""

    count: int
    first: FirstForker | None = None
    options: tuple[str, ...] = ()


def make_plan(home: Home, count: int, listeners: Listeners, batch: int = 1, reloads: int = 0) -> Plan:
    """Return what a forker is to start."""
    return Plan(
        home=str(home.root),
        hub=str(home.workers_socket),
        listeners=[(one.fileno(), endpoint) for one, endpoint in listeners],
        count=count,
        batch=batch,
        reloads=reloads,
    )


class Supervisor:
    """The workers of a server; see `service.WorkerPool`.

    Args:
        home: The installation.
        settings: How many workers, and how they are started.
        generation: The first batch.
        sink: Where events go.
        trail: Bound to nothing.
    """

    def __init__(
        self, home: Home, settings: WorkerSettings, generation: Generation, sink: GroupCommit, trail: Trail
    ) -> None:
        self._home = home
        self._settings = settings
        self._first = settings.first
        self._generation = generation
        self._sink = sink
        self._trail = trail
        self._host = LineHost(generation.lines, trail)
        self._limits = LimitsHub()
        self._loop = asyncio.get_running_loop()
        self._workers: list[WorkerLink] = []
        self._sessions = AllSessions(self._workers)
        self._changed = asyncio.Event()
        self._listeners: Listeners = []
        self._batch = self._accepting = 0
        """The last batch that was started, and the one that takes connections."""
        self._failed: set[int] = set()
        self._reloads = 0
        self._is_starting = asyncio.Lock()
        self._forkers: list[ForkerProcess] = []
        self._starting: asyncio.Task[None] | None = None
        self._hub: asyncio.Server | None = None
        self._is_stopping = False
        self._retry_at = 0.0
        self._ticked_at = self._loop.time()

    # See WorkerPool.

    @property
    def sessions(self) -> WatchableSessions:
        """See WorkerPool."""
        return self._sessions

    async def start(self, listeners: Listeners) -> None:
        """See WorkerPool."""
        self._listeners = listeners
        self._hub = await self._open_hub()
        await self._start_batch()

    async def adopt(self, generation: Generation, reason: ReloadReason) -> None:
        """See WorkerPool; a signal, and other certificates of the server, raise another batch of workers."""
        is_same, self._generation = has_same_tls(generation, self._generation), generation
        self._reloads += 1
        self._host.adopt(generation.lines)
        for worker, answer in await ask_all(self._workers, Reload(generation.settings), START_TIMEOUT_S):
            if isinstance(answer, ChannelError):
                # It would serve with what was taken back; the one in its place loads everything anew.
                logger.warning("worker %d has not reloaded, and is replaced: %s", worker.pid, answer)
                worker.channel.tell(Stop())
        if reason is ReloadReason.SIGNAL or not is_same:
            await self._start_anew()

    async def tick(self) -> None:
        """See WorkerPool; a worker that hangs is ended, and a forker that has ended is replaced."""
        self._host.directory.check_clocks()
        self._end_the_hung()
        is_busy = self._starting is not None and not self._starting.done()
        if is_busy or self._is_stopping or self._loop.time() < self._retry_at:
            return
        if self._forkers and self._forkers[-1].returncode is not None:
            logger.warning("the process that starts workers has ended; another one takes its place")
            self._starting = self._loop.create_task(self._start_anew())

    @property
    def is_heard(self) -> bool:
        """See WorkerPool."""
        now = self._loop.time()
        return any(
            one.is_ready and not one.is_retired and now - one.heard_at < ANSWER_TIMEOUT_S for one in self._workers
        )

    def _end_the_hung(self) -> None:
        now = self._loop.time()
        before, self._ticked_at = self._ticked_at, now
        for worker in self._workers:
            if now - before > ANSWER_TIMEOUT_S:
                worker.heard_at = now  # it is we who heard nothing
            elif worker.is_ready and now - worker.heard_at > HUNG_S:
                logger.warning("worker %d hangs, and is ended", worker.pid)
                _kill(worker.pid)

    def announce(self, text: str, *, is_lasting: bool) -> None:
        """See WorkerPool."""
        self._sessions.notice = text if is_lasting else ""
        for worker in self._workers:
            worker.channel.tell(Announce(text, is_lasting))

    async def drain(self) -> None:
        """See WorkerPool."""
        self._begin_to_stop()
        for worker in self._workers:
            worker.is_retired = True
            worker.channel.tell(Retire())
        await self._wait_until(lambda: not self._workers)

    def _begin_to_stop(self) -> None:
        self._is_stopping = True
        if self._starting is not None:
            self._starting.cancel()
        # First of all: no worker is to be started in the place of one that ends.
        for forker in self._forkers:
            forker.let_go()
        for listener, _ in self._listeners:
            listener.close()

    async def stop(self) -> None:
        """See WorkerPool."""
        self._begin_to_stop()
        for worker in self._workers:
            worker.channel.tell(Stop())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait_until(lambda: not self._workers), KILL_AFTER_S)
        for worker in self._workers:
            _kill(worker.pid)
        for forker in self._forkers:
            await _end(forker)
        await self._wait_until(lambda: not self._workers)
        await self._host.directory.wait_closed()
        if self._hub is not None:
            self._hub.close()
            self._home.workers_socket.unlink(missing_ok=True)

    # Batches of workers.

    async def _start_anew(self) -> None:
        try:
            await self._start_batch()
        except (OperatorError, OSError) as error:
            logger.warning("%s; the workers that there are go on", error)
            self._retry_at = self._loop.time() + RETRY_S

    async def _start_batch(self) -> None:
        """Start workers, wait until they take connections, and retire those of before.

        Raises:
            OperatorError: They do not start.
        """
        async with self._is_starting:
            if not self._is_stopping:
                await self._start_next()

    async def _start_next(self) -> None:
        self._batch += 1
        batch = self._batch
        forker = await self._start_forker(batch)
        before = self._forkers
        self._forkers = [*before, forker]
        if self._is_stopping:
            # It was told while the forker was being started: who ends the others does not know of it.
            forker.let_go()

        def is_ready() -> bool:
            return sum(one.is_ready and one.batch == batch for one in self._workers) >= self._settings.count

        ready, ended = asyncio.ensure_future(self._wait_until(is_ready)), asyncio.ensure_future(forker.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                self._failed.add(batch)
                for worker in self._workers:
                    if worker.batch == batch:
                        worker.channel.tell(Stop())
                await _end(forker)
                self._forkers.remove(forker)
                if self._is_stopping:
                    return
                raise OperatorError("the workers do not start; what stops them is said above")
        finally:
            ready.cancel()
            ended.cancel()
        self._accepting = batch
        self._retire()
        for one in before:
            one.let_go()
        self._forkers = [one for one in self._forkers if one.returncode is None]

    async def _start_forker(self, batch: int) -> ForkerProcess:
        first, self._first = self._first, None
        if first is not None:
            first.go()
            return first
        plan = make_plan(self._home, self._settings.count, self._listeners, batch, self._reloads)
        return await start_forker(plan, self._settings.options)

    def _retire_if_old(self, worker: WorkerLink) -> None:
        if worker.batch < self._accepting and not worker.is_retired:
            worker.is_retired = True
            worker.channel.tell(Retire())

    def _retire(self) -> None:
        """Let the workers of earlier batches end with their last session."""
        for worker in self._workers:
            self._retire_if_old(worker)
        retired = [one for one in self._workers if one.is_retired]
        most = max(RETIRED_MAX, 2 * self._settings.count)
        for worker in retired[: max(0, len(retired) - most)]:
            worker.channel.tell(Stop())

    # The hub, where workers and the places of their sessions connect.

    async def _open_hub(self) -> asyncio.Server:
        listener = open_unix_listener(self._home.workers_socket)
        return await self._loop.create_unix_server(self._connected, sock=listener, backlog=BACKLOG)

    def _connected(self) -> Channel:
        channel = Channel(TO_SUPERVISOR)
        channel.answer(Hello, partial(self._greet, channel))
        self._host.serve_participant(channel)
        return channel

    async def _greet(self, channel: Channel, hello: Hello) -> Welcome:
        """Take a worker in, and return how often the server has reloaded, and with what: it may be late."""
        worker = WorkerLink(channel, hello.pid, hello.batch, self._loop.time())
        channel.on_closed = partial(self._lose, worker)
        channel.answer(ListEverySession, lambda _: self._sessions.rows())
        channel.answer(KickAnywhere, lambda asked: self._sessions.kick(asked.session_id, asked.by))
        channel.answer(NotifyOthers, lambda asked: self._sessions.tell_others(asked.session_id, asked.text))
        channel.hear(Alive, lambda _: self._note_alive(worker))
        channel.hear(EventRaised, partial(self._take_event, worker))
        channel.hear(Ready, lambda _: self._note_ready(worker))
        channel.hear(ScreenShown, self._sessions.pass_on)
        self._host.serve_worker(channel)
        self._limits.join(channel)
        self._workers.append(worker)
        if self._sessions.notice:
            channel.tell(Announce(self._sessions.notice, is_lasting=True))
        if self._is_stopping or hello.batch in self._failed:
            channel.tell(Stop())
        return Welcome(self._reloads, self._generation.settings)

    def _note_alive(self, worker: WorkerLink) -> None:
        worker.heard_at = self._loop.time()

    def _note_ready(self, worker: WorkerLink) -> None:
        worker.is_ready = True
        self._retire_if_old(worker)
        self._changed.set()

    def _take_event(self, worker: WorkerLink, raised: EventRaised) -> None:
        number, session_id = raised.number, raised.session_id
        event = Draft(raised.action, raised.head, raised.body, raised.tail)
        if event.action == SessionStarted.action:
            worker.open[session_id] = event
        elif event.action == SessionEnded.action:
            worker.open.pop(session_id, None)
        written = self._sink.put_draft(event)
        written.add_done_callback(partial(self._acknowledge, worker, number, session_id, event.action))

    def _acknowledge(
        self, worker: WorkerLink, number: int, session_id: str, action: str, written: asyncio.Future[None]
    ) -> None:
        if not worker.written:
            self._loop.call_soon(self._tell_written, worker)
        error = written.exception()
        if error is not None and action == SessionStarted.action:
            worker.open.pop(session_id, None)  # nobody was let in
        worker.written.append((number, str(error) if error is not None else ""))

    def _tell_written(self, worker: WorkerLink) -> None:
        written, worker.written = worker.written, []
        worker.channel.tell(EventsWritten(written))

    def _lose(self, worker: WorkerLink) -> None:
        """Note that a worker has ended; what it had open has ended with it, and the log is told by us."""
        self._workers.remove(worker)
        self._limits.leave(worker.channel)
        self._sessions.lose(worker)
        self._changed.set()
        for fields in map(session_fields, worker.open.values()):
            user = who_of(fields)
            reason = EndReason.WORKER_LOST
            message = f"{user}: the session ended ({reason.value})"
            self._trail.with_fields(fields).record(SessionEnded(reason=reason, message=message))
        if not self._is_stopping and not worker.is_retired:
            sessions = f"{len(worker.open)} session{'' if len(worker.open) == 1 else 's'}"
            logger.warning("worker %d has ended, and %s with it; another takes its place", worker.pid, sessions)

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def _end(forker: ForkerProcess) -> None:
    """End a forker, which ends when its workers have."""
    forker.let_go()
    try:
        await asyncio.wait_for(forker.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        forker.kill()
        await forker.wait()
