"""The CPU time of a server's event loops: how much one session may use before another is answered.

Wall time on a shared machine shows how busy the machine is. The CPU time that an event loop spends between a request
and its answer shows what the server did in between. It does so on a machine of any speed, and with other work beside
it.
"""

from pathlib import Path

from support.processes import children, grandchildren
from support.server import RunningServer

NANOSECONDS = 1_000_000_000


class LoopCpu:
    """The clocks of the event loops of a server and its workers: the main thread of each process.

    Args:
        server: The server; workers that start later are not counted.
    """

    def __init__(self, server: RunningServer) -> None:
        pid = server.process.pid
        self._pids = (pid, *children(pid), *grandchildren(pid))

    def now(self) -> dict[int, float]:
        """Return the CPU time of each event loop so far, in seconds."""
        return {pid: _cpu_s(pid) for pid in self._pids}

    def most_since(self, before: dict[int, float]) -> float:
        """Return how many seconds of CPU time the busiest of them has spent since then."""
        return max(now - before[pid] for pid, now in self.now().items())


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process's main thread (proc_pid_schedstat(5)); 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / NANOSECONDS
    except OSError:
        return 0.0
