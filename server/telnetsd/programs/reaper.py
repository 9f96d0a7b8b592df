"""A program's reaper: it starts the program, and when it is let go of, ends it with everything that it started.

It is a process of its own, which imports nothing of telnetsd, between the server and each program of the operator's.
As a child subreaper (prctl(2)) it becomes the parent of every descendant whose own parent has died, also of one that
has forked twice and called setsid: none of them gets out of its sight. It lives until the last of them is gone.

On its control socket it says, a line each: `started`, `failed ERRNO` (the program was not started), `exit STATUS`
(negative: the signal). A byte there tells it to ask the program to leave: the number of a signal. When the other end
is closed, everything is killed; so it is when the server has died.
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
"""How long after a round of killing it is looked for others, which have been started meanwhile."""
VAIN_ROUNDS_MAX = 200


def main(arguments: list[str]) -> None:
    """Start one program, and end with it.

    Args:
        arguments: The number of the control socket's descriptor; `tty` where standard input is a terminal that is
            to be the program's own, or `pipe`; the user, group and groups that it runs as, or empty; the cgroup that
            it is to be in, or empty; and its words.
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
    """Start the program, and say whether it was; returns its process id, 0 where it was not."""
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
    # The program alone has its terminal or its output: whoever reads that sees the end of it.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    why = os.read(failed, 16)
    os.close(failed)
    tell(server, b"failed %s" % why if why else b"started")
    return 0 if why else child


def become_program(words: list[str], *, is_tty: bool, account: tuple[str, str, str], cgroup: str) -> None:
    """Become the program, in a session and, where there is one, in a cgroup of its own.

    Raises:
        OSError: It cannot be.
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
    # Python sets this variable where there is no locale (PEP 538); it is not part of the program's environment.
    os.environ.pop("LC_CTYPE", None)
    os.execv(words[0], words)  # noqa: S606 -- the operator's own words, and no shell


def supervise(child: int, server: socket.socket, waking: int) -> None:
    """Wait until the server lets go; tell it meanwhile how the program has ended, and pass on what it wants."""
    # Not select(), which takes no descriptor above 1023: the control socket has the number that it has in the server.
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
    """Wait for whoever is dead; returns the status of the program, negative for a signal, when it is among them."""
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
    """Kill every descendant, until there is none: what is started meanwhile as well."""
    vain_rounds = 0
    while vain_rounds < VAIN_ROUNDS_MAX:
        # First stopped, so that none of them starts others while the rest are looked for.
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
        # What runs as somebody else, and in no cgroup of ours, is not ours to kill.
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
        # Any of them may end while it is looked at.
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
    """Send a signal, and tell whether anybody got it; whoever is gone, or is somebody else's, is passed over."""
    is_sent = False
    for one in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, number)
            is_sent = True
    return is_sent


def tell(server: socket.socket, line: bytes) -> None:
    """Tell the server, if it is still there."""
    with contextlib.suppress(OSError):
        server.sendall(line + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
