"""telnetsd demo."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Final

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import GeneratedKey
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.audit.reading.following import follow
from telnetsd.audit.reading.row import describe, read_event
from telnetsd.cli.common import console, is_terminal
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.keys import KeyType

DEADLINE_S: Final = 60.0
READ_S: Final = 1.5
"""How long a person has to read each step."""
WIDE_COLUMNS: Final = 110
"""From this width on, the log is beside the sessions; else below them."""
_LISTENING: Final = r"listening on 127\.0\.0\.1:([0-9]+)\n"
_GUEST: Final = r"(?m)^([0-9a-z]{8}) +guest\b"
_REFRESH_PER_S: Final = 8


def demo() -> None:
    """Show a server at work, in a temporary folder that is removed again.

    An operator and a guest connect to it, and the audit log says what they do. On a terminal, it goes on until ^C.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="telnetsd-") as folder, suppress(KeyboardInterrupt):
        home = Home(Path(folder) / "home")
        _Demonstration(home).run()
        typer.echo(f"\n$ telnetsd audit verify --home {home.root}")
        subprocess.run([*_telnetsd(home), "audit", "verify"], check=False)  # noqa: S603 -- this program itself
    typer.echo(f"{folder} was removed")


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _telnetsd(home: Home) -> list[str]:
    return [sys.executable, "-P", "-m", "telnetsd", "--home", str(home.root)]


class _Screen:
    """The last lines of something, as many as there is room for.

    Args:
        title: What it is.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._text = ""
        self._is_over = False
        self._changed = threading.Condition()

    def add(self, text: str) -> None:
        """Show more text."""
        with self._changed:
            self._text += "\n".join(map(escape_controls, text.replace("\r", "").split("\n")))
            self._changed.notify_all()

    def end(self) -> None:
        """Note that nothing more will be shown."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> str:
        """Wait until a pattern has been shown so many times; return everything that has been shown.

        Raises:
            OperatorError: It does not come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._shows(pattern, count), DEADLINE_S)
            if not self._shows(pattern, count):
                last = self._text.strip().rpartition("\n")[2]
                raise OperatorError(f"the demonstration cannot go on: {self._title}: {last or 'no answer'}")
            return self._text

    def _shows(self, pattern: str, count: int) -> bool:
        return len(re.findall(pattern, self._text)) >= count

    def panel(self) -> Panel:
        """Return it in a frame."""
        return Panel(self, title=self._title, title_align="left", padding=(0, 1))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self._text.rstrip("\n").split("\n")
        room = options.height or len(lines)
        yield Text("\n".join(lines[-room:]), no_wrap=True, overflow="ellipsis")

    def __str__(self) -> str:
        return f"{self._title}\n\n{self._text.rstrip()}\n"


class _Client:
    """A real client, in a process of its own, whose screen is kept."""

    def __init__(self, screen: _Screen, prompt: str, process: "subprocess.Popen[bytes]") -> None:
        self._screen = screen
        self._prompt = prompt
        self._process = process
        self._prompts = 1
        _read_into(screen, process.stdout)

    def type(self, line: str) -> str:
        """Type a line at the prompt; return the screen after its answer."""
        self._screen.wait_for(self._prompt, self._prompts)
        self._screen.add(f"{line}\n")
        self._prompts += 1
        if self._process.stdin is not None:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        return self._screen.wait_for(self._prompt, self._prompts)


class _Demonstration:
    """A server, an operator, a guest, and the log of what they do.

    Args:
        home: A home folder that does not exist yet.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._operator = _Screen("alice, with a certificate")
        self._guest = _Screen("a guest, without one")
        self._log = _Screen("the audit log")
        self._command = ""

    def run(self) -> None:
        """Show it, until ^C on a terminal."""
        with ExitStack() as running:
            running.enter_context(suppress(KeyboardInterrupt))
            port = running.enter_context(self._serving())
            threading.Thread(target=self._follow, daemon=True).start()
            if is_terminal():
                with Live(
                    get_renderable=self._draw, console=console(), screen=True, refresh_per_second=_REFRESH_PER_S
                ):
                    self._play(running, port, READ_S)
                    self._command = f"telnetsd connect localhost:{port} --user alice --home {self._home.root}"
                    threading.Event().wait()
            else:
                self._play(running, port, 0)
        for screen in (self._operator, self._guest, self._log):
            typer.echo(f"-- {screen}")

    def _play(self, running: ExitStack, port: int, read_s: float) -> None:
        """Do one step after the other; a person gets `read_s` seconds to read each."""
        alice = self._connect(running, port, self._operator, "alice")
        alice.type("whoami")
        time.sleep(read_s)
        guest = self._connect(running, port, self._guest, "guest")
        guest.type("sessions")
        time.sleep(read_s)
        (session,) = re.findall(_GUEST, alice.type("sessions"))
        time.sleep(read_s)
        alice.type(f"kick {session}")
        self._guest.wait_for("connection to localhost closed")
        self._log.wait_for("kicked")

    def _connect(self, running: ExitStack, port: int, screen: _Screen, name: str) -> _Client:
        how = ["--guest"] if name == "guest" else ["--user", name]
        process = running.enter_context(self._process("connect", f"localhost:{port}", *how))
        return _Client(screen, f"{name}> ", process)

    @contextmanager
    def _serving(self) -> Iterator[int]:
        """Run a server with one user, and yield its port."""
        initialise(self._home, ("localhost",))
        add_user(self._home, NewUser(User("alice", ("operator",))), GeneratedKey(KeyType.EC), Grant())
        told = _Screen("the server")
        with self._process("serve", "--listen", "127.0.0.1:0") as process:
            _read_into(told, process.stdout)
            (port,) = re.findall(_LISTENING, told.wait_for(_LISTENING))
            yield int(port)

    @contextmanager
    def _process(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a verb in a session of its own: ^C is for the demonstration alone."""
        process = subprocess.Popen(  # noqa: S603 -- this program itself
            [*_telnetsd(self._home), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    def _follow(self) -> None:
        before, later = follow(self._home.audit_file, 100)
        with suppress(OperatorError, OSError):  # the folder is removed in the end
            for line in chain(before, later):
                self._add_event(line)

    def _add_event(self, line: bytes) -> None:
        row = describe(read_event(line))
        self._log.add(f"{row.time(None)} {row.outcome_letter} {row.user:<7} {row.what}\n")

    def _draw(self) -> Layout:
        whole, sessions = Layout(), Layout(ratio=3)
        sessions.split_column(Layout(self._operator.panel(), ratio=3), Layout(self._guest.panel(), ratio=2))
        both = Layout()
        both.split(sessions, Layout(self._log.panel(), ratio=2), splitter="row" if _is_wide() else "column")
        hint = f"now you, in another terminal; ^C ends this\n{self._command}" if self._command else "^C ends this"
        rows = sum(len(line) // console().width + 1 for line in hint.split("\n"))
        whole.split_column(both, Layout(Text(hint), size=rows))
        return whole


def _is_wide() -> bool:
    return console().width >= WIDE_COLUMNS


def _read_into(screen: _Screen, output: IO[bytes] | None) -> None:
    """Show what a process writes, for as long as it runs."""

    def read() -> None:
        decoder = getincrementaldecoder("utf-8")("replace")
        while output is not None and (data := os.read(output.fileno(), 4096)):
            screen.add(decoder.decode(data))
        screen.end()

    threading.Thread(target=read, daemon=True).start()
