"""The composition root: sockets, signals, clocks, and what belongs to one running server."""

import asyncio
import contextlib
import resource
import signal
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import uvloop

from telnetsd.administration.material import Material, load_material
from telnetsd.audit.event import Action
from telnetsd.audit.log import AuditLog
from telnetsd.audit.record import Trail, make_trail
from telnetsd.audit.sink import GroupCommit
from telnetsd.commands.caller import Services
from telnetsd.config import parse_address
from telnetsd.connection import Connections, Stages
from telnetsd.control import ControlServer
from telnetsd.home import Home
from telnetsd.identity.identify import Identifier
from telnetsd.listener import open_listener, shown_address
from telnetsd.session.registry import CLOCK_INTERVAL_S, SessionRegistry
from telnetsd.state import State
from telnetsd.tls.engine import make_server_context

STOP_TIMEOUT_S: Final = 5.0
GIL_SWITCH_S: Final = 0.0005
"""How long the event loop may keep the audit thread from the interpreter; Python's default is ten times that."""
_SPARE_DESCRIPTORS: Final = 64


class ServerReason(StrEnum):
    """Why a server started or stopped."""

    STARTED = "started"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class _Server:
    """What one running server consists of."""

    connections: Connections
    registry: SessionRegistry
    control: ControlServer
    trail: Trail


def serve(home: Home, listen: str | None) -> None:
    """Run a server in the foreground until a signal ends it.

    Args:
        home: The installation.
        listen: HOST:PORT instead of the configured one, or None.
    Raises:
        OperatorError: It cannot start.
    """
    material = load_material(home)
    address = parse_address(listen or material.settings.listener.listen)
    sys.setswitchinterval(GIL_SWITCH_S)
    _make_room(material.settings.listener.max_connections)
    state, log = State(home.state_file), AuditLog(home.audit_file)
    try:
        uvloop.run(_serve(home, material, address, state, log))
    finally:
        log.close()
        state.close()


async def _serve(home: Home, material: Material, address: tuple[str, int], state: State, log: AuditLog) -> None:
    stopping = _catch_signals()
    sink = GroupCommit(log)
    server = _compose(home, material, state, make_trail(sink))
    try:
        listener = open_listener(*address)
        await server.control.start()
        where = shown_address(listener.getsockname())
        await server.trail.record(Action.SERVER_STARTED, ServerReason.STARTED, f"the server listens on {where}")
        accepting = await asyncio.get_running_loop().create_server(server.connections.accept, sock=listener)
        print(f"listening on {where}", file=sys.stderr, flush=True)
        await _until(stopping, server.registry)
        accepting.close()
        await server.connections.stop(STOP_TIMEOUT_S)
        await server.trail.record(Action.SERVER_STOPPED, ServerReason.SIGNAL, "the server stopped")
        print("stopped", file=sys.stderr, flush=True)
    finally:
        await server.control.stop()
        await sink.close()


def _compose(home: Home, material: Material, state: State, trail: Trail) -> _Server:
    registry = SessionRegistry()
    settings = material.settings
    stages = Stages(
        context=make_server_context(list(material.server_chain), material.server_key, material.trust.certificates),
        identifier=Identifier(
            material.trust, material.entries, state, require_certificate=settings.identity.require_certificate
        ),
        services=Services(registry, material.table, settings.session.motd, home.audit_file),
        settings=settings,
        registry=registry,
        trail=trail,
    )
    return _Server(Connections(stages), registry, ControlServer(home.control_socket, registry), trail)


def _catch_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _until(stopping: asyncio.Event, registry: SessionRegistry) -> None:
    """Look at the sessions' clocks until the server is to stop."""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), CLOCK_INTERVAL_S)
        registry.check_clocks()


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
