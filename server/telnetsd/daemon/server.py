"""One running server: its supervisor, with sockets, signals, clocks, and everything that exists only once."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal

import uvloop

from telnetsd.administration.authority.authorities import AskPassphrase, passphrase_of_environment
from telnetsd.administration.enrolment.worker import stop_enrolment
from telnetsd.administration.installation.audit_log import open_log
from telnetsd.administration.installation.change import recover
from telnetsd.administration.installation.generation import Generation, load_generation
from telnetsd.audit.log import AuditLog
from telnetsd.audit.sink import GroupCommit
from telnetsd.audit.trail import Trail, make_trail
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import AuditSettings, EndpointSettings, Settings
from telnetsd.config.values import AUTO, FailurePolicy
from telnetsd.control.server import ControlServer
from telnetsd.daemon.aftermath import LastRun, close_sessions, look_back, vouch_for_recordings
from telnetsd.daemon.audit_keeping import AuditKeeper, shipping
from telnetsd.daemon.expiry_keeping import ExpiryKeeper
from telnetsd.daemon.fleet_keeping import fetch_state, fleet_agent, freshness_of
from telnetsd.daemon.index_keeping import AUDIT_LOG, RECORDINGS, IndexKeeper
from telnetsd.daemon.lifecycle import Parts, Signals, is_done_before, take_connections
from telnetsd.daemon.meter import GenerationCollector, Meter
from telnetsd.daemon.monitoring import Health, monitoring
from telnetsd.daemon.privileges import become, require_owner
from telnetsd.daemon.recording_keeping import RecordingKeeper
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
from telnetsd.lines.context import LineContext
from telnetsd.lines.directory import LocalDirectory
from telnetsd.lines.hosting import LineHost
from telnetsd.lines.table import LineTable
from telnetsd.listener.endpoint import Endpoint, prompt_endpoints
from telnetsd.listener.sockets import keep_alive, open_endpoint, require_address, shown_address
from telnetsd.notify.notifier import notifying
from telnetsd.rpc.messages import Announce
from telnetsd.session.registry import SessionRegistry
from telnetsd.state.opening import open_store
from telnetsd.state.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line says about a server.

    Attributes:
        listen: HOST:PORT instead of the configured address, or None.
        workers: How many processes serve (or one for each core), instead of the configured number, or None.
        ask: Asks for the passphrase of the CA's key, if it is encrypted; must not wait for a person.
        worker_options: The options with which workers find that passphrase: see `telnetsd workers`.
    """

    listen: str | None = None
    workers: int | Literal["auto"] | None = None
    ask: AskPassphrase = passphrase_of_environment
    worker_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What a server starts from; `sockets` are those of the endpoints."""

    home: Home
    ask: AskPassphrase
    supervisor: WorkerSettings
    endpoints: list[Endpoint]
    sockets: list[socket.socket]
    manager: ServiceManager
    last: LastRun


def serve(home: Home, options: Options) -> None:
    """Run a server in the foreground until a signal ends it.

    Raises:
        OperatorError: The server cannot start.
    """
    manager, settings = ServiceManager(), load_settings(home.config_file)
    endpoints = find_endpoints(settings, options.listen)
    require_owner(home, settings.listener.user)
    with contextlib.ExitStack() as to_close:
        sockets = _sockets_of_root(to_close, endpoints, settings)
        generation = _load(home)
        _prepare_process(generation.settings)
        to_close.enter_context(alone(home))
        sockets = sockets or _open_sockets(to_close, endpoints, settings)
        supervisor = _fork_forker(to_close, home, options, generation, list(zip(sockets, endpoints, strict=True)))
        state = to_close.enter_context(closing(open_store(home, create=True)))
        start = _Start(
            home=home,
            ask=options.ask,
            supervisor=supervisor,
            endpoints=endpoints,
            sockets=sockets,
            manager=manager,
            last=look_back(home),
        )
        log = to_close.enter_context(closing(open_log(home, generation.settings.audit)))
        uvloop.run(_serve(start, generation, state, log))


def _sockets_of_root(
    to_close: contextlib.ExitStack, endpoints: list[Endpoint], settings: Settings
) -> list[socket.socket]:
    """Return the sockets that systemd passes, or that only root can open, and give up root; else an empty list."""
    sockets = take_sockets([one.settings.listen for one in endpoints])
    for one in sockets:
        to_close.enter_context(one)
        keep_alive(one, settings.listener.keepalive_s)
    if settings.listener.user:
        # Only root may use ports below 1024; nothing else is done as root.
        sockets = sockets or _open_sockets(to_close, endpoints, settings)
        become(settings.listener.user)
    return sockets


def _load(home: Home) -> Generation:
    require_only_ours(home)
    fetch_state(home)
    if home.state_file.exists():
        recover(home)
    return load_generation(home)


def _prepare_process(settings: Settings) -> None:
    sys.setswitchinterval(GIL_SWITCH_S)
    make_room(settings.listener.max_connections)
    spare_the_collector()


def _fork_forker(
    to_close: contextlib.ExitStack,
    home: Home,
    options: Options,
    generation: Generation,
    listening: list[tuple[socket.socket, Endpoint]],
) -> WorkerSettings:
    """Fork the process that forks workers, if there is to be more than one; the caller has no thread yet."""
    count, forker = _count_workers(options, generation.settings), None
    if count > 1:
        forker = fork_first_forker(make_plan(home, count, listening), generation, options.ask)
        to_close.callback(forker.let_go)
    return WorkerSettings(count, forker, options.worker_options)


async def _serve(start: _Start, generation: Generation, state: Store, log: AuditLog) -> None:
    settings = generation.settings.audit
    pools: list[WorkerPool] = []
    meter = Meter()
    sink = GroupCommit(log, settings, lambda is_out: _announce(pools, settings, is_out=is_out), meter.committed)
    health = Health(lambda: sink.is_writable)
    trail = make_trail(sink)
    async with (
        shipping(start.home, settings, trail),
        notifying(start.home, generation.settings.notify, trail),
        fleet_agent(start.home),
    ):
        try:
            directory = _make_directory(start, generation, trail, partial(_tell_operators, pools))
            workers = _make_workers(start, generation, state, sink, directory, trail)
            pools.append(workers)
            reloader = Reloader(
                start.home, generation, trail, ask=start.ask, adopt=workers.adopt, manager=start.manager
            )
            meter.registry.register(GenerationCollector(lambda: reloader.generation, sink, freshness_of(start.home)))
            with monitoring(generation.settings.metrics.listen, meter.registry, health):
                parts = Parts(
                    workers=workers,
                    directory=directory,
                    reloader=reloader,
                    keepers=(
                        AuditKeeper(start.home, settings, trail),
                        RecordingKeeper(start.home.recordings_folder, lambda: reloader.generation.lines, trail),
                        IndexKeeper(start.home, RECORDINGS),
                        IndexKeeper(start.home, AUDIT_LOG),
                        ExpiryKeeper(start.home, trail),
                    ),
                    trail=trail,
                    meter=meter,
                    health=health,
                )
                await _listen(start, generation, parts)
        finally:
            await sink.close()


def _count_workers(options: Options, settings: Settings) -> int:
    wanted = options.workers or settings.listener.workers
    return len(os.sched_getaffinity(0)) if wanted == AUTO else wanted


def _make_directory(
    start: _Start, generation: Generation, trail: Trail, tell_operators: Callable[[str], None]
) -> LocalDirectory:
    context = LineContext(
        trail=trail,
        tell_operators=tell_operators,
        recordings=start.home.recordings_folder,
        continues_unrecorded=generation.settings.audit.on_audit_failure is FailurePolicy.CONTINUE,
        was_killed=start.last.was_killed,
    )
    return LocalDirectory(context)


def _make_workers(
    start: _Start, generation: Generation, state: Store, sink: GroupCommit, directory: LocalDirectory, trail: Trail
) -> WorkerPool:
    if start.supervisor.count > 1:
        host = LineHost(generation.lines, directory, trail)
        return Supervisor(start.home, start.supervisor, generation, sink, host)
    registry = SessionRegistry()
    process = ServingProcess(
        start.home,
        generation,
        context=make_context(generation),
        state=state,
        trail=trail,
        ask=start.ask,
        registry=registry,
        sessions=registry,
        directory=directory,
    )
    return OneProcess(process, directory)


def find_endpoints(settings: Settings, listen: str | None) -> list[Endpoint]:
    """Return the addresses that accept connections: those with a prompt first, and then those of the lines.

    Raises:
        OperatorError: One of them is not an address.
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


async def _listen(start: _Start, generation: Generation, parts: Parts) -> None:
    """Accept connections until a signal stops the server, and then let the open ones end."""
    signals, workers, reloader, trail = Signals(), parts.workers, parts.reloader, parts.trail
    reload = partial(reloader.reload, ReloadReason.OPERATOR)
    control = ControlServer(
        start.home.control_socket,
        workers.sessions,
        lambda: parts.directory.rows(list(reloader.generation.lines)),
        reload=reload,
        counts=parts.meter.counts,
    )
    try:
        listeners = list(zip(start.sockets, start.endpoints, strict=True))
        await control.start()
        await close_sessions(start.last, trail)
        where = ", ".join(shown_address(one.getsockname()) for one, endpoint in listeners if not endpoint.line)
        await trail.record(ServerStarted(message=f"the server listens on {where}"))
        await reloader.tell_of_crls()
        try:
            if await is_done_before(workers.start(listeners), signals.stopping):
                print(f"listening on {where}", file=sys.stderr, flush=True)
                start.manager.ready(f"listening on {where}")
                looking_back = asyncio.ensure_future(_look_back(start, generation.lines, trail))
                await take_connections(parts, start.manager, signals, generation.settings.listener.drain_timeout_s)
                await looking_back
        finally:
            await workers.stop()
        # Work that has begun in a thread is finished, or abandoned, before the server says that it stopped.
        await reloader.finish()
        await asyncio.to_thread(stop_enrolment)
        await trail.record(ServerStopped(message="the server stopped"))
        print("stopped", file=sys.stderr, flush=True)
    finally:
        await control.stop()


async def _look_back(start: _Start, lines: LineTable, trail: Trail) -> None:
    if start.last.was_killed:
        await vouch_for_recordings(start.home, start.last, lines, trail)


def _tell_operators(pools: list[WorkerPool], text: str) -> None:
    for workers in pools:
        workers.announce(Announce(text, is_for_operators=True))


def _announce(pools: list[WorkerPool], settings: AuditSettings, *, is_out: bool) -> None:
    """Tell every session that the audit log cannot be written, or that it can be written again."""
    text = "the audit log cannot be written: logins and commands are refused until it can"
    if not is_out:
        text = "the audit log can be written again"
    elif settings.on_audit_failure is FailurePolicy.CONTINUE:
        text = "the audit log cannot be written: what is done here is recorded later, or not at all"
    for workers in pools:
        workers.announce(Announce(text, is_lasting=is_out))
