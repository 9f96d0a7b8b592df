"""One worker: accepts connections and has sessions; asks the supervisor for everything that exists only once."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import uvloop

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.enrolment.worker import stop_enrolment
from telnetsd.administration.installation.change import is_ending
from telnetsd.administration.installation.generation import Generation, load_generation
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import Settings
from telnetsd.control.server import BEHIND_MAX_BYTES
from telnetsd.daemon.workers.limits import SharedLimits
from telnetsd.daemon.workers.pool import STOP_TIMEOUT_S, WATCH_INTERVAL_S, Listeners, accept_on
from telnetsd.daemon.workers.process import ServingProcess
from telnetsd.daemon.workers.remote_sessions import RemoteSessions
from telnetsd.daemon.workers.remote_sink import RemoteSink
from telnetsd.daemon.workers.rlimits import GIL_SWITCH_S, make_room
from telnetsd.files.home import Home
from telnetsd.lines.remote import RemoteDirectory
from telnetsd.rpc.channel import Channel, open_channel
from telnetsd.rpc.messages import (
    TO_WORKER,
    Alive,
    Announce,
    Hello,
    KickSession,
    ListSessions,
    NotifyOthers,
    Ready,
    Reload,
    Retire,
    ScreenShown,
    Stop,
    StopWatching,
    WatchSession,
)
from telnetsd.session.registry import SessionRegistry
from telnetsd.state.opening import open_store
from telnetsd.state.store import Store
from telnetsd.tls.engine import ServerContext

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStart:
    """What a worker starts with: see `rpc.messages.Plan`."""

    home: Home
    hub: Path
    count: int
    batch: int
    reloads: int
    listeners: Listeners


class Worker:
    """Handles what the supervisor asks and tells a worker.

    Args:
        start: What it starts with.
        channel: To the supervisor.
        process: What it serves with.
        sink: Where its events go.
    """

    def __init__(self, start: WorkerStart, channel: Channel, process: ServingProcess, sink: RemoteSink) -> None:
        self._start = start
        self._channel = channel
        self._process = process
        self._sink = sink
        self._is_loading = asyncio.Lock()
        self._accepting: list[asyncio.Server] = []
        self._is_retired = False
        self._watches: dict[int, Callable[[], None] | None] = {}
        """The function that ends each watch; None for one that has not begun."""
        self._ending = asyncio.Event()
        registry = process.registry
        channel.answer(ListSessions, lambda _: registry.rows())
        channel.answer(KickSession, self._kick)
        channel.answer(NotifyOthers, lambda asked: registry.tell_others(asked.session_id, asked.text))
        channel.answer(Reload, lambda asked: self._reload(asked.settings))
        channel.answer(WatchSession, self._watch)
        channel.hear(Announce, registry.announce)
        channel.hear(Retire, lambda _: self._retire())
        channel.hear(Stop, lambda _: self._ending.set())
        channel.hear(StopWatching, lambda news: self._stop_watching(news.watch))
        channel.on_closed = self._lose
        self._limits = SharedLimits(process.acceptor.admission, channel)

    async def work(self) -> None:
        """Accept connections until there is nothing left to do."""
        welcome = await self._channel.ask(Hello(os.getpid(), self._start.batch))
        if welcome.reloads != self._start.reloads:
            # What the forker had loaded is older than that: a certificate may have been revoked since.
            await self._reload(welcome.settings)
        self._accepting = await accept_on(self._process, self._start.listeners)
        if self._is_retired:
            self._stop_accepting()
        self._channel.tell(Ready())
        await self._until_end()
        self._stop_accepting()
        is_ending.set()
        await self._process.acceptor.stop(STOP_TIMEOUT_S)
        await asyncio.to_thread(stop_enrolment)
        self._channel.close()

    async def _until_end(self) -> None:
        told = ""
        while not self._ending.is_set() and not (self._is_retired and self._process.acceptor.is_empty):
            self._channel.tell(Alive())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), WATCH_INTERVAL_S)
            try:
                await self._process.tick()
                told = ""
            except Exception as error:
                if repr(error) != told:
                    told = repr(error)
                    logger.exception("a worker could not check its state; it continues and retries")

    def _retire(self) -> None:
        self._is_retired = True
        self._stop_accepting()

    def _stop_accepting(self) -> None:
        for one in self._accepting:
            one.close()
        self._accepting = []

    def _lose(self) -> None:
        """Note that the supervisor has ended: nothing can be recorded, so the worker stops."""
        self._sink.give_up()
        self._ending.set()

    async def _reload(self, settings: Settings) -> None:
        """Load everything again except the configuration: the server may have refused what the file says now."""
        async with self._is_loading:
            before = self._process.generation.trust.crls
            generation = await asyncio.to_thread(load_generation, self._start.home, before, settings)
            await self._process.adopt(generation)

    async def _kick(self, asked: KickSession) -> bool:
        if not await self._process.registry.matching(asked.session_id):
            return False
        await self._process.registry.kick(asked.session_id, asked.by)
        return True

    async def _watch(self, asked: WatchSession) -> bool:
        number = asked.watch

        def show(data: bytes) -> None:
            if self._channel.unsent_bytes > BEHIND_MAX_BYTES:
                self._stop_watching(number)
                self._channel.tell(ScreenShown(number, b""))
            else:
                self._channel.tell(ScreenShown(number, data))

        self._watches[number] = None
        try:
            stop = await self._process.registry.watch(asked.session_id, asked.by, show)
        except KeyError:
            self._stop_watching(number)
            return False
        if number not in self._watches:
            stop()  # the watch was stopped meanwhile
            return False
        self._watches[number] = stop
        return True

    def _stop_watching(self, number: int) -> None:
        stop = self._watches.pop(number, None)
        if stop is not None:
            stop()


def run_worker(start: WorkerStart, generation: Generation, context: ServerContext, ask: AskPassphrase) -> None:
    """Run as a worker until the supervisor ends it.

    Raises:
        OperatorError: The worker cannot start.
    """
    sys.setswitchinterval(GIL_SWITCH_S)
    make_room(generation.settings.listener.max_connections)
    with closing(open_store(start.home)) as state:
        uvloop.run(_work(start, generation, context, state, ask))


async def _work(
    start: WorkerStart, generation: Generation, context: ServerContext, state: Store, ask: AskPassphrase
) -> None:
    _leave_signals_to_the_first_process()
    try:
        channel = await open_channel(start.hub, TO_WORKER)
    except OSError:
        return  # the server has ended meanwhile
    registry = SessionRegistry()
    sink = RemoteSink(channel)
    process = ServingProcess(
        start.home,
        generation,
        context=context,
        state=state,
        trail=make_trail(sink),
        ask=ask,
        registry=registry,
        sessions=RemoteSessions(channel, registry),
        directory=RemoteDirectory(channel, start.hub),
    )
    await Worker(start, channel, process, sink).work()


def _leave_signals_to_the_first_process() -> None:
    # The event loop handles signals in its own way, and would end on an interrupt.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _nothing)


def _nothing() -> None:
    pass
