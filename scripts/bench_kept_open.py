"""The cost of kept-open lines: memory and CPU while they are idle, and how fast many busy ones are read."""

import contextlib
import os
import shlex
import socket
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from support.lines import line
from support.processes import resident_kib
from support.server import RunningServer, wait_until
from telnetsd.control.client import ask
from telnetsd.files.home import Home
from telnetsd.rpc.messages import ListLinesRequest

IDLE_LINES: Final = 500
BUSY_LINES: Final = 20
OFFERED_BYTES_PER_S: Final = 1_000_000
RATED_LINES: Final = 10
RATED_BYTES_PER_S: Final = 200_000
WATCHED_S: Final = 10.0
_TICKS_PER_S: Final = 100
_OF_CPU: Final = slice(11, 13)
"""The user and system time in /proc/PID/stat, after the program's name (proc_pid_stat(5))."""

Start = Callable[[Home], RunningServer]


def measure_kept_open(home: Home, start: Start) -> dict[str, str]:
    """Return each figure with its unit, by name; the configuration of the home folder is left as it was."""
    before = home.config_file.read_text()
    try:
        return _measure_idle(home, start) | _measure_busy(home, start) | _measure_rates(home, start)
    finally:
        home.config_file.write_text(before)


class _Equipment:
    """A port that accepts any number of connections, and says what it is told to say on each."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=IDLE_LINES)
        self.target = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            self.connections.append(self._listener.accept()[0])

    def offer(self, until: float) -> int:
        """Offer the same rate on every connection until a time of the monotonic clock; return how much was sent."""
        piece = b"a line of a console's output, of usual length\r\n" * 200
        sent = dict.fromkeys(self.connections, 0)
        for one in sent:
            one.setblocking(False)
        begun = time.monotonic()
        while (now := time.monotonic()) < until:
            due = (now - begun) * OFFERED_BYTES_PER_S
            for one, count in sent.items():
                if count < due:
                    sent[one] += _send(one, piece)
            time.sleep(0.001)
        return sum(sent.values())


def _send(connection: socket.socket, data: bytes) -> int:
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0


def _measure_idle(home: Home, start: Start) -> dict[str, str]:
    figures = {}
    for count, is_recorded in ((0, False), (IDLE_LINES, False), (IDLE_LINES, True)):
        equipment = _Equipment()
        lines = (
            line(f"line-{number}", equipment.target, keep_open=True, record=is_recorded) for number in range(count)
        )
        home.config_file.write_text("".join(lines))
        server = start(home)
        wait_until(lambda: len(equipment.connections) >= count, "the lines")  # noqa: B023 -- called at once
        time.sleep(2.0)
        held, cpu_s = resident_kib(server), _cpu_s(server)
        time.sleep(WATCHED_S)
        load = (_cpu_s(server) - cpu_s) / WATCHED_S
        server.stop()
        if not count:
            alone = held
            figures["kept-open lines, none: CPU"] = f"{load:.1%} of a core"
            continue
        name = f"kept-open lines, {count} idle{', recorded' if is_recorded else ''}"
        figures[f"{name}: memory each"] = f"{(held - alone) / count:.1f} KiB"
        figures[f"{name}: CPU"] = f"{load:.1%} of a core"
    return figures


def _measure_busy(home: Home, start: Start) -> dict[str, str]:
    equipment = _Equipment()
    lines = (line(f"line-{number}", equipment.target, keep_open=True, record=True) for number in range(BUSY_LINES))
    home.config_file.write_text("".join(lines))
    server = start(home)
    wait_until(lambda: len(equipment.connections) >= BUSY_LINES, "the lines")
    cpu_s, begun = _cpu_s(server), time.monotonic()
    offered = equipment.offer(begun + WATCHED_S)
    shown = [row.shown_bytes for row in ask(home.control_socket, ListLinesRequest())]
    seconds = time.monotonic() - begun
    load = (_cpu_s(server) - cpu_s) / seconds
    server.stop()
    name = f"kept-open lines, {BUSY_LINES} recorded that offer {OFFERED_BYTES_PER_S / 1e6:g} MB/s each"
    return {
        f"{name}: taken": f"{offered / seconds / 1e6:.1f} MB/s",
        f"{name}: read, of the slowest and the fastest line": " and ".join(
            f"{one / seconds / 1e6:.2f} MB/s" for one in (min(shown), max(shown))
        ),
        f"{name}: CPU": f"{load:.0%} of a core",
    }


def _measure_rates(home: Home, start: Start) -> dict[str, str]:
    """Offer the rate of the goal to ten recorded lines of each kind, and compare what was sent with what was read."""
    figures = {}
    for kind in ("tcp", "telnet", "unix", "serial", "exec"):
        equipment = _Ports(kind, home.root)
        lines = (
            line(f"line-{number}", target, keep_open=True, record=True) for number, target in equipment.targets()
        )
        home.config_file.write_text("".join(lines))
        server = start(home)
        wait_until(lambda: len(equipment.ends) == RATED_LINES, "the lines")  # noqa: B023 -- called at once
        cpu_s, begun = _cpu_s(server), time.monotonic()
        sent = equipment.offer(begun + WATCHED_S)
        time.sleep(1.0)
        rows = ask(home.control_socket, ListLinesRequest())
        seconds, cpu_s = time.monotonic() - begun, _cpu_s(server) - cpu_s
        server.stop()
        equipment.close()
        shown = sum(row.shown_bytes for row in rows)
        name = f"{RATED_LINES} recorded {kind} lines that offer {RATED_BYTES_PER_S / 1000:g} KB/s each"
        lost = f"{sent - shown} of {sent} bytes lost" if sent else f"{shown / WATCHED_S / 1e6:.2f} MB/s read"
        figures[name] = f"{lost}, {cpu_s / seconds:.0%} of a core"
    return figures


class _Ports:
    """Ten ports of one kind, as descriptors that this process writes to; a program writes by itself."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._listener: socket.socket | None = None
        self.ends: list[int] = []

    def targets(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the target of each line."""
        if self._kind in {"tcp", "telnet"}:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=RATED_LINES)
            target = f"{self._kind}://127.0.0.1:{self._listener.getsockname()[1]}"
        elif self._kind == "unix":
            path = self._folder / "ports"
            path.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen(RATED_LINES)
            target = f"unix:{path}"
        else:
            program = f"import time\nwhile True: print('x' * {RATED_BYTES_PER_S // 100 - 2}); time.sleep(0.01)"
            target = f"exec:{sys.executable} -uc {shlex.quote(program)}"
        if self._listener is not None:
            threading.Thread(target=self._accept, daemon=True).start()
        for number in range(RATED_LINES):
            yield number, self._open_pty() if self._kind == "serial" else target
        if self._kind == "exec":
            self.ends = [-1] * RATED_LINES

    def _open_pty(self) -> str:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.ends.append(ours)
        return f"serial://{os.ttyname(theirs)}?baud=4000000"

    def _accept(self) -> None:
        while self._listener is not None and len(self.ends) < RATED_LINES:
            self.ends.append(self._listener.accept()[0].detach())

    def offer(self, until: float) -> int:
        """Write at the rate until a time of the monotonic clock; return how many bytes were taken, 0 for programs."""
        begun, sent = time.monotonic(), dict.fromkeys(self.ends, 0)
        if self._kind == "exec":
            time.sleep(until - begun)
            return 0
        for end in sent:
            os.set_blocking(end, False)
        while (now := time.monotonic()) < until:
            due = (now - begun) * RATED_BYTES_PER_S
            for end, count in sent.items():
                if count < due:
                    with contextlib.suppress(BlockingIOError):
                        sent[end] += os.write(end, b"x" * 998 + b"\r\n")
            time.sleep(0.001)
        return sum(sent.values())

    def close(self) -> None:
        """Close the ports."""
        for end in set(self.ends) - {-1}:
            os.close(end)
        if self._listener is not None:
            self._listener.close()


def _cpu_s(server: RunningServer) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_OF_CPU])) / _TICKS_PER_S
