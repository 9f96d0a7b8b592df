"""asyncssh: a line server with user certificates, and the client that logs in to each SSH server that is measured."""

import asyncio
import json
import sys
import time
from pathlib import Path

import asyncssh


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


async def _log_in(port: int, keys: Path) -> float:
    """Log in up to the prompt, and return how long that took, in seconds."""
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
        process.stdin.write_eof()
    return took


async def _load(port: int, keys: Path, count: int) -> None:
    begun = time.perf_counter()
    waiting = asyncio.Semaphore(8)

    async def one() -> float:
        async with waiting:
            return await _log_in(port, keys)

    took = sorted(await asyncio.gather(*(one() for _ in range(count))))
    wall = time.perf_counter() - begun
    figures = {"ok": count, "errors": 0, "per_s": count / wall, "p50_ms": took[count // 2] * 1000, "resumed": 0}
    print(json.dumps(figures))


verb, port_text, folder, *rest = sys.argv[1:]
if verb == "serve":
    asyncio.run(_serve(int(port_text), Path(folder)))
else:
    asyncio.run(_load(int(port_text), Path(folder), int(rest[0])))
