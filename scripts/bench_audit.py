"""The cost of the audit log: events a second, how long a command waits for its event, the speed of verification."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support.audit import KEY, event, open_test_log
from support.client import Client, connect_as
from support.server import RunningServer
from telnetsd.audit.reading.archive import read_lines, take_snapshot
from telnetsd.audit.reading.verification import Expectation, verify
from telnetsd.audit.sink import GroupCommit
from telnetsd.config.settings import AuditSettings
from telnetsd.config.values import Durability
from telnetsd.files.home import Home

MEASURED_S = 2.0
SAMPLES = 300
VERIFIED = 100_000
BATCH = 1000


def measure_audit(home: Home, start: Callable[[Home], RunningServer]) -> dict[str, str]:
    """Return each figure with its unit, by name."""
    figures: dict[str, str] = {}
    for durability in Durability:
        for sessions in (1, 64):
            rate = asyncio.run(_events_per_s(durability, sessions))
            figures[f"audit events, {sessions} at once, durability {durability.value}"] = f"{rate:,.0f}/s"
    for durability in Durability:
        home.config_file.write_text(f'[audit]\ndurability = "{durability.value}"\n')
        server = start(home)
        try:
            figures |= _added_latency(server, durability)
        finally:
            server.stop()
    return figures | _verification()


async def _events_per_s(durability: Durability, sessions: int) -> float:
    """Let that many sessions record one event after another, each when the previous one is in the log."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        settings = AuditSettings(durability=durability)
        log = open_test_log(Path(folder) / "audit.jsonl", settings)
        sink = GroupCommit(log, settings)
        until, written = time.perf_counter() + MEASURED_S, 0

        async def tell() -> None:
            nonlocal written
            while time.perf_counter() < until:
                await sink.put(event("bob: echo hello"))
                written += 1

        await asyncio.gather(*(tell() for _ in range(sessions)))
        await sink.close()
        log.close()
    return written / MEASURED_S


def _added_latency(server: RunningServer, durability: Durability) -> dict[str, str]:
    """Compare a command with a blank line, which is answered by a prompt alone and leaves no event."""
    with connect_as(server, "alice") as client:
        client.read_until()
        blank, command = [], []
        for _ in range(SAMPLES):
            blank.append(_round_trip_ms(client, b"\r\n"))
            command.append(_round_trip_ms(client, b"echo hello\r\n"))
    without, with_event = statistics.median(blank), statistics.median(command)
    name = f"a command, durability {durability.value}: median, of it for its event"
    return {name: f"{with_event:.2f} ms, {with_event - without:.2f} ms"}


def _round_trip_ms(client: Client, line: bytes) -> float:
    begun = time.perf_counter()
    client.send(line)
    client.read_until()
    return (time.perf_counter() - begun) * 1000


def _verification() -> dict[str, str]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "audit.jsonl"
        log = open_test_log(path)
        for _ in range(VERIFIED // BATCH):
            log.append([event("bob: echo hello " + "x" * 900)] * BATCH)
        log.close()
        snapshot, begun = take_snapshot(path), time.perf_counter()
        report = verify(read_lines(snapshot), Expectation(KEY.public, snapshot.seal, is_whole=True))
        took_s = time.perf_counter() - begun
        size = path.stat().st_size
    if report.damage is not None:
        raise AssertionError(report.damage.message)
    return {f"audit verify, {size // report.events} bytes an event": f"{report.events / took_s:,.0f}/s"}
