"""One running server: its first process, with sockets, signals, clocks, and everything of which there is one."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import uvloop

from telnetsd.administration.authority.authorities import AskPassphrase, passphrase_of_environment
from telnetsd.administration.enrolment.worker import stop_enrolment
from telnetsd.administration.installation.audit_log import open_log
from telnetsd.administration.installation.change import is_ending, recover
from telnetsd.administration.installation.generation import Generation, load_generation
from telnetsd.audit.log import AuditLog
from telnetsd.audit.sink import GroupCommit
from telnetsd.audit.trail import Trail, make_trail
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import AUTO, AuditSettings, EndpointSettings, FailurePolicy, Settings
from telnetsd.control.server import ControlServer
from telnetsd.daemon.aftermath import LastRun, close_sessions, look_back, vouch_for_recordings
from telnetsd.daemon.audit_keeping import AuditKeeper, shipping
from telnetsd.daemon.meter import GenerationCollector, Meter
from telnetsd.daemon.monitoring import Health, monitoring
from telnetsd.daemon.privileges import become, require_owner
from telnetsd.daemon.reload import Reloader
from telnetsd.daemon.systemd import ServiceManager, take_sockets
from telnetsd.daemon.workers.forker_process import fork_first_forker
from telnetsd.daemon.workers.pool import OneProcess, WorkerPool
from telnetsd.daemon.workers.process import ServingProcess, make_context
from telnetsd.daemon.workers.rlimits import GIL_SWITCH_S, make_room, spare_the_collector
from telnetsd.daemon.workers.supervisor import Supervisor, WorkerSettings, make_plan
from telnetsd.events.of_the_server import ServerStarted, ServerStopped
from telnetsd.events.reason import ReloadReason
from telnetsd.files.home import Home, alone, require_only_ours
from telnetsd.lines.directory import LocalDirectory
from telnetsd.listener.endpoint import Endpoint, prompt_endpoints
from telnetsd.listener.sockets import keep_alive, open_endpoint, require_address, shown_address
from telnetsd.session.registry import SessionRegistry
from telnetsd.state.state import State

WATCH_INTERVAL_S: Final = 0.25
"""How often clocks, state and files are looked at: a session ends within a second of what ends it."""
UPKEEP_INTERVAL_S: Final = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line says of a server.

    Attributes:
        listen: HOST:PORT instead of the configured address, or None.
        workers: How many processes serve (or one for each core), instead of the configured number, or None.
        ask: For the passphrase of the CA's key, where it is encrypted; must not wait for a person.
        worker_options: The options by which workers find that passphrase: see `telnetsd workers`.
    """

    listen: str | None = None
    workers: int | Literal["auto"] | None = None
    ask: AskPassphrase = passphrase_of_environment
    worker_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Start:
    """What a server starts from; `sockets` are those of the endpoints."""

    home: Home
    ask: AskPassphrase
    supervisor: WorkerSettings
    endpoints: list[Endpoint]
    sockets: list[socket.socket]
    manager: ServiceManager
    last: LastRun


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a running server is made of."""

    service: WorkerPool
    reloader: Reloader
    keeper: AuditKeeper
    trail: Trail
    meter: Meter
    health: Health


def serve(home: Home, options: Options) -> None:
    """Run a server in the foreground until a signal ends it.

    Raises:
        OperatorError: It cannot start.
    """
    manager, settings = ServiceManager(), load_settings(home.config_file)
    endpoints = find_endpoints(settings, options.listen)
    require_owner(home, settings.listener.user)
    with contextlib.ExitStack() as to_close:
        sockets = take_sockets([one.settings.listen for one in endpoints])
        for one in sockets:
            to_close.enter_context(one)
            keep_alive(one, settings.listener.keepalive_s)
        if settings.listener.user:
            # Root alone may have ports below 1024; nothing else is done as root.
            sockets = sockets or _open_sockets(to_close, endpoints, settings)
            become(settings.listener.user)
        require_only_ours(home)
        if home.state_file.exists():
            recover(home)
        generation = load_generation(home)
        sys.setswitchinterval(GIL_SWITCH_S)
        make_room(generation.settings.listener.max_connections)
        spare_the_collector()
        to_close.enter_context(alone(home))
        sockets = sockets or _open_sockets(to_close, endpoints, settings)
        count = _count_workers(options, generation.settings)
        forker = None
        if count > 1:
            plan = make_plan(home, count, list(zip(sockets, endpoints, strict=True)))
            forker = fork_first_forker(plan, generation, options.ask)
            to_close.callback(forker.let_go)
        supervisor = WorkerSettings(count, forker, options.worker_options)
        state = to_close.enter_context(closing(State(home.state_file)))
        last = look_back(home)
        log = to_close.enter_context(closing(open_log(home, generation.settings.audit)))
        uvloop.run(
            _serve(_Start(home, options.ask, supervisor, endpoints, sockets, manager, last), generation, state, log)
        )


async def _serve(start: _Start, generation: Generation, state: State, log: AuditLog) -> None:
    settings = generation.settings.audit
    services: list[WorkerPool] = []
    meter = Meter()
    sink = GroupCommit(log, settings, lambda is_out: _announce(services, settings, is_out=is_out), meter.committed)
    health = Health(lambda: sink.is_writable)
    trail = make_trail(sink)
    async with shipping(start.home, settings, trail):
        try:
            service = _make_service(start, generation, state, sink, trail)
            services.append(service)
            reloader = Reloader(start.home, generation, trail, start.ask, service.adopt, start.manager)
            meter.registry.register(GenerationCollector(lambda: reloader.generation, sink))
            with monitoring(generation.settings.metrics.listen, meter.registry, health):
                parts = _Parts(service, reloader, AuditKeeper(start.home, settings, trail), trail, meter, health)
                await _listen(start, generation, parts)
        finally:
            await sink.close()


def _count_workers(options: Options, settings: Settings) -> int:
    wanted = options.workers or settings.listener.workers
    return len(os.sched_getaffinity(0)) if wanted == AUTO else wanted


def _make_service(start: _Start, generation: Generation, state: State, sink: GroupCommit, trail: Trail) -> WorkerPool:
    if start.supervisor.count > 1:
        return Supervisor(start.home, start.supervisor, generation, sink, trail)
    registry, directory = SessionRegistry(), LocalDirectory()
    context = make_context(generation)
    process = ServingProcess(start.home, generation, context, state, trail, start.ask, registry, registry, directory)
    return OneProcess(process, directory)


def find_endpoints(settings: Settings, listen: str | None) -> list[Endpoint]:
    """Return the addresses that connections come in by: those with a prompt first, and then those of the lines.

    Raises:
        OperatorError: One is no address.
    """
    to_lines = [Endpoint(EndpointSettings(listen=line.listen), line.name) for line in settings.line if line.listen]
    endpoints = [*prompt_endpoints(settings.listener, listen), *to_lines]
    for one in endpoints:
        require_address(one.settings.listen)
    return endpoints


def _open_sockets(
    to_close: contextlib.ExitStack, endpoints: list[Endpoint], settings: Settings
) -> list[socket.socket]:
    keepalive_s = settings.listener.keepalive_s
    return [to_close.enter_context(open_endpoint(one.settings.listen, keepalive_s)) for one in endpoints]


async def _listen(start: _Start, generation: Generation, parts: _Parts) -> None:
    """Take connections until a signal ends it, and then let those that are open end."""
    signals, service, reloader, trail = _Signals(), parts.service, parts.reloader, parts.trail
    reload = partial(reloader.reload, ReloadReason.OPERATOR)
    control = ControlServer(start.home.control_socket, service.sessions, reload, parts.meter.counts)
    try:
        listeners = list(zip(start.sockets, start.endpoints, strict=True))
        await control.start()
        await close_sessions(start.last, trail)
        where = ", ".join(shown_address(one.getsockname()) for one, endpoint in listeners if not endpoint.line)
        await trail.record(ServerStarted(message=f"the server listens on {where}"))
        await reloader.tell_of_crls()
        try:
            if await _is_done_before(service.start(listeners), signals.stopping):
                print(f"listening on {where}", file=sys.stderr, flush=True)
                start.manager.ready(f"listening on {where}")
                looking_back = asyncio.ensure_future(_look_back(start, trail))
                await _take_connections(parts, start.manager, signals, generation.settings.listener.drain_timeout_s)
                await looking_back
        finally:
            await service.stop()
        # What has begun in a thread is finished, or given up, before the server says that it stopped.
        await reloader.finish()
        await asyncio.to_thread(stop_enrolment)
        await trail.record(ServerStopped(message="the server stopped"))
        print("stopped", file=sys.stderr, flush=True)
    finally:
        await control.stop()


async def _look_back(start: _Start, trail: Trail) -> None:
    if start.last.was_killed:
        await vouch_for_recordings(start.home, start.last, trail)


async def _is_done_before(work: Coroutine[object, object, None], stopping: asyncio.Event) -> bool:
    """Do something; give it up, and return False, when the server is to stop meanwhile."""
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


async def _take_connections(
    parts: _Parts, manager: ServiceManager, signals: "_Signals", drain_timeout_s: float
) -> None:
    """Serve until a signal ends it, and then let those who are in end."""
    async with _upkeep(parts.reloader, parts.keeper):
        parts.health.takes_connections = True
        await _look_after(parts, manager, signals.reloading, until=signals.stopping)
        parts.health.takes_connections = False
        manager.stopping(drain_timeout_s)
        drained = asyncio.Event()
        draining = asyncio.ensure_future(_drain(parts.service, signals.hurrying, drain_timeout_s, drained))
        await _look_after(parts, manager, signals.reloading, until=drained)
        await draining
        is_ending.set()


class _Signals:
    """What signals want of the server: SIGHUP a reload; SIGTERM and SIGINT the end, and a second one to hurry."""

    def __init__(self) -> None:
        self.stopping, self.hurrying, self.reloading = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self.reloading.set)

    def _end(self) -> None:
        (self.hurrying if self.stopping.is_set() else self.stopping).set()


async def _drain(service: WorkerPool, hurrying: asyncio.Event, timeout_s: float, drained: asyncio.Event) -> None:
    """Let open sessions end by themselves; set `drained` when they have, or when there is no more time."""
    if timeout_s > 0:
        service.announce(
            f"the server is being stopped: this session ends in {timeout_s:.0f} seconds", is_lasting=True
        )
    draining, waiting = asyncio.ensure_future(service.drain()), asyncio.ensure_future(hurrying.wait())
    try:
        await asyncio.wait({draining, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if draining.done():
            draining.result()
    except Exception:
        logger.exception("open sessions could not be waited for; they are ended")
    finally:
        draining.cancel()
        waiting.cancel()
        drained.set()


async def _look_after(
    parts: _Parts, manager: ServiceManager, reloading: asyncio.Event, *, until: asyncio.Event
) -> None:
    """Look at what may have changed, until something is so."""
    told = ""
    while not until.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until.wait(), WATCH_INTERVAL_S)
        if parts.service.is_heard:
            parts.health.turn()
        manager.alive()
        if reloading.is_set():
            reloading.clear()
            parts.reloader.reload_in_background(ReloadReason.SIGNAL, "a signal")
        try:
            parts.reloader.tick()
            await parts.service.tick()
            told = ""
        except Exception as error:
            # Whatever it is, everybody is looked at again in a moment; the operator reads it once.
            if repr(error) != told:
                told = repr(error)
                logger.exception("the server could not look at its state; it goes on, and tries again")


@contextlib.asynccontextmanager
async def _upkeep(reloader: Reloader, keeper: AuditKeeper) -> AsyncIterator[None]:
    """Keep the installation up in the background."""
    is_over = asyncio.Event()

    async def keep_up() -> None:
        while not is_over.is_set():
            await reloader.keep_up()
            await keeper.keep_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), UPKEEP_INTERVAL_S)

    task = asyncio.get_running_loop().create_task(keep_up())
    try:
        yield
    finally:
        # What has begun in a thread is finished, and told to the log, before the server says that it stopped.
        is_over.set()
        await task


def _announce(services: list[WorkerPool], settings: AuditSettings, *, is_out: bool) -> None:
    """Tell everybody that the audit log cannot be written, or that it can again."""
    text = "the audit log cannot be written: logins and commands are refused until it can"
    if not is_out:
        text = "the audit log is written again"
    elif settings.on_audit_failure is FailurePolicy.CONTINUE:
        text = "the audit log cannot be written: what is done here is recorded later, or not at all"
    for service in services:
        service.announce(text, is_lasting=is_out)
