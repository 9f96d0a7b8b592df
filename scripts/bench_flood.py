"""How long a login takes while one other address floods the server with connections."""

import asyncio
import contextlib
import multiprocessing
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Final

from support.client import client_context
from support.server import RunningServer, action_of, get
from telnetsd.files.home import Home

FLOODING_ADDRESS: Final = "127.0.0.2"
AT_A_TIME: Final = 256
LEAD_S: Final = 1.0
EVERY_DEFAULT: Final = "[limits]\nexempt = []\n"
"""The default limits, for loopback as well."""


def measure_flood(
    home: Home, start: Callable[[Home], RunningServer], measure: Callable[[RunningServer], str]
) -> dict[str, str]:
    """Return how long logins take beside each kind of flood, as `measure` formats it, with the rate of the flood."""
    home.config_file.write_text(EVERY_DEFAULT)
    figures = {}
    for kind, is_tls in (("connections that say nothing", False), ("guests", True)):
        server = start(home)
        known = len(server.events())
        with _flood(home, server.port, is_tls=is_tls):
            time.sleep(LEAD_S)
            begun = time.perf_counter()
            spread = measure(server)
            took_s = time.perf_counter() - begun + LEAD_S
        server.stop()
        per_s = _count_flood(server, known) / took_s
        figures[f"login to prompt, beside a flood of {kind}: median, p99"] = f"{spread} ({per_s:,.0f} a second)"
    return figures


def _count_flood(server: RunningServer, known: int) -> int:
    """Return how many connections of the flood are in the log, admitted or refused."""
    events = [one for one in server.events()[known:] if get(one, "source.ip") == FLOODING_ADDRESS]
    refused: int = sum(get(one, "telnetsd.connections") for one in events if action_of(one) == "connection-refused")
    return refused + sum(action_of(one) == "session-started" for one in events)


@contextlib.contextmanager
def _flood(home: Home, port: int, *, is_tls: bool) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_pour, args=(home, port, is_tls), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _pour(home: Home, port: int, is_tls: bool) -> None:
    asyncio.run(_pour_at_a_time(port, client_context(home.ca_certificate, None) if is_tls else None))


async def _pour_at_a_time(port: int, context: ssl.SSLContext | None) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_A_TIME):
            tasks.create_task(_connect_again_and_again(port, context))


async def _connect_again_and_again(port: int, context: ssl.SSLContext | None) -> None:
    """Connect, send nothing more, and wait for the first byte or the end; then connect again."""
    name = "localhost" if context else None
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=name, local_addr=(FLOODING_ADDRESS, 0)
            )
            await reader.read(1)
            writer.close()
