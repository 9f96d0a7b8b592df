"""The lifecycle of a running server: signals, clocks, maintenance and shutdown; `server` assembles its parts."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

from telnetsd.administration.installation.change import is_ending
from telnetsd.audit.trail import Trail
from telnetsd.daemon.meter import Meter
from telnetsd.daemon.monitoring import Health
from telnetsd.daemon.reload import Reloader
from telnetsd.daemon.systemd import ServiceManager
from telnetsd.daemon.workers.pool import WATCH_INTERVAL_S, WorkerPool
from telnetsd.events.reason import ReloadReason
from telnetsd.lines.directory import LocalDirectory
from telnetsd.rpc.messages import Announce

UPKEEP_INTERVAL_S: Final = 60.0

logger = logging.getLogger(__name__)


class Keeper(Protocol):
    """Maintains a part of the installation."""

    async def keep_up(self) -> None:
        """Do what is due; this is called once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a running server."""

    workers: WorkerPool
    directory: LocalDirectory
    reloader: Reloader
    keepers: tuple[Keeper, ...]
    trail: Trail
    meter: Meter
    health: Health


async def is_done_before(work: Coroutine[object, object, None], stopping: asyncio.Event) -> bool:
    """Run `work`; cancel it and return False if the server has to stop first."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        for one in (working, waiting):
            one.cancel()
        await asyncio.wait({working, waiting})


async def take_connections(parts: Parts, manager: ServiceManager, signals: "Signals", drain_timeout_s: float) -> None:
    """Serve until a signal stops the server, and then let the open sessions end."""
    async with _upkeep((parts.reloader, *parts.keepers)):
        parts.health.takes_connections = True
        await _look_after(parts, manager, signals.reloading, until=signals.stopping)
        parts.health.takes_connections = False
        manager.stopping(drain_timeout_s)
        drained = asyncio.Event()
        draining = asyncio.ensure_future(_drain(parts.workers, signals.hurrying, drain_timeout_s, drained))
        await _look_after(parts, manager, signals.reloading, until=drained)
        await draining
        is_ending.set()


class Signals:
    """The signals: SIGHUP reloads the server; SIGTERM and SIGINT stop it; a second one ends the wait for sessions."""

    def __init__(self) -> None:
        self.stopping, self.hurrying, self.reloading = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self.reloading.set)

    def _end(self) -> None:
        (self.hurrying if self.stopping.is_set() else self.stopping).set()


async def _drain(workers: WorkerPool, hurrying: asyncio.Event, timeout_s: float, drained: asyncio.Event) -> None:
    """Let open sessions end by themselves; set `drained` when they have, or when the time is over."""
    if timeout_s > 0:
        workers.announce(
            Announce(f"the server is stopping: this session ends in {timeout_s:.0f} seconds", is_lasting=True)
        )
    draining, waiting = asyncio.ensure_future(workers.drain()), asyncio.ensure_future(hurrying.wait())
    try:
        await asyncio.wait({draining, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if draining.done():
            draining.result()
    except Exception:
        logger.exception("waiting for open sessions failed; they are ended")
    finally:
        draining.cancel()
        waiting.cancel()
        drained.set()


async def _look_after(
    parts: Parts, manager: ServiceManager, reloading: asyncio.Event, *, until: asyncio.Event
) -> None:
    """Check what may have changed, until `until` is set."""
    told = ""
    while not until.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until.wait(), WATCH_INTERVAL_S)
        if parts.workers.is_heard:
            parts.health.turn()
        manager.alive()
        if reloading.is_set():
            reloading.clear()
            parts.reloader.reload_in_background(ReloadReason.SIGNAL, "a signal")
        try:
            parts.reloader.tick()
            await parts.workers.tick()
            told = ""
        except Exception as error:
            # Whatever the error is, everything is checked again in a moment; the operator reads it once.
            if repr(error) != told:
                told = repr(error)
                logger.exception("the server could not check its state; it continues and retries")


@contextlib.asynccontextmanager
async def _upkeep(keepers: tuple[Keeper, ...]) -> AsyncIterator[None]:
    """Maintain the installation in the background."""
    is_over, told = asyncio.Event(), ""

    async def keep_up() -> None:
        nonlocal told
        while not is_over.is_set():
            for keeper in keepers:
                try:
                    await keeper.keep_up()
                except Exception as error:
                    # One keeper's fault does not end the work of the others; the operator reads it once.
                    if repr(error) != told:
                        told = repr(error)
                        logger.exception("an upkeep of the installation failed; it is tried again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), UPKEEP_INTERVAL_S)

    task = asyncio.get_running_loop().create_task(keep_up())
    try:
        yield
    finally:
        # Work that has begun in a thread is finished and recorded before the server says that it stopped.
        is_over.set()
        await task
