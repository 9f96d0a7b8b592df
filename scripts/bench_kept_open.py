"""The cost of kept-open lines: memory and CPU while they are idle, and how fast many busy ones are read."""

import socket
import threading
import time
from collections.abc import Callable
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
WATCHED_S: Final = 10.0
_TICKS_PER_S: Final = 100
_OF_CPU: Final = slice(11, 13)
"""The user and system time in /proc/PID/stat, after the program's name (proc_pid_stat(5))."""

Start = Callable[[Home], RunningServer]


def measure_kept_open(home: Home, start: Start) -> dict[str, str]:
    """Return each figure with its unit, by name; the configuration of the home folder is left as it was."""
    before = home.config_file.read_text()
    try:
        return _measure_idle(home, start) | _measure_busy(home, start)
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


def _cpu_s(server: RunningServer) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_OF_CPU])) / _TICKS_PER_S
