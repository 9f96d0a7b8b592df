"""The operator's programs, each below a reaper that leaves nothing of it behind; see `reaper`.

A program gets no descriptors of the server except its own input and output. Under systemd, with `Delegate=yes`, each
program also has its own cgroup, through which processes that run as another user are ended too.
"""

import asyncio
import contextlib
import errno
import functools
import itertools
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telnetsd.programs import reaper

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HANGUP_S: Final = 1.0
"""How long a program may take to exit when asked, before it is killed."""
_LINE_MAX_BYTES: Final = 64
_CGROUP_NUMBERS: Final = itertools.count(1)
_CGROUP_MOUNTS: Final = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


@dataclass(frozen=True, slots=True)
class ProgramStart:
    """What to start, and how.

    Attributes:
        words: The program's path, and its arguments.
        environment: Its complete environment.
        folder: The folder in which it starts.
        is_tty: Whether its standard input is a terminal that becomes its controlling terminal.
        account: The account that it runs as; None for the server's user.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: str = "/"
    is_tty: bool = False
    account: pwd.struct_passwd | None = None


class SupervisedProgram:
    """A running program, with its reaper."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._heard = b""
        self._status: int | None = None

    async def wait(self) -> int:
        """Wait until the program itself has ended; return its exit status, negative for the signal that ended it."""
        while self._status is None:
            word, value = await self._hear()
            if word == "exit":
                self._status = int(value)
            elif not word:
                self._status = -signal.SIGKILL
        return self._status

    async def end(self, by: signal.Signals) -> None:
        """Ask it to exit by a signal, and a moment later kill it with everything that it started; nothing is left."""
        if self._status is None:
            with contextlib.suppress(OSError, TimeoutError):
                self._control.send(bytes([by]))
                await asyncio.wait_for(self.wait(), HANGUP_S)
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        while (await self._hear())[0]:
            pass
        self.abandon()
        await asyncio.to_thread(self._process.wait)

    def abandon(self) -> None:
        """Release the program: the reaper ends everything."""
        self._control.close()

    async def require_started(self) -> None:
        """Wait until the program runs; if it does not start, leave nothing of it behind.

        Raises:
            OSError: The program cannot be started.
        """
        try:
            word, value = await self._hear()
        except BaseException:
            self.abandon()
            raise
        if word != "started":
            self.abandon()
            await asyncio.to_thread(self._process.wait)
            number = int(value) if word == "failed" else errno.EIO
            raise OSError(number, os.strerror(number))

    async def _hear(self) -> tuple[str, str]:
        """Return the reaper's next word with its value; both are empty when the reaper has ended."""
        while b"\n" not in self._heard:
            try:
                said = await self._loop.sock_recv(self._control, _LINE_MAX_BYTES)
            except OSError:
                said = b""
            if not said:
                return "", ""
            self._heard += said
        line, _, self._heard = self._heard.partition(b"\n")
        word, _, value = line.decode("ascii").partition(" ")
        return word, value


def start_program(start: ProgramStart, *, stdin: int, stdout: int, stderr: int) -> SupervisedProgram:
    """Start the reaper of a program; `require_started` reports whether the program itself runs.

    Args:
        start: What to start, and how.
        stdin: Its standard input: a descriptor, which the caller keeps, or subprocess.DEVNULL.
        stdout: Its standard output.
        stderr: Its standard error, or subprocess.STDOUT.
    Raises:
        OSError: The reaper cannot be started.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        process = subprocess.Popen(  # noqa: S603 -- the operator's own command, and no shell
            [
                *(sys.executable, "-I", "-S", reaper.__file__, str(theirs.fileno())),
                *("tty" if start.is_tty else "pipe", *_who(start.account), _make_cgroup(), *start.words),
            ],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(start.environment),
            cwd=start.folder,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return SupervisedProgram(process, ours)


def _who(account: pwd.struct_passwd | None) -> tuple[str, str, str]:
    """Return the user, group and groups of an account, in the form that the reaper expects."""
    if account is None:
        return "", "", ""
    groups = ",".join(map(str, os.getgrouplist(account.pw_name, account.pw_gid)))
    return str(account.pw_uid), str(account.pw_gid), groups


def _make_cgroup() -> str:
    """Make a cgroup for a program, and return its folder; empty if none is delegated to the server."""
    delegated = _delegated_cgroup()
    if delegated is None:
        return ""
    made = delegated / f"program-{os.getpid()}-{next(_CGROUP_NUMBERS)}"
    try:
        made.mkdir()
    except OSError:
        return ""
    return str(made)


@functools.cache
def _delegated_cgroup() -> Path | None:
    """Return the cgroup that systemd has delegated to the server (`Delegate=yes`), or None."""
    if "INVOCATION_ID" not in os.environ:
        return None
    own = [line for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines() if line[:3] == "0::"]
    for mount in _CGROUP_MOUNTS if own else ():
        folder = Path(mount + own[0][3:])
        if (folder / "cgroup.kill").exists() and os.access(folder, os.W_OK):
            return folder
    return None
