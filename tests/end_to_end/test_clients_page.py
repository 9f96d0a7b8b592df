"""docs/clients.md as a person uses it: every command and program on the page, against a real server.

The names and ports are those of the page, on a network of the test's own. A comment before a block says what it is:
`before`: preparation; `operator`: for the operator; `service`: runs beside the rest; `program`: ends by itself, and
prints this. Any other block is a client at a terminal: it logs in as alice, runs a command, and quits.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.command_line import done
from support.lines import line
from support.machine import DEADLINE_S
from support.pty_program import PtyProgram
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text()
PART = re.compile(
    r"^## (?P<title>[^\n]+)$"
    r"|^Save as `(?P<name>[^`]+)`:\n\n```\w+\n(?P<content>.*?)^```$"
    r"|(?:^<!-- (?P<mark>before|operator|service|program: (?P<said>.+?)) -->\n)?^```sh\n(?P<commands>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TITLES = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
UNTRIED = {"Windows", "macOS"}
WITH_COMPILERS = {"Go", "Java"}
PARTS = [
    pytest.param(title, marks=pytest.mark.long) if title in WITH_COMPILERS else title
    for title in TITLES
    if title not in UNTRIED
]


@dataclass
class Place:
    """A network, a folder with what alice was given, and a server there."""

    folder: Path
    enter: list[str]
    server: RunningServer
    exports: str = ""
    running: ExitStack = field(default_factory=ExitStack)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/games"
        own = {"HOME": str(self.folder), "GO111MODULE": "off", "TELNETSD_HOME": str(self.server.home.root)}
        return {**os.environ, **own, "PATH": path, "TERM": "xterm"}

    def shell(self, commands: str) -> list[str]:
        return [*self.enter, "sh", "-ec", f"cd '{self.folder}'\n{self.exports}{commands}"]

    def run(self, commands: str) -> str:
        finished = subprocess.run(
            self.shell(commands),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=4 * DEADLINE_S,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def prepare(self, commands: str) -> None:
        self.run(commands)
        self.exports += "".join(f"{one}\n" for one in commands.splitlines() if one.startswith("export "))

    def ask_operator(self, commands: str) -> None:
        self.run(commands)
        devices = self.server.home.users_folder / "alice"
        for path in devices.iterdir():
            shutil.copy(path, self.folder)

    def serve(self, commands: str) -> None:
        service = subprocess.Popen(self.shell(f"exec {commands}"), env=self.environment, stderr=subprocess.DEVNULL)
        self.running.callback(service.wait)
        self.running.callback(service.kill)
        (name,) = re.findall(r"\S+\.conf", commands)
        (port,) = re.findall(r"^accept = .*:(\d+)$", (self.folder / name).read_text(), re.MULTILINE)
        listens = f"0100007F:{int(port):04X} 00000000:0000 0A"
        wait_until(lambda: listens in self.run("cat /proc/self/net/tcp"), "stunnel")

    def use(self, command: str) -> None:
        """Log in with a client, run a command, and quit, at a terminal."""
        before = self.quits()
        client = PtyProgram(self.shell(f"exec {command}"), self.folder, size=(80, 24), **self.environment)
        try:
            client.wait_shown("type help to see what you may do here\n")
            client.type(b"whoami\r")
            client.wait_shown("user         alice\n")
            client.type(b"quit\r")
            wait_until(lambda: self.quits() == before + 1, "the end of the session")
        finally:
            client.close()

    def quits(self) -> int:
        ends = [one for one in self.server.events() if action_of(one) == "session-ended"]
        return sum((get(one, "user.name"), get(one, "event.reason")) == ("alice", "quit") for one in ends)


def plot(descriptor: int) -> None:
    """Be a plotter that says what it is."""
    received = b""
    with contextlib.suppress(OSError):
        while not received.endswith(b"*IDN?\n"):
            received += os.read(descriptor, 100)
        os.write(descriptor, b"ACME plotter\n")


@pytest.fixture
def plotter() -> Iterator[str]:
    """The device of a plotter's serial port."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    thread = threading.Thread(target=plot, args=(ours,))
    thread.start()
    yield os.ttyname(theirs)
    os.close(theirs)
    thread.join()
    os.close(ours)


@pytest.fixture
def place(tmp_path: Path, plotter: str) -> Iterator[Place]:
    home, folder = Home(tmp_path / "home"), tmp_path / "alice"
    initialise(home, ("console.example",))
    (tmp_path / "password").write_text("secret\n")
    done(home, "user", "add", "alice", "--role", "operator", "--password-file", tmp_path / "password")
    home.config_file.write_text(line("plotter", f"serial://{plotter}", server_name="plotter.lines.example"))
    folder.mkdir()
    files = user_files(home, "alice")
    for path in (files.certificate, files.key, files.pkcs12, home.ca_certificate):
        shutil.copy(path, folder)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost console.example\n")
    is_root = os.geteuid() == 0
    # Some clients look up no address on a machine that has only 127.0.0.1 (AI_ADDRCONFIG, RFC 3493).
    inside = (
        f'ip link set lo up && ip addr add 192.0.2.1/32 dev lo && mount --bind "{hosts}" /etc/hosts'
        " && echo ready && exec sleep infinity"
    )
    unshare = ["unshare", "--mount", "--net", *([] if is_root else ["--map-root-user"]), "sh", "-c", inside]
    with subprocess.Popen(unshare, stdout=subprocess.PIPE, text=True) as network:
        assert network.stdout is not None
        assert network.stdout.readline() == "ready\n"
        user = [] if is_root else ["--user", "--preserve-credentials"]
        enter = ["nsenter", "--target", str(network.pid), "--mount", "--net", *user]
        server = RunningServer(home, wrapper=enter, listen="127.0.0.1:992")
        made = Place(folder, enter, server)
        with made.running:
            yield made
        assert server.stop() == ""
        network.kill()


def parts_of(title: str) -> Iterator[re.Match[str]]:
    is_inside = False
    for part in PART.finditer(PAGE):
        is_inside = part["title"] == title if part["title"] else is_inside
        if is_inside and not part["title"]:
            yield part


def test_every_block_of_the_page_is_used() -> None:
    blocks = len(re.findall(r"^```\w+$", PAGE, re.MULTILINE))
    assert blocks == sum(len(list(parts_of(title))) for title in TITLES) > 20
    assert all(not list(parts_of(title)) for title in UNTRIED)


@pytest.mark.parametrize("title", PARTS)
def test_every_command_of_a_section_works(title: str, place: Place) -> None:
    for part in parts_of(title):
        if part["name"]:
            (place.folder / part["name"]).write_text(part["content"])
        elif part["said"]:
            assert part["said"] in place.run(part["commands"])
        else:
            uses = {"before": place.prepare, "operator": place.ask_operator, "service": place.serve}
            uses.get(part["mark"], place.use)(part["commands"])
