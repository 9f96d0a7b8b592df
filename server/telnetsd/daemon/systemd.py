"""What a service manager gives and wants to be told: sockets, readiness, a sign of life (sd_listen_fds, sd_notify).

Without one, which is when its environment variables are not set, nothing of it happens.
"""

import os
import socket
import time
from typing import Final

from telnetsd.errors import OperatorError

FIRST_DESCRIPTOR: Final = 3


def take_sockets(expected: int) -> list[socket.socket]:
    """Return the listening sockets that the service manager has opened for us; none where it has not.

    Args:
        expected: How many addresses the configuration has, in the order of the manager's sockets.
    Raises:
        OperatorError: There is another number of sockets, or one does not listen.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        return []
    if int(count) != expected:
        raise OperatorError(
            f"the service manager passes {count} sockets for {expected} addresses; make one ListenStream= for each of"
            " [listener] listen, [[listener.also]] and the lines' own, in this order"
        )
    return [_listening(number) for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + expected)]


def _listening(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    try:
        one = socket.socket(fileno=number)
        is_listening = bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        is_listening = False
    if not is_listening:
        raise OperatorError(
            f"descriptor {number} of the service manager does not listen; use ListenStream= and Accept=no"
        )
    one.setblocking(False)
    return one


class ServiceManager:
    """Tells the service manager how the server is, where there is one that wants to know."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog_us, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        is_ours = watchdog_us.isdecimal() and pid in {"", str(os.getpid())}
        # Twice as often as it must be told, as sd_watchdog_enabled(3) advises.
        self._interval_s = int(watchdog_us) / 2_000_000 if is_ours else None
        self._told_at = 0.0

    def ready(self, status: str) -> None:
        """Tell that connections are taken, and what serves."""
        self._tell(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self) -> None:
        """Tell that a reload begins; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """Tell that no more connections are taken."""
        self._tell(f"STOPPING=1\nSTATUS={_one_line(status)}")

    def alive(self) -> None:
        """Tell that the event loop runs, when it is time."""
        now = time.monotonic()
        if self._interval_s is not None and now >= self._told_at + self._interval_s:
            self._told_at = now
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is of the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            try:
                connection.connect(address)
                connection.sendall(state.encode())
            except OSError:
                # That nobody listens there any more is the service manager's matter, and no reason to stop.
                return


def _one_line(text: str) -> str:
    """Return a text that cannot begin another assignment."""
    return " ".join(text.splitlines())
