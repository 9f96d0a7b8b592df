"""Somebody else, who works on while a test does to a server what is not to matter to them."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.client import Client, connect_as
from support.processes import resident_kib_in_all
from support.server import ELSEWHERE, RunningServer, wait_until

GROWTH_KIB = 16 * 1024
"""How much more a server may hold while, and after, it is abused; the attacks send up to 4 MiB."""
LATENCY_S = 0.5
"""How long a command of somebody else may take meanwhile, as a median: half a second on a CI machine."""


@dataclass
class Bystander:
    """Somebody else, who types a command now and then while the server is abused."""

    client: Client
    took: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        while not self.is_over.wait(0.02):
            begun = time.monotonic()
            assert "ed" in self.client.command("whoami")
            self.took.append(time.monotonic() - begun)


@contextlib.contextmanager
def undisturbed(server: RunningServer, commands: int = 3) -> Iterator[None]:
    """Assert that whoever is in meanwhile is served as before, so many times, and that the server does not grow."""
    with connect_as(server, "ed", source=ELSEWHERE) as client:
        client.read_until()
        bystander = Bystander(client)
        thread = threading.Thread(target=bystander.work)
        before = resident_kib_in_all(server)
        thread.start()
        try:
            yield
            wait_until(lambda: len(bystander.took) >= commands, "somebody else's commands")
        finally:
            bystander.is_over.set()
            thread.join()
        assert resident_kib_in_all(server) < before + GROWTH_KIB
        assert sorted(bystander.took)[len(bystander.took) // 2] < LATENCY_S
