"""A line's cost beside socat, which relays the same TLS to the same TCP on the same core and identifies no user."""

import contextlib
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from support.client import Client
from support.lines import line
from support.rsyslog import free_port
from support.server import RunningServer, wait_until
from support.upstreams import Upstream
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

BULK_BYTES = 128 * 2**20
KEYSTROKES = 500
ROUNDS = 3
_CHUNK = b"x" * 65536


def measure_lines(home: Home, start: Callable[[Home], RunningServer]) -> dict[str, str]:
    """Return each figure with its unit, by name; medians of ROUNDS rounds, each server in turn."""
    with Upstream(_serve) as upstream:
        port = free_port()
        where = f"tcp://127.0.0.1:{upstream.port}"
        home.config_file.write_text(line("bench", where, listen=f"127.0.0.1:{port}"))
        server = start(home)
        try:
            with _socat(home, upstream.port) as relay:
                rounds = [(_measure(home, port), _measure(home, relay)) for _ in range(ROUNDS)]
            keys = statistics.median(_measure_keys(home, port, server.process.pid) for _ in range(ROUNDS))
        finally:
            server.stop()
    figures = {"a key and its echo, the server's CPU": f"{keys:.0f} us"}
    for place, (name, unit) in enumerate((("throughput", "MiB/s"), ("a key and its echo", "us"))):
        ours, theirs = (statistics.median(one[who][place] for one in rounds) for who in (0, 1))
        ratio = statistics.median(one[0][place] / one[1][place] for one in rounds)
        figures[f"a line, {name}: telnetsd, socat, ratio"] = f"{ours:,.0f} {unit}, {theirs:,.0f} {unit}, {ratio:.2f}"
    return figures


def _serve(connection: socket.socket) -> None:
    """Echo, except for a line that requests bulk."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(4096):
        if data == b"bulk":
            for _ in range(BULK_BYTES // len(_CHUNK)):
                connection.sendall(_CHUNK)
        else:
            connection.sendall(data)


def _measure_keys(home: Home, port: int, pid: int) -> float:
    """Return how many microseconds of CPU the server takes for a key and its echo."""
    files = user_files(home, "alice")
    with Client(port, home.ca_certificate, (files.certificate, files.key)) as client:
        client.tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _echo(client, KEYSTROKES)
        before = _cpu_us(pid)
        _echo(client, KEYSTROKES)
        return (_cpu_us(pid) - before) / KEYSTROKES


def _echo(client: Client, keys: int) -> None:
    for _ in range(keys):
        client.send(b"k")
        client.tls.recv(1)


def _cpu_us(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text(encoding="ascii").split()[0]) for one in threads) / 1000


def _measure(home: Home, port: int) -> tuple[float, float]:
    """Return MiB a second, and microseconds for a key and its echo."""
    files = user_files(home, "alice")
    with Client(port, home.ca_certificate, (files.certificate, files.key)) as client:
        client.tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        echoes = []
        for _ in range(KEYSTROKES):
            begun = time.perf_counter()
            client.send(b"k")
            client.tls.recv(1)
            echoes.append((time.perf_counter() - begun) * 1e6)
        begun, left = time.perf_counter(), BULK_BYTES
        client.send(b"bulk")
        while left > 0:
            left -= len(client.tls.recv(2**20))
        return BULK_BYTES / 2**20 / (time.perf_counter() - begun), statistics.median(echoes)


@contextlib.contextmanager
def _socat(home: Home, upstream_port: int) -> Iterator[int]:
    port = free_port()
    files = f"cert={home.server_certificate},key={home.server_key},cafile={home.ca_certificate}"
    listen = f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=1,nodelay,{files}"
    relay = subprocess.Popen(
        ["socat", "-b", "65536", listen, f"TCP:127.0.0.1:{upstream_port},nodelay"],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509 -- this program has no threads that matter
    )
    try:
        wait_until(lambda: _is_open(port), "socat")
        yield port
    finally:
        relay.terminate()
        relay.wait()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
