"""What the load generator does not measure: logins at a given rate, and much text through one session."""

import asyncio
import ssl
import statistics
import time
from typing import Final

from support.client import client_context
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

LATENCY_S: Final = 1.5
BULK_LINE: Final = b"echo " + 4000 * b"x" + b"\r\n"
BULK_ANSWER_BYTES: Final = len(BULK_LINE) - len("echo ") + len("> ")
BULK_LINES: Final = 2000
_CHUNK_LINES: Final = 8
_PROMPT: Final = b"> "


def measure_login_latency(home: Home, port: int, per_s: float) -> tuple[float, float]:
    """Return the median and the 99th percentile, in ms, of logins to the prompt that come at a steady rate."""
    return asyncio.run(_log_in_steadily(_context(home), port, per_s))


def measure_bulk(home: Home, port: int) -> float:
    """Return how many MiB a second are echoed to one client that sends long lines without waiting for the answers."""
    return asyncio.run(_stream(_context(home), port))


def _context(home: Home) -> ssl.SSLContext:
    files = user_files(home, "alice")
    return client_context(home.ca_certificate, (files.certificate, files.key))


async def _log_in_steadily(context: ssl.SSLContext, port: int, per_s: float) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    begun, logins = loop.time(), []
    for number in range(int(per_s * LATENCY_S)):
        await asyncio.sleep(begun + number / per_s - loop.time())
        # A client that starts late counts from its scheduled start; otherwise a queue would not be seen.
        logins.append(loop.create_task(_log_in(context, port, begun + number / per_s)))
    took = sorted(await asyncio.gather(*logins))
    return statistics.median(took) * 1000, took[int(len(took) * 0.99)] * 1000


async def _log_in(context: ssl.SSLContext, port: int, due: float) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    await reader.readuntil(_PROMPT)
    took = asyncio.get_running_loop().time() - due
    writer.close()
    return took


async def _stream(context: ssl.SSLContext, port: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    await reader.readuntil(_PROMPT)

    async def send() -> None:
        for _ in range(BULK_LINES // _CHUNK_LINES):
            writer.write(BULK_LINE * _CHUNK_LINES)
            await writer.drain()

    begun = time.perf_counter()
    sending = asyncio.ensure_future(send())
    await reader.readexactly(BULK_LINES * BULK_ANSWER_BYTES)
    took = time.perf_counter() - begun
    await sending
    writer.close()
    return BULK_LINES * len(BULK_LINE) / 2**20 / took
