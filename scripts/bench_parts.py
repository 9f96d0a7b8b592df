"""The cost of many idle sessions, in memory and in the waiting time of others; and the cost of the log.

The server runs on the first core, the load on the others. Times are of one machine and of one moment: compare only
figures of the same run.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench_audit import measure_audit
from bench_flood import measure_flood
from bench_kept_open import measure_kept_open
from bench_lines import measure_lines
from bench_peers import ROOM, client_files, load_generator
from bench_verbs import measure_verbs
from cryptography.hazmat.primitives.serialization import Encoding

from support.client import Client, connect_as
from support.server import RunningServer
from telnetsd.administration.authority.authorities import load_issuer
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import GeneratedKey, user_files
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.events.reason import RevocationReason
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.authority import UserProfile, utc_now
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.crl import RevocationLists, load_revocation_lists
from telnetsd.pki.keys import KeyType, generate_key
from telnetsd.pki.path import Signer
from telnetsd.pki.revocation import Revocation

SESSIONS = 1000
SAMPLES = 200
REVOKED = 1_000_000
LOOKUPS = 100_000


def measure_parts(home: Home) -> dict[str, str]:
    """Return each figure with its unit, by name."""
    initialise(home, ())
    add_user(home, NewUser(User("alice", ("user",))), GeneratedKey(KeyType.EC), Grant())
    home.config_file.write_text(ROOM)
    server = _start(home)
    try:
        figures = _measure(server, SESSIONS) | measure_verbs(home)
    finally:
        server.stop()
    figures |= measure_flood(home, _start, lambda flooded: _spread(_latencies(partial(_log_in_and_leave, flooded))))
    figures |= measure_audit(home, _start) | measure_lines(home, _start) | measure_kept_open(home, _start)
    return figures | _measure_revocation(home)


def _start(home: Home) -> RunningServer:
    return RunningServer(home, before=_take_first_core)


def _measure_revocation(home: Home) -> dict[str, str]:
    """Return the cost of one certificate among REVOKED revoked ones, and the cost of loading them."""
    authority, now = load_issuer(home), utc_now()
    revocation = Revocation(now, RevocationReason.UNSPECIFIED)
    print(f"signing a CRL of {REVOKED} entries", file=sys.stderr)
    crl = authority.sign_crl(((serial, revocation) for serial in range(1, REVOKED + 1)), 1, now, 7)
    path = home.crl_folder / "many.crl"
    path.write_bytes(crl.public_bytes(Encoding.DER))
    before, begun = _own_bytes(), time.perf_counter()
    lists = load_revocation_lists([(path, path.name)], RevocationLists())
    loaded_s, own = time.perf_counter() - begun, authority.certificate
    memory = _own_bytes() - before
    leaf = authority.issue_user(generate_key(KeyType.EC).public_key(), UserProfile("bench", 1), now)
    signers = [Signer(own, certificate_sha256(own))]
    lists.status_of(leaf, signers, now)
    begun = time.perf_counter()
    for _ in range(LOOKUPS):
        lists.status_of(leaf, signers, now)
    each_us = (time.perf_counter() - begun) / LOOKUPS * 1e6
    return {
        f"a certificate among {REVOKED} revoked: lookup": f"{each_us:.1f} us",
        f"a CRL of {REVOKED}: loading": f"{loaded_s:.1f} s",
        f"a CRL of {REVOKED}: memory": f"{memory / 2**20:.0f} MiB",
    }


def _own_bytes() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _measure(server: RunningServer, sessions: int) -> dict[str, str]:
    log_in_and_leave = partial(_log_in_and_leave, server)
    log_in_and_leave()
    alone = _latencies(log_in_and_leave)
    before = _resident_bytes(server)
    held = []
    for number in range(sessions):
        held.append(_log_in(server))
        if (number + 1) % 100 == 0:
            print(f"==> holding {number + 1} of {sessions}", file=sys.stderr)
    after = _resident_bytes(server)
    beside = _latencies(log_in_and_leave)
    commands = _latencies(lambda: held[0].command("echo hello"))
    busy = _beside_others(server, held[0])
    for client in held:
        client.tls.close()
    return {
        "sessions held": f"{len(held)}",
        "memory a session": f"{(after - before) / 1024 / sessions:.1f} KiB",
        "login to prompt, alone: median, p99": _spread(alone),
        "login to prompt, beside them: median, p99": _spread(beside),
        "command round trip, beside them: median, p99": _spread(commands),
        **busy,
    }


def _beside_others(server: RunningServer, client: Client) -> dict[str, str]:
    """Return how long commands take beside a client that floods, and beside logins."""
    home, files = server.home, user_files(server.home, "alice")
    connect = f"-connect 127.0.0.1:{server.port} -CAfile {home.ca_certificate} -cert {files.certificate}"
    flood = ["sh", "-c", f"yes 'echo flood' | openssl s_client -quiet {connect} -key {files.key}"]
    generator = [str(load_generator(home.root.parent)), "-addr", f"127.0.0.1:{server.port}", *client_files(home)]
    logins = [*generator, "-c", "1", "-n", "100000"]
    figures = {}
    for name, command in (("a client that floods", flood), ("logins", logins)):
        before = len(server.events())
        begun = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        ) as other:
            time.sleep(0.5)
            latencies = _latencies(lambda: client.command("echo hello"))
            os.killpg(other.pid, signal.SIGKILL)
        rate = (len(server.events()) - before - SAMPLES) / (time.perf_counter() - begun)
        figures[f"command round trip, beside {name}: median, p99"] = f"{_spread(latencies)} ({rate:,.0f} events/s)"
    return figures


def _log_in(server: RunningServer) -> Client:
    client = connect_as(server, "alice")
    client.read_until()
    return client


def _log_in_and_leave(server: RunningServer) -> None:
    _log_in(server).tls.close()


def _latencies(run: Callable[[], object]) -> list[float]:
    latencies = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        run()
        latencies.append((time.perf_counter() - started) * 1000)
    return latencies


def _spread(milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    return f"{statistics.median(ordered):.1f} ms, {ordered[int(0.99 * (len(ordered) - 1))]:.1f} ms"


def _resident_bytes(server: RunningServer) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _take_first_core() -> None:
    os.sched_setaffinity(0, {0})
