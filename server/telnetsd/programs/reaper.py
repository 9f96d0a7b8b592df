"""A program's reaper: it starts the program, and on release ends it with everything that the program started.

It is a separate process, which imports nothing from telnetsd, between the server and each of the operator's programs.
As a child subreaper (prctl(2)) it becomes the parent of every descendant whose own parent has died. This includes a
descendant that has forked twice and called setsid, so none of them escapes. The reaper lives until the last of them
is gone.

On its control socket it reports, one per line: `started`, `failed ERRNO` (the program was not started), `exit STATUS`
(negative: the signal). A byte that it receives there is the number of a signal: the reaper sends that signal to ask
the program to exit. When the other end is closed, the reaper kills everything. This also happens when the server has
died.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import sys
import termios
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ROUND_S = 0.01
"""How long after a round of killing the reaper looks for processes that were started meanwhile."""
VAIN_ROUNDS_MAX = 200


def main(arguments: list[str]) -> None:
    """Start one program, and end with it.

    Args:
        arguments: The number of the control socket's descriptor; `tty` if standard input is a terminal that becomes
            the program's own, otherwise `pipe`; the user, group and groups that it runs as, or empty; the cgroup
            that it runs in, or empty; and the program's path and arguments.
    """
    control, kind, user, group, groups, cgroup, *words = arguments
    server = socket.socket(fileno=int(control))
    server.set_inheritable(False)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        child = start(words, is_tty=kind == "tty", account=(user, group, groups), cgroup=cgroup, server=server)
        if child:
            supervise(child, server, waking)
    finally:
        # Whatever goes wrong here, nothing is left behind.
        end_all(cgroup)


def start(
    words: list[str], *, is_tty: bool, account: tuple[str, str, str], cgroup: str, server: socket.socket
) -> int:
    """Start the program, and report whether it started; return its process id, or 0 if it did not start."""
    failed, failing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become_program(words, is_tty=is_tty, account=account, cgroup=cgroup)
        except OSError as error:
            os.write(failing, str(error.errno or errno.EIO).encode())
        except BaseException:  # noqa: BLE001 -- whatever it is, this process must not go on as a second reaper
            os.write(failing, str(errno.EIO).encode())
        os._exit(127)
    os.close(failing)
    # Only the program has its terminal or its output, so that a reader of them sees their end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    why = os.read(failed, 16)
    os.close(failed)
    tell(server, b"failed %s" % why if why else b"started")
    return 0 if why else child


def become_program(words: list[str], *, is_tty: bool, account: tuple[str, str, str], cgroup: str) -> None:
    """Become the program, in its own session and, if there is one, in its own cgroup.

    Raises:
        OSError: The program cannot be started.
    """
    user, group, groups = account
    if cgroup:
        Path(cgroup, "cgroup.procs").write_text("0", encoding="ascii")
    os.setsid()
    if is_tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if user:
        os.setgroups([int(one) for one in groups.split(",")])
        os.setgid(int(group))
        os.setuid(int(user))
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(one, signal.SIG_DFL)
    # Python sets this variable if there is no locale (PEP 538); it is not part of the program's environment.
    os.environ.pop("LC_CTYPE", None)
    os.execv(words[0], words)  # noqa: S606 -- the operator's own command, and no shell


def supervise(child: int, server: socket.socket, waking: int) -> None:
    """Wait until the server releases the program; until then, report its exit and pass on the server's signals."""
    # Not select(), which accepts no descriptor above 1023: the control socket has the same number as in the server.
    polling = select.poll()
    for descriptor in (server.fileno(), waking):
        polling.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in polling.poll()}
        if waking in ready:
            os.read(waking, 4096)
        status = reap(child)
        if status is not None:
            tell(server, b"exit %d" % status)
        if server.fileno() in ready:
            try:
                wanted = server.recv(1)
            except OSError:
                return
            if not wanted:
                return
            signal_all(descendants(), signal.Signals(wanted[0]))
            signal_all(descendants(), signal.SIGCONT)


def reap(child: int) -> int | None:
    """Reap dead processes; return the program's status, negative for a signal, if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            if process == child:
                found = os.waitstatus_to_exitcode(status)
    return found


def end_all(cgroup: str) -> None:
    """Kill every descendant until none is left, including those that are started meanwhile."""
    vain_rounds = 0
    while vain_rounds < VAIN_ROUNDS_MAX:
        # Stop them all first, so that none of them starts others while the rest are being found.
        signal_all(descendants(), signal.SIGSTOP)
        is_of_use = signal_all(descendants(), signal.SIGKILL)
        if cgroup:
            with contextlib.suppress(OSError):
                Path(cgroup, "cgroup.kill").write_text("1", encoding="ascii")
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                is_of_use = True
        except ChildProcessError:
            break
        # We cannot kill a process that runs as another user and is in none of our cgroups.
        vain_rounds = 0 if is_of_use else vain_rounds + 1
        time.sleep(ROUND_S)
    if cgroup:
        with contextlib.suppress(OSError):
            Path(cgroup).rmdir()


def descendants() -> list[int]:
    """Return the processes below this one, parents before their children."""
    found, waiting = [], [os.getpid()]
    while waiting:
        parent = waiting.pop()
        # Any process may end while it is being examined.
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = _children_of(thread / "children")
                found += children
                waiting += children
    return found


def _children_of(path: Path) -> list[int]:
    try:
        return [int(one) for one in path.read_text(encoding="ascii").split()]
    except OSError:
        return []


def signal_all(processes: list[int], number: signal.Signals) -> bool:
    """Send a signal, and tell whether any process got it; skip those that are gone or belong to another user."""
    is_sent = False
    for one in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, number)
            is_sent = True
    return is_sent


def tell(server: socket.socket, line: bytes) -> None:
    """Send a line to the server, if it is still there."""
    with contextlib.suppress(OSError):
        server.sendall(line + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
