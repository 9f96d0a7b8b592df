"""A service manager's sockets, and the readiness and keep-alive reports to it (sd_listen_fds, sd_notify).

Without a service manager, which is when its environment variables are not set, none of this happens.
"""

import contextlib
import os
import socket
import time
from typing import Final

from telnetsd.config.address import UNIX_PREFIX, parse_address, unix_path
from telnetsd.errors import OperatorError
from telnetsd.listener.sockets import resolve, shown_address

FIRST_DESCRIPTOR: Final = 3
STOP_S: Final = 30.0
"""How long a server may take to stop, in addition to the time that open sessions have."""


def take_sockets(listens: list[str]) -> list[socket.socket]:
    """Return the listening sockets that the service manager has opened for us; an empty list if it has not.

    Args:
        listens: The addresses of the configuration, in the order of the manager's sockets.
    Raises:
        OperatorError: The number of sockets differs, or one of them does not listen or has another address.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        return []
    if int(count) != len(listens):
        raise OperatorError(
            f"the service manager passes {count} sockets for {len(listens)} addresses; make one ListenStream= for"
            " each of [listener] listen, [[listener.also]] and the lines' own, in this order"
        )
    return [_listening(number, listen) for number, listen in enumerate(listens, FIRST_DESCRIPTOR)]


def _listening(number: int, listen: str) -> socket.socket:
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
    _require_same(one, listen)
    one.setblocking(False)
    return one


def _require_same(one: socket.socket, listen: str) -> None:
    """Require that a socket has an address: each address makes its own demands on a client."""
    name = one.getsockname()
    if isinstance(name, str):
        is_same = listen == UNIX_PREFIX + name
    else:
        is_same = unix_path(listen) is None and resolve(*parse_address(listen))[1][:2] == name[:2]
    if not is_same:
        raise OperatorError(
            f"the service manager's socket is for {shown_address(name)}, but the address is {listen}; write"
            " ListenStream= in the order of [listener] listen, [[listener.also]] and the lines' own"
        )


class ServiceManager:
    """Reports the state of the server to the service manager, if there is one that wants to know."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog_us, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        is_ours = watchdog_us.isdecimal() and pid in {"", str(os.getpid())}
        # Twice as often as required, as sd_watchdog_enabled(3) advises.
        self._interval_s = int(watchdog_us) / 2_000_000 if is_ours else None
        self._told_at = 0.0

    def ready(self, status: str) -> None:
        """Report that connections are accepted, and what serves."""
        self._tell(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self) -> None:
        """Report that a reload begins; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, drain_timeout_s: float) -> None:
        """Report that no more connections are accepted, and for how long open sessions may continue."""
        extend_us = int((drain_timeout_s + STOP_S) * 1_000_000)
        self._tell(f"STOPPING=1\nSTATUS=waiting for open sessions to end\nEXTEND_TIMEOUT_USEC={extend_us}")

    def alive(self) -> None:
        """Report that the event loop runs, if the interval is over."""
        now = time.monotonic()
        if self._interval_s is not None and now >= self._told_at + self._interval_s:
            self._told_at = now
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is in the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # If the service manager no longer listens there, that is its own problem, and no reason to stop.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(address)
            connection.sendall(state.encode())


def _one_line(text: str) -> str:
    """Return the text as one line, which cannot begin another assignment."""
    return " ".join(text.splitlines())
