"""asyncssh: a line server with user certificates, and the client that logs in to each measured SSH server."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh

HOLD_S = 4.0


async def _serve(port: int, keys: Path) -> None:
    async def line(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write("hello\r\n> ")
        async for words in process.stdin:
            process.stdout.write(f"{words.strip().removeprefix('echo ')}\r\n> ")
        process.exit(0)

    authorised = asyncssh.import_authorized_keys(f"cert-authority {(keys / 'ca.pub').read_text()}")
    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_host_keys=[str(keys / "host")],
        authorized_client_keys=authorised,
        process_factory=line,
    )
    await server.wait_closed()


async def _log_in(port: int, keys: Path, stay: Callable[[], Awaitable[object]]) -> float:
    """Log in up to the prompt, and return how long that took, in seconds; then stay until `stay` returns."""
    begun = time.perf_counter()
    key = (str(keys / "user"), str(keys / "user-cert.pub"))
    async with (
        asyncssh.connect(
            "127.0.0.1", port, username="root", client_keys=[key], known_hosts=None, config=None, agent_path=None
        ) as connection,
        connection.create_process(encoding=None) as process,
    ):
        received = b""
        while b"> " not in received:
            received += await process.stdout.read(4096)
        took = time.perf_counter() - begun
        await stay()
        process.stdin.write_eof()
    return took


async def _leave() -> None:
    """Do not stay."""


async def _hold(port: int, keys: Path, count: int) -> None:
    held = asyncio.Barrier(count + 1)

    async def stay() -> None:
        await held.wait()
        await asyncio.sleep(HOLD_S)

    sessions = asyncio.gather(*(_log_in(port, keys, stay) for _ in range(count)))
    await held.wait()
    print("held", file=sys.stderr, flush=True)
    await sessions


async def _load(port: int, keys: Path, count: int) -> None:
    begun = time.perf_counter()
    waiting = asyncio.Semaphore(8)

    async def one() -> float:
        async with waiting:
            return await _log_in(port, keys, _leave)

    took = sorted(await asyncio.gather(*(one() for _ in range(count))))
    wall = time.perf_counter() - begun
    figures = {"ok": count, "errors": 0, "per_s": count / wall, "p50_ms": took[count // 2] * 1000, "resumed": 0}
    print(json.dumps(figures))


verb, port_text, folder, *rest = sys.argv[1:]
if verb == "serve":
    asyncio.run(_serve(int(port_text), Path(folder)))
else:
    client = _hold if verb == "hold" else _load
    asyncio.run(client(int(port_text), Path(folder), int(rest[0])))
