"""A second user, whose work must not be affected by what a test does to the server."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.client import Client, connect_as
from support.cpu import LoopCpu
from support.machine import CPU_SLOWNESS
from support.processes import resident_kib_in_all
from support.server import ELSEWHERE, RunningServer, wait_until

GROWTH_KIB = 16 * 1024
"""How much more memory a server may hold during and after an attack; the attacks send up to 4 MiB."""
DELAY_MAX_S = 0.05 * CPU_SLOWNESS
"""How much CPU time an event loop may spend on others before it answers a command (DESIGN.md, rule 3)."""


@dataclass
class Bystander:
    """A user who types a command now and then while the server is abused.

    `delays` has the CPU time, in seconds, that the event loops of the server spent within each answer.
    """

    client: Client
    loops: LoopCpu
    delays: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        while not self.is_over.wait(0.02):
            before = self.loops.now()
            assert "ed" in self.client.command("whoami")
            self.delays.append(self.loops.most_since(before))


@contextlib.contextmanager
def undisturbed(server: RunningServer, commands: int = 3) -> Iterator[None]:
    """Assert that another user is served as before, this many times, and that the server does not grow."""
    with connect_as(server, "ed", source=ELSEWHERE) as client:
        client.read_until()
        bystander = Bystander(client, LoopCpu(server))
        thread = threading.Thread(target=bystander.work)
        before = resident_kib_in_all(server)
        thread.start()
        try:
            yield
            wait_until(lambda: len(bystander.delays) >= commands, "the other user's commands")
        finally:
            bystander.is_over.set()
            thread.join()
        assert resident_kib_in_all(server) < before + GROWTH_KIB
        assert sorted(bystander.delays)[len(bystander.delays) // 2] < DELAY_MAX_S
