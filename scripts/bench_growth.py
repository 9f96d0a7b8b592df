"""The cost of a login and a line as an installation grows: sessions, users, revoked certificates, mapping entries."""

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench_peers import ROOM, Peer, client_files, load_generator, telnetsd
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.authority.authorities import load_issuer
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import GeneratedKey
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.events.reason import RevocationReason
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.authority import utc_now
from telnetsd.pki.keys import KeyType
from telnetsd.pki.revocation import Revocation

LOGINS: Final = 400
LINES: Final = 6000
IN_FLIGHT: Final = 10
ROUNDS: Final = 5
Series = dict[str, dict[str, float]]
Say = Callable[[str], None]


def measure_growth(folder: Path, say: Say) -> dict[str, Series]:
    """Return, for each thing that grows, what a login and a line cost in microseconds of CPU."""
    generator = load_generator(folder / "peers")
    growth: dict[str, Series] = {}
    plans: list[tuple[str, tuple[int, ...], Callable[[Home, int], None]]] = [
        ("users", (10, 1_000, 100_000), _add_users),
        ("revoked certificates", (0, 10_000, 1_000_000), _revoke),
        ("mapping entries", (1, 200), _map),
    ]
    growth["open sessions"] = _with_sessions(folder / "sessions", generator, say)
    for name, sizes, grow in plans:
        series: Series = {"login": {}, "line": {}}
        for size in sizes:
            say(f"{name}: {size:,}")
            home = _make_home(folder / f"{name.replace(' ', '-')}-{size}")
            grow(home, size)
            login, line = _measure(home, generator)
            series["login"][str(size)], series["line"][str(size)] = login, line
        growth[name] = series
    return growth


def _make_home(root: Path) -> Home:
    home = Home(root)
    initialise(home, ())
    add_user(home, NewUser(User("alice", ("user",))), GeneratedKey(KeyType.EC), Grant())
    home.config_file.write_text(ROOM + '[audit]\ndurability = "interval"\n')
    return home


def _with_sessions(root: Path, generator: Path, say: Say) -> Series:
    series: Series = {"login": {}, "line": {}}
    for size in (10, 1_000, 10_000):
        say(f"open sessions: {size:,}")
        home = _make_home(root / str(size))
        peer = telnetsd(home, 1)
        peer.start()
        held = _command(generator, peer, home, ["-mode", "hold", "-c", str(size), "-hold", "120s"])
        with subprocess.Popen(held, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as holding:
            assert holding.stderr is not None  # noqa: S101 -- it is a pipe
            holding.stderr.readline()
            series["login"][str(size)], series["line"][str(size)] = _costs(home, generator, peer)
            holding.kill()
        peer.stop()
    return series


def _measure(home: Home, generator: Path) -> tuple[float, float]:
    peer = telnetsd(home, 1)
    peer.start()
    try:
        return _costs(home, generator, peer)
    finally:
        peer.stop()


def _costs(home: Home, generator: Path, peer: Peer) -> tuple[float, float]:
    login = ["-c", str(IN_FLIGHT), "-n", str(LOGINS)]
    line = ["-mode", "echo", "-c", str(IN_FLIGHT), "-n", str(LINES)]
    _run(_command(generator, peer, home, login))
    logins = [_cost(peer, _command(generator, peer, home, login), LOGINS) for _ in range(ROUNDS)]
    lines = [_cost(peer, _command(generator, peer, home, line), LINES) for _ in range(ROUNDS)]
    return sorted(logins)[ROUNDS // 2], sorted(lines)[ROUNDS // 2]


def _cost(peer: Peer, command: list[str], count: int) -> float:
    before = peer.cpu_us()
    figures = _run(command)
    if figures["errors"]:
        raise AssertionError(figures["first_error"])
    return (peer.cpu_us() - before) / count


def _run(command: list[str]) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return figures


def _command(generator: Path, peer: Peer, home: Home, options: list[str]) -> list[str]:
    return [str(generator), "-addr", f"127.0.0.1:{peer.port}", *client_files(home), *options]


def _add_users(home: Home, count: int) -> None:
    """Add users with a certificate each to the state, as `user add` would, without making their keys."""
    now = datetime.now(UTC).isoformat()
    with closing(sqlite3.connect(home.state_file)) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(certificates)")]
        (own,) = database.execute("SELECT * FROM certificates").fetchall()[:1]
        for number in range(count):
            name = f"user-{number}"
            database.execute("INSERT INTO users VALUES (?, ?, 0)", (name, now))
            database.execute("INSERT INTO user_roles VALUES (?, 'user')", (name,))
            row = dict(zip(columns, own, strict=True))
            row |= {"user_name": name, "serial_number": f"{number + 1:X}", "sha256": f"{number:064x}"}
            marks = ", ".join("?" * len(columns))
            values = [row[column] for column in columns]
            database.execute(f"INSERT INTO certificates VALUES ({marks})", values)  # noqa: S608 -- question marks


def _revoke(home: Home, count: int) -> None:
    if not count:
        return
    revocation = Revocation(utc_now(), RevocationReason.UNSPECIFIED)
    entries = ((serial, revocation) for serial in range(1, count + 1))
    crl = load_issuer(home).sign_crl(entries, 2**40, utc_now(), 7)
    (home.crl_folder / "many.crl").write_bytes(crl.public_bytes(Encoding.DER))


def _map(home: Home, count: int) -> None:
    """Add entries for other CAs to the configuration; every one of them is checked before ours."""
    entries = "".join(
        f'[[cert_to_name]]\nid = "ca-{number}"\nfingerprint = "SHA256:{number:064x}"\nmap_type = "common-name"\n'
        for number in range(1, count + 1)
    )
    home.config_file.write_text(home.config_file.read_text() + entries)
