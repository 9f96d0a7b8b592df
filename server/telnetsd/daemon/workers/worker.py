"""One worker: takes connections and has sessions; for everything of which there is one it asks the first process."""

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
from typing import Any, Final

import msgspec
import uvloop

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.enrolment.worker import close_desk
from telnetsd.administration.installation.change import is_ending
from telnetsd.administration.installation.generation import Material, load_material
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import Settings
from telnetsd.control.server import BEHIND_MAX_BYTES
from telnetsd.daemon.workers.every_session import EverySession
from telnetsd.daemon.workers.limits import SharedLimits
from telnetsd.daemon.workers.pool import STOP_TIMEOUT_S, Listeners, accept_on
from telnetsd.daemon.workers.process import Serving
from telnetsd.daemon.workers.remote_sink import RemoteSink
from telnetsd.daemon.workers.rlimits import GIL_SWITCH_S, make_room
from telnetsd.files.home import Home
from telnetsd.lines.remote import RemoteSwitchboard
from telnetsd.rpc.channel import Channel, open_channel
from telnetsd.session.registry import SessionRegistry
from telnetsd.state.state import State
from telnetsd.tls.engine import ServerContext

WATCH_INTERVAL_S: Final = 0.25
"""How often the clocks and the state are looked at."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a worker works: see `nursery.Plan`."""

    home: Home
    hub: Path
    count: int
    generation: int
    reloads: int
    listeners: Listeners


class Worker:
    """What the first process asks and tells a worker.

    Args:
        workplace: Where it works.
        channel: To the first process.
        serving: What it serves with.
        sink: Where its events go.
    """

    def __init__(self, workplace: Workplace, channel: Channel, serving: Serving, sink: RemoteSink) -> None:
        self._workplace = workplace
        self._channel = channel
        self._serving = serving
        self._sink = sink
        self._is_loading = asyncio.Lock()
        self._accepting: list[asyncio.Server] = []
        self._is_retired = False
        self._watches: dict[int, Callable[[], None] | None] = {}
        """What ends each watch; None for one that has not begun."""
        self._ending = asyncio.Event()
        registry = serving.registry
        channel.answers = {
            "rows": lambda _: registry.rows(),
            "kick": self._kick,
            "tell-others": lambda told: registry.tell_others(*told),
            "reload": self._reload,
            "watch": self._watch,
        }
        channel.listeners |= {
            "announce": lambda told: registry.announce(told[0], is_lasting=told[1]),
            "retire": lambda _: self._retire(),
            "stop": lambda _: self._ending.set(),
            "unwatch": self._unwatch,
        }
        channel.on_closed = self._lose
        self._limits = SharedLimits(serving.connections.admission, channel)

    async def work(self) -> None:
        """Take connections until there is nothing to do any more."""
        reloads, settings = await self._channel.ask("hello", [os.getpid(), self._workplace.generation])
        if reloads != self._workplace.reloads:
            # What the nursery had loaded is of before: a certificate may have been taken back since.
            await self._reload(settings)
        self._accepting = await accept_on(self._serving, self._workplace.listeners)
        if self._is_retired:
            self._stop_accepting()
        self._channel.tell("ready")
        await self._until_end()
        self._stop_accepting()
        is_ending.set()
        await self._serving.connections.stop(STOP_TIMEOUT_S)
        await asyncio.to_thread(close_desk)
        self._channel.close()

    async def _until_end(self) -> None:
        told = ""
        while not self._ending.is_set() and not (self._is_retired and self._serving.connections.is_empty):
            self._channel.tell("alive")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), WATCH_INTERVAL_S)
            try:
                await self._serving.tick()
                told = ""
            except Exception as error:
                if repr(error) != told:
                    told = repr(error)
                    logger.exception("a worker could not look at its state; it goes on, and tries again")

    def _retire(self) -> None:
        self._is_retired = True
        self._stop_accepting()

    def _stop_accepting(self) -> None:
        for one in self._accepting:
            one.close()
        self._accepting = []

    def _lose(self) -> None:
        """Note that the first process has ended: nothing can be recorded, so nothing goes on."""
        self._sink.give_up()
        self._ending.set()

    async def _reload(self, told: object) -> None:
        """Load everything anew but the configuration: what the file says now may be what the server has refused."""
        settings = msgspec.convert(told, Settings)
        async with self._is_loading:
            before = self._serving.material.trust.crls
            material = await asyncio.to_thread(load_material, self._workplace.home, before, settings)
            await self._serving.adopt(material)

    async def _kick(self, told: Any) -> bool:  # noqa: ANN401 -- what a channel carries
        session_id, by = told
        if not await self._serving.registry.matching(session_id):
            return False
        await self._serving.registry.kick(session_id, by)
        return True

    async def _watch(self, payload: Any) -> bool:  # noqa: ANN401 -- what a channel carries
        session_id, by, number = payload

        def show(data: bytes) -> None:
            if self._channel.unsent_bytes > BEHIND_MAX_BYTES:
                self._unwatch(number)
                self._channel.tell("shown", [number, b""])
            else:
                self._channel.tell("shown", [number, data])

        self._watches[number] = None
        try:
            stop = await self._serving.registry.watch(session_id, by, show)
        except KeyError:
            self._unwatch(number)
            return False
        if number not in self._watches:
            stop()  # nobody waits for it any more
            return False
        self._watches[number] = stop
        return True

    def _unwatch(self, number: int) -> None:
        stop = self._watches.pop(number, None)
        if stop is not None:
            stop()


def run_worker(workplace: Workplace, material: Material, context: ServerContext, ask: AskPassphrase) -> None:
    """Be a worker, until the first process ends it.

    Raises:
        OperatorError: It cannot start.
    """
    sys.setswitchinterval(GIL_SWITCH_S)
    make_room(material.settings.listener.max_connections)
    with closing(State(workplace.home.state_file)) as state:
        uvloop.run(_work(workplace, material, context, state, ask))


async def _work(
    workplace: Workplace, material: Material, context: ServerContext, state: State, ask: AskPassphrase
) -> None:
    _leave_signals_to_the_first_process()
    try:
        channel = await open_channel(workplace.hub)
    except OSError:
        return  # the server has ended meanwhile
    registry = SessionRegistry()
    sink = RemoteSink(channel)
    serving = Serving(
        workplace.home,
        material,
        context,
        state,
        make_trail(sink),
        ask,
        registry,
        EverySession(channel, registry),
        RemoteSwitchboard(channel, workplace.hub),
    )
    await Worker(workplace, channel, serving, sink).work()


def _leave_signals_to_the_first_process() -> None:
    # The loop has its own way of handling them, and would end on an interrupt.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _nothing)


def _nothing() -> None:
    pass
