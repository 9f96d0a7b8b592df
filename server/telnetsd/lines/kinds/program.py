"""Lines to a program on a pty: a clean environment, and nothing left of the program when the line ends."""

import fcntl
import os
import pwd
import shlex
import shutil
import signal
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telnetsd.lines.kinds.descriptor import DescriptorStream
from telnetsd.lines.kinds.kind import LineKind, TargetText
from telnetsd.programs.running import PATH, ProgramStart, SupervisedProgram, start_program
from telnetsd.telnet.line_discipline import END_OF_INPUT
from telnetsd.telnet.terminal import Terminal

_WINDOW: Final = struct.Struct("HHHH")


class ProgramUpstream:
    """A running program, and our end of its pty."""

    def __init__(self, program: SupervisedProgram, descriptor: int) -> None:
        self._program = program
        self._descriptor = descriptor
        self._stream = DescriptorStream(descriptor)

    async def require_started(self) -> None:
        """Wait until the program runs; if it does not start, close the pty.

        Raises:
            OSError: The program cannot be started.
        """
        try:
            await self._program.require_started()
        except BaseException:
            self._close_pty()
            raise

    async def read(self) -> bytes:
        """See Upstream."""
        return await self._stream.read()

    def write(self, data: bytes) -> None:
        """See Upstream."""
        self._stream.write(data)

    async def drain(self) -> None:
        """See Upstream."""
        await self._stream.drain()

    def local_echo(self, keys: bytes) -> bytes:  # noqa: ARG002 -- see Upstream
        """Return nothing: what is at the other end echoes, or is not meant to."""
        return b""

    def end_input(self) -> None:
        """Type ^D, which ends the input of a program that reads lines."""
        self._stream.write(END_OF_INPUT)

    def resize(self, terminal: Terminal) -> None:
        """Notify the program of a new size of its terminal (SIGWINCH)."""
        _set_size(self._descriptor, terminal)

    def send_break(self) -> bool:
        """Return False: a program has no BREAK."""
        return False

    def com_port(self, question: bytes, *, may_change: bool) -> None:
        """Return no answer: there is no port to control."""

    def overruns(self) -> int:
        """Return none: the sender waits until its bytes are read."""
        return 0

    async def close(self) -> None:
        """End the program and everything that it started, and close the pty."""
        self._close_pty()
        await self._program.end(signal.SIGHUP)

    def _close_pty(self) -> None:
        self._stream.let_go()
        os.close(self._descriptor)


def open_program(target: "ExecTarget", terminal: Terminal, environment: Mapping[str, str]) -> ProgramUpstream:
    """Start the program.

    Args:
        target: What to run, and as which user.
        terminal: The terminal that it gets.
        environment: Environment variables in addition to TERM, PATH and HOME.
    Raises:
        OSError: Its reaper cannot be started; `require_started` reports whether the program runs.
    """
    ours, theirs = os.openpty()
    try:
        _set_size(theirs, terminal)
        account = pwd.getpwnam(target.run_as) if target.run_as else None
        if account is not None:
            os.fchown(theirs, account.pw_uid, -1)
        home = account.pw_dir if account is not None and Path(account.pw_dir).is_dir() else "/"
        told = {"TERM": terminal.kind, "PATH": PATH, "HOME": home, **environment}
        start = ProgramStart(target.words, told, home, is_tty=True, account=account)
        program = start_program(start, stdin=theirs, stdout=theirs, stderr=theirs)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    return ProgramUpstream(program, ours)


@dataclass(frozen=True, slots=True)
class ExecTarget:
    """See Target; the program with its arguments (no shell), and the user that it runs as (None: the server's)."""

    words: tuple[str, ...]
    run_as: str | None

    async def open(self, terminal: Terminal, environment: Mapping[str, str]) -> ProgramUpstream:
        """See Target."""
        program = open_program(self, terminal, environment)
        await program.require_started()
        return program


def _parse(text: TargetText) -> ExecTarget:
    run_as = text.settings.run_as
    words = tuple(shlex.split(text.rest))
    if not words:
        raise ValueError("no program in exec:")
    program = shutil.which(words[0])
    if program is None:
        raise ValueError(f"program {words[0]!r} not found or not executable")
    if run_as:
        try:
            pwd.getpwnam(run_as)
        except KeyError:
            raise ValueError(f"no user {run_as!r} on this machine") from None
        if os.geteuid() != 0:
            raise ValueError("run_as requires a server that runs as root")
    return ExecTarget((program, *words[1:]), run_as or None)


def _set_size(descriptor: int, terminal: Terminal) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, _WINDOW.pack(terminal.rows, terminal.columns, 0, 0))


KIND: Final = LineKind(
    name="exec",
    form="exec:PROGRAM ARGUMENTS",
    summary="a program on a pty, without a shell",
    parse=_parse,
    keys=frozenset({"run_as"}),
    starts_afresh=True,
    has_window=True,
)
