"""Processes of this machine, and the processes of a server."""

import contextlib
import itertools
import os
from pathlib import Path

from support.server import RunningServer

_numbers = itertools.count(1)


def unique_sleep() -> str:
    """Return a command that takes long, and that no other test on this machine runs."""
    return f"sleep 9{os.getpid()}.{next(_numbers)}"


def is_running(words: str) -> bool:
    """Tell whether there is a process whose command line contains these words."""
    wanted = words.replace(" ", "\0").encode()
    return any(wanted in _read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


def children(pid: int) -> list[int]:
    return sorted(map(int, _read(Path(f"/proc/{pid}/task/{pid}/children")).split()))


def grandchildren(pid: int) -> list[int]:
    return [one for child in children(pid) for one in children(child)]


def workers_of(server: RunningServer) -> list[int]:
    return grandchildren(server.process.pid)


def open_files(pid: int) -> list[str]:
    """Return what each descriptor of a process refers to, such as a path; an ended process has none."""
    found = []
    # A descriptor may be closed, and the process may end, while they are read.
    with contextlib.suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(descriptor.readlink()))
    return found


def descriptors_of(server: RunningServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def resident_kib(server: RunningServer) -> int:
    """Return how much memory the server holds, without its workers."""
    held = _resident_kib(server.process.pid)
    assert held, "the server has gone"
    return held


def resident_kib_in_all(server: RunningServer) -> int:
    """Return how much memory the server holds with its workers and programs; shared memory counts for each."""
    pid = server.process.pid
    return resident_kib(server) + sum(map(_resident_kib, (*children(pid), *grandchildren(pid))))


def _resident_kib(pid: int) -> int:
    """Return how much memory a process holds; one that ends meanwhile, as a line's program may, holds none."""
    rows = _read(Path(f"/proc/{pid}/status")).splitlines()
    return next((int(row.split()[1]) for row in rows if row.startswith(b"VmRSS:")), 0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended
