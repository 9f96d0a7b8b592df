"""One running server: sockets, signals, clocks."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from typing import Final

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
from telnetsd.config import AuditSettings, FailurePolicy, parse_address
from telnetsd.control import ControlServer
from telnetsd.daemon.audit_keeping import AuditKeeper, shipping
from telnetsd.daemon.generation import Generations
from telnetsd.home import Home, alone
from telnetsd.listener import open_listener, shown_address
from telnetsd.session.registry import SessionRegistry
from telnetsd.state.state import State

STOP_TIMEOUT_S: Final = 5.0
GIL_SWITCH_S: Final = 0.0005
"""How long the event loop may keep the audit thread from the interpreter; Python's default is ten times that."""
GC_THRESHOLDS: Final = (20_000, 20, 50)
WATCH_INTERVAL_S: Final = 0.25
"""How often clocks, state and files are looked at: a session ends within a second of what ends it."""
UPKEEP_INTERVAL_S: Final = 60.0
_SPARE_DESCRIPTORS: Final = 64

logger = logging.getLogger(__name__)


def serve(home: Home, listen: str | None, ask: AskPassphrase = passphrase_of_environment) -> None:
    """Run a server in the foreground until a signal ends it.

    Args:
        home: The installation.
        listen: HOST:PORT instead of the configured one, or None.
        ask: For the passphrase of the CA's key, where it is encrypted; must not wait for a person.
    Raises:
        OperatorError: It cannot start.
    """
    if home.state_file.exists():
        recover(home)
    material = load_material(home)
    address = parse_address(listen or material.settings.listener.listen)
    sys.setswitchinterval(GIL_SWITCH_S)
    _spare_the_collector()
    _make_room(material.settings.listener.max_connections)
    with (
        alone(home),
        closing(State(home.state_file)) as state,
        closing(open_log(home, material.settings.audit)) as log,
    ):
        uvloop.run(_serve(home, material, address, state, log, ask))


async def _serve(
    home: Home, material: Material, address: tuple[str, int], state: State, log: AuditLog, ask: AskPassphrase
) -> None:
    settings = material.settings.audit
    registry = SessionRegistry()
    sink = GroupCommit(log, settings, lambda is_out: _announce(registry, settings, is_out=is_out))
    trail = make_trail(sink)
    async with shipping(home, settings, trail):
        try:
            generations = Generations(home, material, state, trail, ask, registry)
            await _listen(home, address, material, generations, AuditKeeper(home, settings, trail), trail)
        finally:
            await sink.close()


async def _accept(generations: Generations, listener: socket.socket, line_name: str) -> asyncio.Server:
    """Take connections: for a prompt, or straight to a line."""
    accept = partial(generations.connections.accept, line_name)
    return await asyncio.get_running_loop().create_server(accept, sock=listener)


async def _listen(
    home: Home,
    address: tuple[str, int],
    material: Material,
    generations: Generations,
    keeper: AuditKeeper,
    trail: Trail,
) -> None:
    """Take connections until a signal ends it."""
    stopping, reloading = asyncio.Event(), asyncio.Event()
    _catch_signals(stopping, reloading)
    reload = partial(generations.reload, ReloadReason.OPERATOR)
    control = ControlServer(home.control_socket, generations.registry, reload)
    try:
        listener = open_listener(*address)
        await control.start()
        where = shown_address(listener.getsockname())
        await trail.record(Action.SERVER_STARTED, ServerReason.STARTED, f"the server listens on {where}")
        await generations.tell_of_crls()
        accepting = [await _accept(generations, listener, "")]
        straight = [line for line in material.lines if line.settings.listen]
        sockets = [(open_listener(*parse_address(line.settings.listen)), line.name) for line in straight]
        accepting += [await _accept(generations, one, name) for one, name in sockets]
        print(f"listening on {where}", file=sys.stderr, flush=True)
        async with _upkeep(generations, keeper):
            await _until(stopping, reloading, generations)
            for one in accepting:
                one.close()
            is_ending.set()
            await generations.connections.stop(STOP_TIMEOUT_S)
            await generations.switchboard.wait_closed()
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


async def _until(stopping: asyncio.Event, reloading: asyncio.Event, generations: Generations) -> None:
    """Look at what may have changed, until the server is to stop."""
    told = ""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), WATCH_INTERVAL_S)
        if reloading.is_set():
            reloading.clear()
            generations.reload_in_background(ReloadReason.SIGNAL, "a signal")
        try:
            await generations.tick()
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


def _announce(registry: SessionRegistry, settings: AuditSettings, *, is_out: bool) -> None:
    """Tell everybody that the audit log cannot be written, or that it can again."""
    if not is_out:
        registry.announce("the audit log is written again", is_lasting=False)
    elif settings.on_audit_failure is FailurePolicy.CONTINUE:
        text = "the audit log cannot be written: what is done here is recorded later, or not at all"
        registry.announce(text, is_lasting=True)
    else:
        text = "the audit log cannot be written: logins and commands are refused until it can"
        registry.announce(text, is_lasting=True)


def _spare_the_collector() -> None:
    """Let the garbage collector look seldom, and never at what was loaded: sessions leave few cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _make_room(connections: int) -> None:
    """Raise the limit of open files to what the connections need, as far as the system lets us."""
    needed = connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        print(
            f"warning: the limit of {hard} open files is too low for max_connections = {connections}; "
            f"raise it to {needed} (ulimit -n)",
            file=sys.stderr,
        )
    if soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
