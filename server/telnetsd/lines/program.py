"""Lines to a program on a pty: a clean environment, a process group of its own, nothing left when the line ends."""

import asyncio
import contextlib
import errno
import fcntl
import os
import pwd
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from telnetsd.lines.target import ExecTarget
from telnetsd.lines.upstream import READ_BYTES, Terminal, UpstreamError

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HANGUP_S: Final = 1.0
"""How long a program may take to leave after SIGHUP, before it is killed."""
KILL_ROUNDS: Final = 100
WRITTEN_MAX_BYTES: Final = 65536
_WINDOW: Final = struct.Struct("HHHH")
_SETUP: Final = """
import fcntl, os, sys, termios
user, group, groups, *words = sys.argv[1:]
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if user:
    os.setgroups([int(one) for one in groups.split(",")])
    os.setgid(int(group))
    os.setuid(int(user))
os.execv(words[0], words)
"""
"""What the child does: it takes the pty as its controlling terminal, becomes its user, and then the program."""


class ProgramUpstream:
    """A running program, and our end of its pty."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._is_closed = False

    async def read(self) -> bytes:
        """See Upstream."""
        while True:
            try:
                return os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                await self._wait_readable()
            except OSError as error:
                if error.errno == errno.EIO:
                    return b""  # the program has closed its end
                raise UpstreamError(str(error.strerror)) from error

    async def _wait_readable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._descriptor, _settle, ready)
        try:
            await ready
        finally:
            if not self._is_closed:
                self._loop.remove_reader(self._descriptor)

    def write(self, data: bytes) -> None:
        """See Upstream."""
        was_empty = not self._unsent
        self._unsent += data
        if was_empty and self._unsent:
            self._send()
        elif len(self._unsent) >= WRITTEN_MAX_BYTES:
            self._is_writable.clear()

    def _send(self) -> None:
        try:
            del self._unsent[: os.write(self._descriptor, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # whoever reads is told that the program is gone
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._send)
        else:
            self._loop.remove_writer(self._descriptor)
        if len(self._unsent) < WRITTEN_MAX_BYTES:
            self._is_writable.set()
        else:
            self._is_writable.clear()

    async def drain(self) -> None:
        """See Upstream."""
        await self._is_writable.wait()

    def resize(self, terminal: Terminal) -> None:
        """Tell the program of another size of its terminal (SIGWINCH)."""
        _set_size(self._descriptor, terminal)

    def send_break(self) -> bool:
        """A program has no BREAK."""
        return False

    def com_port(self, question: bytes, *, may_change: bool) -> None:
        """There is no port to control."""

    async def close(self) -> None:
        """End the program with everything that it started, and give the pty back."""
        # Whoever still waits to read must not touch the descriptor: its number is somebody else's soon.
        self._is_closed = True
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
        self._is_writable.set()
        await asyncio.to_thread(_end, self._process)


def open_program(target: ExecTarget, terminal: Terminal, environment: Mapping[str, str]) -> ProgramUpstream:
    """Start the program.

    Args:
        target: What to run, and as whom.
        terminal: The terminal that it finds.
        environment: What it is told beside TERM, PATH and HOME.
    Raises:
        OSError: It cannot be started.
    """
    ours, theirs = os.openpty()
    try:
        _set_size(theirs, terminal)
        account = pwd.getpwnam(target.run_as) if target.run_as else None
        if account is not None:
            os.fchown(theirs, account.pw_uid, -1)
        home = account.pw_dir if account is not None and Path(account.pw_dir).is_dir() else "/"
        process = subprocess.Popen(  # noqa: S603 -- the operator's own words, and no shell
            [sys.executable, "-I", "-S", "-c", _SETUP, *_who(account), *target.words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"TERM": terminal.kind, "PATH": PATH, "HOME": home, **environment},
            cwd=home,
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    return ProgramUpstream(process, ours)


def _who(account: pwd.struct_passwd | None) -> tuple[str, str, str]:
    """Return user, group and groups of an account, as the child is told them."""
    if account is None:
        return "", "", ""
    groups = ",".join(map(str, os.getgrouplist(account.pw_name, account.pw_gid)))
    return str(account.pw_uid), str(account.pw_gid), groups


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _set_size(descriptor: int, terminal: Terminal) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, _WINDOW.pack(terminal.rows, terminal.columns, 0, 0))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Hang up on the whole session of processes; whoever does not go is killed."""
    members = _members_of(process.pid)
    _signal(members, signal.SIGHUP)
    _signal(members, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(HANGUP_S)
    # A shell's jobs have process groups of their own, and some have been started since.
    for _ in range(KILL_ROUNDS):
        members = _members_of(process.pid)
        _signal(members, signal.SIGKILL)
        if not members:
            break
    process.wait()


def _members_of(session: int) -> list[int]:
    """Return the processes of a session (setsid), but those that are dead and were not waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # Behind the name, which may contain anything: state, parent, group, session.
            state, _, _, its_session, *_ = path.read_text().rpartition(")")[2].split()
            if int(its_session) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def _signal(processes: list[int], number: signal.Signals) -> None:
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)
