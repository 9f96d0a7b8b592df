"""Several workers that serve as one: start, watch and restart them, and tell them what concerns them all.

Workers accept connections from the same sockets and have sessions. Everything that exists only once is in this
process: the audit log, the lines, the control socket, the watched files. A forker (see `forker`) loads what a batch
of workers needs, and forks them. A rolling restart starts another batch beside the one that serves, and then retires
the old one: it accepts no more connections, and ends with its last session.
"""

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from typing import Final

from telnetsd.administration.installation.generation import Generation
from telnetsd.audit.sink import GroupCommit
from telnetsd.control.server import WatchableSessions
from telnetsd.daemon.workers.forker_process import FirstForker, ForkerProcess, start_forker
from telnetsd.daemon.workers.hub import Common, Hub
from telnetsd.daemon.workers.link import ANSWER_TIMEOUT_S, WorkerLink, ask_all
from telnetsd.daemon.workers.pool import STOP_TIMEOUT_S, Listeners
from telnetsd.daemon.workers.process import has_same_tls
from telnetsd.errors import OperatorError
from telnetsd.events.reason import ReloadReason
from telnetsd.files.home import Home
from telnetsd.lines.hosting import LineHost
from telnetsd.rpc.channel import ChannelError
from telnetsd.rpc.messages import (
    Announce,
    Plan,
    Reload,
    Retire,
    Stop,
    Welcome,
)

START_TIMEOUT_S: Final = 60.0
"""How long a batch may take to be ready: a CRL of a million entries takes seconds."""
KILL_AFTER_S: Final = STOP_TIMEOUT_S + 3.0
HUNG_S: Final = 30.0
"""How long a worker may give no sign of life: its sessions are lost with it, so it gets time to recover."""
RETRY_S: Final = 5.0
"""How long after workers did not start the next attempt is made."""
RETIRED_MAX: Final = 16
"""How many retired workers there may be: beyond that the oldest end, with a message to their users."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How many workers there are, the forker of the first ones, and the options of `telnetsd workers` for others."""

    count: int
    first: FirstForker | None = None
    options: tuple[str, ...] = ()


def make_plan(home: Home, count: int, listeners: Listeners, batch: int = 1, reloads: int = 0) -> Plan:
    """Return the plan of what a forker starts."""
    return Plan(
        home=str(home.root),
        hub=str(home.workers_socket),
        listeners=[(one.fileno(), endpoint) for one, endpoint in listeners],
        count=count,
        batch=batch,
        reloads=reloads,
    )


class Supervisor:
    """The workers of a server; see `pool.WorkerPool`.

    Args:
        home: The installation.
        settings: How many workers, and how they are started.
        generation: The generation of the first batch.
        sink: Where events go.
        host: The lines.
    """

    def __init__(
        self, home: Home, settings: WorkerSettings, generation: Generation, sink: GroupCommit, host: LineHost
    ) -> None:
        self._home = home
        self._settings = settings
        self._first = settings.first
        self._generation = generation
        self._host = host
        self._hub = Hub(home, Common(sink, host.trail, host), self)
        self._workers = self._hub.workers
        self._loop = asyncio.get_running_loop()
        self._listeners: Listeners = []
        self._batch = self._accepting = 0
        """The last batch that was started, and the one that accepts connections."""
        self._failed: set[int] = set()
        self._reloads = 0
        self._is_starting = asyncio.Lock()
        self._forkers: list[ForkerProcess] = []
        self._starting: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._retry_at = 0.0
        self._ticked_at = self._loop.time()

    # See WorkerPool.

    @property
    def sessions(self) -> WatchableSessions:
        """See WorkerPool."""
        return self._hub.sessions

    async def start(self, listeners: Listeners) -> None:
        """See WorkerPool."""
        self._listeners = listeners
        self._host.adopt(self._generation.lines)
        await self._hub.open()
        await self._start_batch()

    async def adopt(self, generation: Generation, reason: ReloadReason) -> None:
        """See WorkerPool; a signal, or changed certificates of the server, start another batch of workers."""
        is_same, self._generation = has_same_tls(generation, self._generation), generation
        self._reloads += 1
        self._host.adopt(generation.lines)
        for worker, answer in await ask_all(self._workers, Reload(generation.settings), START_TIMEOUT_S):
            if isinstance(answer, ChannelError):
                # It would still serve with what was withdrawn; its replacement loads everything again.
                logger.warning("worker %d did not reload, and is replaced: %s", worker.pid, answer)
                worker.channel.tell(Stop())
        if reason is ReloadReason.SIGNAL or not is_same:
            await self._start_anew()

    async def tick(self) -> None:
        """See WorkerPool; a worker that hangs is killed, and a forker that has ended is replaced."""
        self._host.directory.check_clocks()
        self._end_the_hung()
        is_busy = self._starting is not None and not self._starting.done()
        if is_busy or self._is_stopping or self._loop.time() < self._retry_at:
            return
        if self._forkers and self._forkers[-1].returncode is not None:
            logger.warning("the process that starts workers has ended; another one replaces it")
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
                worker.heard_at = now  # this process itself was not running
            elif worker.is_ready and now - worker.heard_at > HUNG_S:
                logger.warning("worker %d hangs, and is killed", worker.pid)
                _kill(worker.pid)

    def announce(self, news: Announce) -> None:
        """See WorkerPool."""
        if not news.is_for_operators:
            self._hub.sessions.notice = news.text if news.is_lasting else ""
        for worker in self._workers:
            worker.channel.tell(news)

    async def drain(self) -> None:
        """See WorkerPool."""
        self._begin_to_stop()
        for worker in self._workers:
            worker.is_retired = True
            worker.channel.tell(Retire())
        await self._hub.wait_empty()

    def _begin_to_stop(self) -> None:
        self._is_stopping = True
        if self._starting is not None:
            self._starting.cancel()
        # This comes first: a worker that ends must not be replaced.
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
            await asyncio.wait_for(self._hub.wait_empty(), KILL_AFTER_S)
        for worker in self._workers:
            _kill(worker.pid)
        for forker in self._forkers:
            await _end(forker)
        await self._hub.wait_empty()
        await self._host.directory.close()
        self._hub.close()

    # See Admittance.

    def welcome(self) -> Welcome:
        """See Admittance."""
        return Welcome(self._reloads, self._generation.settings)

    def is_unwanted(self, batch: int) -> bool:
        """See Admittance."""
        return self._is_stopping or batch in self._failed

    def note_ready(self, worker: WorkerLink) -> None:
        """See Admittance; a worker that is late, and of an earlier batch, retires at once."""
        if worker.batch < self._accepting and not worker.is_retired:
            worker.is_retired = True
            worker.channel.tell(Retire())

    def is_missed(self, worker: WorkerLink) -> bool:
        """See Admittance."""
        return not self._is_stopping and not worker.is_retired

    # Batches of workers.

    async def _start_anew(self) -> None:
        try:
            await self._start_batch()
        except (OperatorError, OSError) as error:
            logger.warning("%s; the existing workers continue", error)
            self._retry_at = self._loop.time() + RETRY_S

    async def _start_batch(self) -> None:
        """Start workers, wait until they accept connections, and retire the previous ones.

        Raises:
            OperatorError: The workers do not start.
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
            # The stop began while this forker was being started: the code that ends the others does not know it.
            forker.let_go()

        def is_ready() -> bool:
            return sum(one.is_ready and one.batch == batch for one in self._workers) >= self._settings.count

        ready, ended = asyncio.ensure_future(self._hub.wait_until(is_ready)), asyncio.ensure_future(forker.wait())
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
                raise OperatorError("the workers do not start; the cause is logged above")
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

    def _retire(self) -> None:
        """Let the workers of earlier batches end with their last session."""
        for worker in self._workers:
            self.note_ready(worker)
        retired = [one for one in self._workers if one.is_retired]
        most = max(RETIRED_MAX, 2 * self._settings.count)
        for worker in retired[: max(0, len(retired) - most)]:
            worker.channel.tell(Stop())


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
