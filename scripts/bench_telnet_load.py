"""Logs in to a telnet server that negotiates before it greets: refuses every option, and waits for the prompt."""

import asyncio
import json
import ssl
import sys
import time
from typing import Final

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
REFUSALS: Final = {DO: WONT, WILL: DONT}
IN_FLIGHT: Final = 8
PROMPT: Final = b"> "


def refuse(data: bytes) -> bytes:
    """Return the refusal of every option in the received data."""
    pairs = zip(data, data[1:], data[2:], strict=False)
    return b"".join(
        bytes([IAC, REFUSALS[verb], option]) for iac, verb, option in pairs if iac == IAC and verb in REFUSALS
    )


async def _log_in(port: int, context: ssl.SSLContext) -> float:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    received = b""
    while PROMPT not in received:
        data = await asyncio.wait_for(reader.read(4096), 20)
        if not data:
            raise ConnectionError("it closed before its prompt")
        received += data
        writer.write(refuse(data))
    writer.close()
    return time.perf_counter() - begun


async def main() -> None:
    """Log in that many times, and print how long it took."""
    port, count, certificate, key, ca = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    waiting = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> float:
        async with waiting:
            return await _log_in(int(port), context)

    begun = time.perf_counter()
    took = sorted(await asyncio.gather(*(one() for _ in range(int(count)))))
    figures = {"ok": len(took), "errors": 0, "per_s": len(took) / (time.perf_counter() - begun)}
    print(json.dumps(figures | {"p50_ms": took[len(took) // 2] * 1000, "resumed": 0}))


asyncio.run(main())
