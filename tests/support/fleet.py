"""A fleet on this machine: servers of the real engine and real nodes, each with a home folder of its own."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from support.client import Client, connect_as
from support.machine import DEADLINE_S
from support.server import RunningServer, wait_until
from telnetsd.administration.authority.authorities import passphrase_of_environment
from telnetsd.administration.initialise import initialise
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.replication.agent_link import linked
from telnetsd.administration.replication.agent_messages import CatchUp, DescribeFleet, FleetState
from telnetsd.config.loading import load_settings
from telnetsd.files.home import Home
from telnetsd.fleet.access import load_access
from telnetsd.fleet.connection import Connection, EngineError, open_connection
from telnetsd.fleet.founding import found_fleet
from telnetsd.fleet.joining import Invited, accept, admit, fleet_section, invite, make_applicant
from telnetsd.fleet.server_program import write_engine_configuration
from telnetsd.fleet.subjects import Subjects
from telnetsd.state.fleet import Capability
from telnetsd.state.opening import open_store
from telnetsd.state.rows import RowChange

PROGRAM: Final = Path(sys.executable).parent / "nats-server"
FLEET: Final = "acme"
SUBJECTS: Final = Subjects(FLEET)
NAMES: Final = ("hq-1", "hq-2", "edge")
"""The founder, a node that may make every change, and one that may only take away."""
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with contextlib.ExitStack() as to_close:
        listeners = [to_close.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in listeners]


class EngineServer:
    """A server of the engine, as `telnetsd fleet engine` runs it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.settings = load_settings(home.config_file).fleet
        self.configuration = write_engine_configuration(home, self.settings)
        self.store = home.root / self.settings.engine.store
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home.root / "engine.log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", str(self.configuration)], stdout=log, stderr=log)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)
            self.process = None


class Fleet:
    """Servers of the engine, the home folders of the nodes, and the servers that run on them."""

    def __init__(self, homes: list[Home], engines: list[EngineServer]) -> None:
        self.homes = homes
        self.engines = engines
        self.servers: list[RunningServer] = []

    @property
    def founder(self) -> Home:
        return self.homes[0]

    def serve(self, *numbers: int) -> list[RunningServer]:
        """Start servers, of all nodes if none is named."""
        started = [RunningServer(self.homes[number]) for number in numbers or range(len(self.homes))]
        self.servers += started
        return started

    def put_right(self) -> None:
        """Stop the servers, start those of the engine that do not run, and wait until these have a leader."""
        self._stop_servers()
        stopped = [engine for engine in self.engines if engine.process is None]
        for engine in stopped:
            engine.start()
        if stopped:
            self.wait_led()

    def wait_led(self) -> None:
        """Wait until the engine takes changes."""
        wait_until(lambda: describe(self.founder).is_current, "the engine's majority")

    def _stop_servers(self) -> None:
        for server in self.servers:
            server.stop()
        self.servers.clear()

    def end(self) -> None:
        self._stop_servers()
        for engine in self.engines:
            engine.kill()

    def leader(self) -> EngineServer:
        """Return the server that leads the stream of changes."""
        name = self.ask_engine(_leader)
        return next(one for one in self.engines if one.settings.node == name)

    def ask_engine(self, ask: Callable[[Connection], Awaitable[T]], node: int = 0) -> T:
        """Ask the engine something as a node."""
        home = self.homes[node]
        with closing(open_store(home)) as state:
            access = load_access(home, load_settings(home.config_file).fleet, state.fleet.require_membership())

        async def run() -> T:
            problem: Exception | None = None
            for server in access.servers:
                try:
                    connection = await open_connection(access, server)
                except EngineError as error:
                    problem = error
                    continue
                try:
                    return await ask(connection)
                finally:
                    connection.abort()
            raise AssertionError(f"no server of the engine answers: {problem}")

        return asyncio.run(run())

    def wait_alike(self) -> None:
        """Wait until the shared tables of all nodes are alike, at the end of the stream."""
        wait_until(lambda: len({repr(content(home)) for home in self.homes}) == 1, "the databases to be alike")


async def _leader(connection: Connection) -> str:
    answer = await connection.ask(f"{SUBJECTS.api}.STREAM.INFO.{SUBJECTS.state}", timeout_s=DEADLINE_S)
    return str(json.loads(answer.data)["cluster"]["leader"])


def content(home: Home) -> tuple[int, list[RowChange]]:
    """Return the position of a node, and every shared row that it has."""
    with closing(open_store(home)) as state:
        membership = state.fleet.require_membership()
        return membership.sequence, sorted(state.replication.everything(), key=repr)


def position(home: Home) -> int:
    return content(home)[0]


def pending(home: Home) -> int:
    """Return how many changes of a node are not in the stream yet."""
    with closing(open_store(home)) as state:
        return len(state.replication.pending())


def catch_up(home: Home) -> None:
    """Let a node have every change of the stream."""
    with linked(home) as link:
        link.ask(CatchUp())


def describe(home: Home) -> FleetState:
    with linked(home) as link:
        return link.ask(DescribeFleet())


def log_in(server: RunningServer, user: str, files_of: Home) -> Client:
    """Log in to a node with the files that another node made for a user."""
    for path in files_of.users_folder.glob(f"{user}.*"):
        if files_of != server.home:
            shutil.copy(path, server.home.users_folder / path.name)
    return connect_as(server, user)


def make_homes(folder: Path) -> list[Home]:
    """Found a fleet of three nodes, all of which run a server of the engine; nothing runs yet."""
    ports = free_ports(6)
    servers = [f"tls://127.0.0.1:{port}" for port in ports[:3]]
    homes = [Home(folder / name) for name in NAMES]
    for home in homes:
        home.root.mkdir()
    initialise(homes[0], ("localhost",))
    found_fleet(homes[0], FLEET, NAMES[0], ("127.0.0.1",), by_operator())
    for number, (home, name) in enumerate(zip(homes, NAMES, strict=True)):
        if number:
            join(homes[0], home, name, (Capability.GIVE,) if name == NAMES[1] else (), ("127.0.0.1",))
        with home.config_file.open("a", encoding="utf-8") as file:
            if not number:
                listed = ", ".join(f'"{server}"' for server in servers)
                file.write(f'\n[fleet]\nname = "{FLEET}"\nnode = "{name}"\nservers = [{listed}]\n')
            routes = ", ".join(f'"127.0.0.1:{port}"' for port in ports[3:])
            file.write(f'\n[fleet.engine]\nlisten = "127.0.0.1:{ports[number]}"\n')
            file.write(f'cluster = "127.0.0.1:{ports[3 + number]}"\nroutes = [{routes}]\nmax_bytes = 400_000_000\n')
    return homes


def join(
    founder: Home, home: Home, name: str, capabilities: tuple[Capability, ...], addresses: tuple[str, ...] = ()
) -> None:
    """Let an empty home folder join a fleet."""
    invited = Invited(node=name, capabilities=capabilities, addresses=addresses)
    code = invite(founder, invited, by_operator())
    applicant = make_applicant()
    settings = load_settings(founder.config_file).fleet
    answer = admit(founder, settings, applicant.request(code), by_operator(), passphrase_of_environment)
    accept(home, name, applicant, answer, "")
    assert fleet_section(name, answer) in home.config_file.read_text()


@contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    """Run a new fleet of three nodes; every one has its first state. The nodes' servers do not run yet."""
    homes = make_homes(folder)
    fleet = Fleet(homes, [EngineServer(home) for home in homes])
    try:
        for engine in fleet.engines:
            engine.start()
        for home in homes:
            catch_up(home)
        yield fleet
    finally:
        fleet.end()


def cut(engines: list[EngineServer]) -> None:
    """Kill servers of the engine, as a power cut does."""
    for engine in engines:
        engine.kill()


def hang(engine: EngineServer) -> None:
    engine.signal(signal.SIGSTOP)


def wait_gone(home: Home, what: str = "the engine") -> None:
    """Wait until a node has noticed that the engine is gone."""
    end = time.monotonic() + DEADLINE_S
    while describe(home).server:
        assert time.monotonic() < end, f"the node does not notice that {what} is gone"
