"""One running server: its first process, with sockets, signals, clocks, and everything of which there is one."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import uvloop

from telnetsd.administration.authorities import AskPassphrase, passphrase_of_environment
from telnetsd.administration.change import is_ending, recover
from telnetsd.administration.material import Material, load_material
from telnetsd.administration.office import close_desk
from telnetsd.audit.event import Action
from telnetsd.audit.log import AuditLog, open_log
from telnetsd.audit.reason import ReloadReason, ServerReason
from telnetsd.audit.record import Trail, make_trail
from telnetsd.audit.sink import GroupCommit
from telnetsd.config import AUTO, AuditSettings, EndpointSettings, FailurePolicy
from telnetsd.control import ControlServer
from telnetsd.daemon.audit_keeping import AuditKeeper, shipping
from telnetsd.daemon.crew import Crew, CrewSettings
from telnetsd.daemon.generation import Generations
from telnetsd.daemon.process import GIL_SWITCH_S, make_room, spare_the_collector
from telnetsd.daemon.service import OneProcess, Service
from telnetsd.daemon.serving import Serving, make_context
from telnetsd.home import Home, alone
from telnetsd.lines.switchboard import LocalSwitchboard
from telnetsd.listener.endpoint import Endpoint, prompt_endpoints
from telnetsd.listener.sockets import open_endpoint, require_address, shown_address
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


def serve(home: Home, options: Options) -> None:
    """Run a server in the foreground until a signal ends it.

    Raises:
        OperatorError: It cannot start.
    """
    if home.state_file.exists():
        recover(home)
    material = load_material(home)
    endpoints = find_endpoints(material, options.listen)
    sys.setswitchinterval(GIL_SWITCH_S)
    make_room(material.settings.listener.max_connections)
    spare_the_collector()
    with (
        alone(home),
        closing(State(home.state_file)) as state,
        closing(open_log(home, material.settings.audit)) as log,
    ):
        uvloop.run(_serve(home, material, endpoints, state, log, options))


async def _serve(
    home: Home, material: Material, endpoints: list[Endpoint], state: State, log: AuditLog, options: Options
) -> None:
    settings = material.settings.audit
    services: list[Service] = []
    sink = GroupCommit(log, settings, lambda is_out: _announce(services, settings, is_out=is_out))
    trail = make_trail(sink)
    async with shipping(home, settings, trail):
        try:
            service = _make_service(home, material, state, sink, trail, options)
            services.append(service)
            generations = Generations(home, material, trail, options.ask, service.adopt)
            await _listen(home, endpoints, material, service, generations, AuditKeeper(home, settings, trail), trail)
        finally:
            await sink.close()


def _make_service(
    home: Home, material: Material, state: State, sink: GroupCommit, trail: Trail, options: Options
) -> Service:
    wanted = options.workers or material.settings.listener.workers
    count = len(os.sched_getaffinity(0)) if wanted == AUTO else wanted
    if count > 1:
        return Crew(home, CrewSettings(count, options.worker_options), material, sink, trail)
    registry, switchboard = SessionRegistry(), LocalSwitchboard()
    context = make_context(material)
    serving = Serving(home, material, context, state, trail, options.ask, registry, registry, switchboard)
    return OneProcess(serving, switchboard)


def find_endpoints(material: Material, listen: str | None) -> list[Endpoint]:
    """Return the addresses that connections come in by: those with a prompt first, and then those of the lines.

    Raises:
        OperatorError: One is no address.
    """
    straight = [line for line in material.lines if line.settings.listen]
    to_lines = [Endpoint(EndpointSettings(listen=line.settings.listen), line.name) for line in straight]
    endpoints = [*prompt_endpoints(material.settings.listener, listen), *to_lines]
    for one in endpoints:
        require_address(one.settings.listen)
    return endpoints


async def _listen(
    home: Home,
    endpoints: list[Endpoint],
    material: Material,
    service: Service,
    generations: Generations,
    keeper: AuditKeeper,
    trail: Trail,
) -> None:
    """Take connections until a signal ends it."""
    stopping, reloading = asyncio.Event(), asyncio.Event()
    _catch_signals(stopping, reloading)
    reload = partial(generations.reload, ReloadReason.OPERATOR)
    control = ControlServer(home.control_socket, service.sessions, reload)
    try:
        keepalive_s = material.settings.listener.keepalive_s
        listeners = [(open_endpoint(one.settings.listen, keepalive_s), one) for one in endpoints]
        await control.start()
        where = ", ".join(shown_address(one.getsockname()) for one, endpoint in listeners if not endpoint.line)
        await trail.record(Action.SERVER_STARTED, ServerReason.STARTED, f"the server listens on {where}")
        await generations.tell_of_crls()
        try:
            await service.start(listeners)
            print(f"listening on {where}", file=sys.stderr, flush=True)
            async with _upkeep(generations, keeper):
                await _until(stopping, reloading, generations, service)
                is_ending.set()
        finally:
            await service.stop()
        # What has begun in a thread is finished, or given up, before the server says that it stopped.
        await generations.finish()
        await asyncio.to_thread(close_desk)
        await trail.record(Action.SERVER_STOPPED, ServerReason.SIGNAL, "the server stopped")
        print("stopped", file=sys.stderr, flush=True)
    finally:
        await control.stop()


def _catch_signals(stopping: asyncio.Event, reloading: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.set)


async def _until(
    stopping: asyncio.Event, reloading: asyncio.Event, generations: Generations, service: Service
) -> None:
    """Look at what may have changed, until the server is to stop."""
    told = ""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), WATCH_INTERVAL_S)
        if reloading.is_set():
            reloading.clear()
            generations.reload_in_background(ReloadReason.SIGNAL, "a signal")
        try:
            generations.tick()
            await service.tick()
            told = ""
        except Exception as error:
            # Whatever it is, everybody is looked at again in a moment; the operator reads it once.
            if repr(error) != told:
                told = repr(error)
                logger.exception("the server could not look at its state; it goes on, and tries again")


@contextlib.asynccontextmanager
async def _upkeep(generations: Generations, keeper: AuditKeeper) -> AsyncIterator[None]:
    """Keep the installation up in the background."""
    is_over = asyncio.Event()

    async def keep_up() -> None:
        while not is_over.is_set():
            await generations.keep_up()
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


def _announce(services: list[Service], settings: AuditSettings, *, is_out: bool) -> None:
    """Tell everybody that the audit log cannot be written, or that it can again."""
    text = "the audit log cannot be written: logins and commands are refused until it can"
    if not is_out:
        text = "the audit log is written again"
    elif settings.on_audit_failure is FailurePolicy.CONTINUE:
        text = "the audit log cannot be written: what is done here is recorded later, or not at all"
    for service in services:
        service.announce(text, is_lasting=is_out)
