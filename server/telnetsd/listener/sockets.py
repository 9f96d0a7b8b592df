"""The listening socket, and which process holds a port that is not available."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from telnetsd.config.address import UNIX_PREFIX, parse_address, unix_path
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FILE_MODE, make_secret_folder

BACKLOG: Final = 1024
SHARED_SOCKET_MODE: Final = 0o660
_KEEPALIVE_PROBES: Final = 4
_TCP_LISTEN: Final = "0A"


def require_address(listen: str) -> None:
    """Require that a setting is HOST:PORT, or unix:PATH where PATH is a socket or does not exist.

    Raises:
        OperatorError: The setting is neither.
    """
    path = unix_path(listen)
    if path is None:
        parse_address(listen)
    elif path.exists() and not path.is_socket():
        raise OperatorError(
            f"cannot listen on {listen}: a file that is not a socket is there; move it away, or choose another path"
        )


@contextmanager
def open_endpoint(listen: str, keepalive_s: int) -> Iterator[socket.socket]:
    """Bind and listen where a setting says, HOST:PORT or unix:PATH; at the end, close and leave no file.

    Args:
        listen: The setting.
        keepalive_s: The silence, in seconds, after which a peer is probed to see if it is still there; 0 for never.
    Raises:
        OperatorError: See `require_address`, `open_listener` and `_open_unix_endpoint`.
    """
    require_address(listen)
    path = unix_path(listen)
    if path is None:
        with open_listener(*parse_address(listen)) as listener:
            keep_alive(listener, keepalive_s)
            yield listener
        return
    with _open_unix_endpoint(path) as listener:
        made = path.stat()
        try:
            yield listener
        finally:
            _remove_unless_replaced(path, made)


def keep_alive(listener: socket.socket, keepalive_s: int) -> None:
    """Have the system probe the silent peers of a listener's connections, and drop dead connections.

    Data that is sent and not acknowledged also counts as silence (RFC 5482). Connections inherit the setting. It
    has no effect for 0 seconds, or on a Unix socket.
    """
    if keepalive_s == 0 or listener.family == socket.AF_UNIX:
        return
    interval_s = max(1, keepalive_s // _KEEPALIVE_PROBES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepalive_s)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    silence_ms = 1000 * (keepalive_s + interval_s * _KEEPALIVE_PROBES)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence_ms)


def open_listener(host: str, port: int) -> socket.socket:
    """Bind and listen.

    Returns: A listening socket that does not block.
    Raises:
        OperatorError: The address is in use (and by what), does not belong to this machine, or needs a privilege.
    """
    family, address = resolve(host, port)
    # With another protocol number asyncio leaves TCP_NODELAY off, and each prompt waits for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(_why_not(host, port, error)) from error
    listener.setblocking(False)
    return listener


def resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return the family and the socket address to listen on.

    Raises:
        OperatorError: The host is not found.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise OperatorError(f"cannot listen on {host}:{port}: {error.strerror}; check the listen address") from error
    return family, address


def open_unix_listener(path: Path) -> socket.socket:
    """Bind a Unix socket that only our user may open, in a secret folder; replace one that was left there.

    Raises:
        OperatorError: The socket cannot be made.
    """
    make_secret_folder(path.parent)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        message = f"cannot create {path}: {error.strerror or error}; use a shorter or writable home"
        raise OperatorError(message) from error
    path.chmod(SECRET_FILE_MODE)
    return listener


def _open_unix_endpoint(path: Path) -> socket.socket:
    """Bind a Unix socket that our user and group may open, in an existing folder.

    Raises:
        OperatorError: The folder does not exist, or another program already listens there.
    """
    where = f"cannot listen on {UNIX_PREFIX}{path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if path.exists() and probe.connect_ex(str(path)) == 0:
            raise OperatorError(f"{where}: another program listens there; stop it, or choose another path")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(SHARED_SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(f"{where}: {error.strerror or error}; its folder must exist, and be writable") from error
    listener.setblocking(False)
    return listener


def _remove_unless_replaced(path: Path, made: os.stat_result) -> None:
    """Remove our socket's file, unless another server has replaced it while our last sessions ended."""
    with contextlib.suppress(OSError):
        if os.path.samestat(made, path.stat()):
            path.unlink()


def shown_address(address: tuple[object, ...] | str) -> str:
    """Return a socket address as HOST:PORT, with an IPv6 host in brackets; a Unix socket's as unix:PATH."""
    if isinstance(address, str):
        return UNIX_PREFIX + address
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _why_not(host: str, port: int, error: OSError) -> str:
    where = f"cannot listen on {host}:{port}"
    match error:
        case PermissionError():
            return f"{where}: {error.strerror}; ports below 1024 need CAP_NET_BIND_SERVICE"
        case OSError(errno=errno.EADDRINUSE):
            holder = who_listens(port) or "another program"
            return f"{where}: the port is in use by {holder}; stop it, or choose another with --listen HOST:PORT"
    return f"{where}: {error.strerror}; check the listen address"


def who_listens(port: int) -> str:
    """Return the command and number of the process that listens on a TCP port; empty if that cannot be seen."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening_inodes(Path("/proc/net") / table, port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(_socket_inode(descriptor) in inodes for descriptor in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"{command} (process {process.name})"
        except OSError:
            continue
    return ""


def _listening_inodes(table: Path, port: int) -> list[str]:
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    return [row[9] for row in rows if row[3] == _TCP_LISTEN and int(row[1].rpartition(":")[2], 16) == port]


def _socket_inode(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")
    except OSError:
        return ""  # closed since it was listed
