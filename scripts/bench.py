"""The cost of telnetsd beside other servers: one table of medians, ratios and spread, from one run.

Each server runs on the first core, and the load on the others. The servers take turns of about half a second, and a
ratio compares two turns of the same round, so a slow moment of the machine affects both.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from bench_clients import measure_bulk, measure_login_latency
from bench_parts import measure_parts
from bench_peers import ROOM, Peer, client_files, find_peers, load_generator, rest, telnetsd

from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import GeneratedKey
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.keys import KeyType

ROUNDS: Final = 7
QUICK_ROUNDS: Final = 3
TURN_S: Final = 0.5
IN_FLIGHT: Final = 64
FIRST_COUNT: Final = 24
SLOW_COUNT: Final = 8
SSH_HELD: Final = 40
FEW_HELD: Final = 1_000
MANY_HELD: Final = 10_000
BASE: Final = "Go"
OURS: Final = "telnetsd"
OURS_FOR_LINES: Final = "telnetsd, interval"
"""With a log that reaches the disk a second later; there too, an action is recorded before it is done."""
_OTHER_CLIENTS: Final = {"ssh": "bench_asyncssh.py", "telnet": "bench_telnet_load.py"}


@dataclass(slots=True)
class Row:
    """One kind of load.

    Attributes:
        name: The name of the row.
        options: The options of the load generator, without the count.
        loads: The kinds of login of the servers that take part.
        names: The servers that take part, if not all do: opening so many sessions would take the others minutes.
        sessions: How many sessions are open at a time, for lines.
        counts: How many logins or lines make a turn, for each server; found by the first turn.
        turns: The results of each turn of each server.
    """

    name: str
    options: list[str]
    loads: tuple[str, ...] = ("tls",)
    names: tuple[str, ...] = ()
    sessions: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    turns: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def takes(self, peer: Peer) -> bool:
        """Tell whether a server takes part."""
        is_named = peer.name in self.names if self.names else peer.name != OURS_FOR_LINES
        return is_named and peer.load in self.loads


def make_rows() -> list[Row]:
    """Return the rows."""
    every = ("tls", "tls, one at a time", "telnet", "ssh")
    echo, few = ["-mode", "echo", "-c"], (OURS_FOR_LINES, BASE, "telnetlib3")
    return [
        Row("full login", ["-c", str(IN_FLIGHT)], every),
        Row("resumed login", ["-c", str(IN_FLIGHT), "-resume"], ("tls",)),
        Row("line round trip, 100 sessions", [*echo, "100"], names=(*few, "stunnel exec"), sessions=100),
        Row("line round trip, 1,000 sessions", [*echo, "1000"], names=few, sessions=1000),
    ]


class Bench:
    """One run."""

    def __init__(self, folder: Path, *, is_quick: bool) -> None:
        self.home = Home(folder / "home")
        self.folder = folder
        self.is_quick = is_quick
        self.rounds = QUICK_ROUNDS if is_quick else ROUNDS
        initialise(self.home, ())
        add_user(self.home, NewUser(User("alice", ("user",))), GeneratedKey(KeyType.EC), Grant())
        self.home.config_file.write_text(ROOM)
        relaxed = Home(folder / "relaxed")
        shutil.copytree(self.home.root, relaxed.root)
        relaxed.config_file.write_text(ROOM + '[audit]\ndurability = "interval"\n')
        self.ours = [telnetsd(self.home, 1), telnetsd(relaxed, 1, OURS_FOR_LINES)]
        self.peers, self.absent = find_peers(self.home, folder / "peers")
        self.generator = load_generator(folder / "peers")
        self.rows = make_rows()
        self.memory: dict[str, dict[str, float]] = {}
        self.latencies: dict[str, dict[str, tuple[float, float]]] = {}
        self.bulk: dict[str, list[float]] = {}

    def run(self) -> None:
        """Measure all servers beside each other."""
        self.peers = [*self.ours, *self.peers]
        for peer in self.peers:
            self._start(peer)
        started = [one for one in self.peers if one.process is not None]
        try:
            for row in self.rows:
                for number in range(self.rounds):
                    say(f"{row.name}: round {number + 1} of {self.rounds}")
                    for peer in started:
                        if row.takes(peer):
                            self._turn(row, peer)
            self._measure_latency(started)
            self._measure_bulk(started)
            self._weigh(started)
        finally:
            for peer in started:
                peer.stop()

    def _start(self, peer: Peer) -> None:
        say(f"starting {peer.name}")
        try:
            peer.start()
            self._load(peer, self.rows[0], FIRST_COUNT)
        except (AssertionError, OSError, KeyError, ValueError) as error:
            self.absent[peer.name] = str(error).splitlines()[0]
            peer.stop()
            peer.process = None

    def _turn(self, row: Row, peer: Peer) -> None:
        count = row.counts.get(peer.name) or self._calibrate(row, peer)
        if count:
            before, figures = peer.cpu_us(), self._load(peer, row, count)
            figures["cpu_us"] = (peer.cpu_us() - before) / count
            row.turns.setdefault(peer.name, []).append(figures)

    def _calibrate(self, row: Row, peer: Peer) -> int:
        """Determine how many make a turn; return 0 for a server that does not bear this load."""
        first = self._smallest(row)
        try:
            per_s = self._load(peer, row, first)["per_s"]
        except (KeyError, ValueError, AssertionError) as error:
            self.absent.setdefault(f"{peer.name}, {row.name}", str(error).splitlines()[0])
            return 0
        return max(SLOW_COUNT if row.sessions == 0 else first, int(per_s * TURN_S))

    @staticmethod
    def _smallest(row: Row) -> int:
        return 2 * row.sessions or FIRST_COUNT

    def _load(self, peer: Peer, row: Row, count: int) -> dict[str, float]:
        if count < 0:
            raise ValueError("it does not bear this load")
        if peer.load in _OTHER_CLIENTS:
            command = self._other_client(peer, count)
        else:
            options = ["-c", "1"] if "one at a time" in peer.load else row.options
            command = [str(self.generator), "-addr", f"127.0.0.1:{peer.port}", *client_files(self.home)]
            command += [*options, "-n", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        figures: dict[str, Any] = json.loads(done.stdout or "{}")
        if figures["errors"]:
            raise ValueError(f"{figures['errors']} errors: {figures['first_error']}")
        return {name: float(figures[name]) for name in ("per_s", "p50_ms", "p99_ms") if name in figures}

    def _other_client(self, peer: Peer, count: int, verb: str = "load") -> list[str]:
        """Return a client for a server that the load generator cannot talk to; it is slow, and counts are small."""
        script = str(Path(__file__).with_name(_OTHER_CLIENTS[peer.load]))
        if peer.load == "ssh":
            return [sys.executable, script, verb, str(peer.port), str(self.folder / "peers" / "ssh"), str(count)]
        files = client_files(self.home)[1::2]
        return [sys.executable, script, str(peer.port), str(count), *files]

    def _measure_latency(self, peers: list[Peer]) -> None:
        """Measure how long a login takes when logins arrive at half the rate that telnetsd accepts."""
        half = statistics.median(one["per_s"] for one in self.rows[0].turns[OURS]) / 2
        row = self.latencies[f"login latency at {half:,.0f} logins a second, median and p99"] = {}
        takers = [one for one in peers if one.name in (OURS, BASE, "telnetlib3")]
        rounds = []
        for number in range(self.rounds):
            say(f"login latency: round {number + 1} of {self.rounds}")
            rounds.append([measure_login_latency(self.home, one.port, half) for one in takers])
        for place, peer in enumerate(takers):
            middle, late = zip(*(one[place] for one in rounds), strict=True)
            row[peer.name] = statistics.median(middle), statistics.median(late)

    def _measure_bulk(self, peers: list[Peer]) -> None:
        for number in range(self.rounds):
            say(f"bulk through one session: round {number + 1} of {self.rounds}")
            for peer in peers:
                if peer.name in (OURS_FOR_LINES, BASE, "telnetlib3"):
                    self.bulk.setdefault(peer.name, []).append(measure_bulk(self.home, peer.port))

    def _weigh(self, peers: list[Peer]) -> None:
        """Measure what an idle session costs, each time in a server that has had no session before."""
        for count in (FEW_HELD, MANY_HELD)[: 1 if self.is_quick else 2]:
            row = f"idle memory a session, {count:,} sessions"
            names = (OURS, BASE, "telnetlib3", "stunnel exec") if count == FEW_HELD else (OURS, BASE)
            self._weigh_each([one for one in peers if one.name in names], row, count)
        self._weigh_each([one for one in peers if one.name == "sshd"], f"the same of sshd, {SSH_HELD}", SSH_HELD)

    def _weigh_each(self, peers: list[Peer], row: str, count: int) -> None:
        self.memory[row] = {}
        for peer in peers:
            peer.stop()
            peer.start()
            self._load(peer, self.rows[0], FIRST_COUNT if peer.load == "ssh" else 2 * IN_FLIGHT)
            with contextlib.suppress(AssertionError, OSError):
                self.memory[row][peer.name] = self._idle_kib(peer, count)

    def _idle_kib(self, peer: Peer, count: int) -> float:
        say(f"holding {count:,} sessions on {peer.name}")
        before = peer.memory_kib()
        if peer.load == "ssh":
            command = self._other_client(peer, count, "hold")
        else:
            command = [str(self.generator), "-addr", f"127.0.0.1:{peer.port}", *client_files(self.home)]
            command += ["-mode", "hold", "-c", str(count), "-hold", "4s"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as holding:
            assert holding.stderr is not None  # noqa: S101 -- it is a pipe
            if "held" not in holding.stderr.readline():
                raise AssertionError(f"{peer.name} does not hold {count} sessions")
            rest(1.0)
            kib = (peer.memory_kib() - before) / count
        rest(0.5)
        return kib

    def measure_workers(self) -> dict[str, str]:
        """Compare one and two workers that share every core with the load."""
        peers = [telnetsd(self.home, 1), telnetsd(self.home, 2)]
        row, ratios, rates = make_rows()[0], [], []
        for number in range(self.rounds):
            say(f"workers: round {number + 1} of {self.rounds}")
            pair = []
            for peer in peers:
                peer.cores = ()
                peer.start()
                try:
                    self._load(peer, row, 200)
                    pair.append(self._load(peer, row, 800)["per_s"])
                finally:
                    peer.stop()
            ratios.append(pair[1] / pair[0])
            rates.append(pair)
        one, two = (statistics.median(pair[place] for pair in rates) for place in (0, 1))
        return {"logins, 2 workers beside 1, load on the same cores": f"{two:,.0f}/s, {one:,.0f}/s, {_of(ratios)}"}


def _of(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def say(words: str) -> None:
    """Show progress."""
    print(f"==> {words}", file=sys.stderr, flush=True)


def summarise(bench: Bench) -> dict[str, Any]:
    """Return medians, ratios to the base within each round, and spreads, by row and server."""
    table: dict[str, Any] = {}
    for row in bench.rows:
        base = row.turns.get(BASE, [])
        table[row.name] = {}
        for name, turns in row.turns.items():
            ratios = [one["per_s"] / other["per_s"] for one, other in zip(turns, base, strict=False)]
            cpu = [other["cpu_us"] / one["cpu_us"] for one, other in zip(turns, base, strict=False) if one["cpu_us"]]
            table[row.name][name] = {
                "per_s": statistics.median(one["per_s"] for one in turns),
                "cpu_us": statistics.median(one["cpu_us"] for one in turns),
                "p50_ms": statistics.median(one["p50_ms"] for one in turns),
                "ratio": statistics.median(ratios) if ratios else None,
                "ratio_least": min(ratios, default=None),
                "ratio_most": max(ratios, default=None),
                "cpu_ratio": statistics.median(cpu) if cpu else None,
                "rounds": len(turns),
            }
    for name, latencies in bench.latencies.items():
        table[name] = {peer: {"p50_ms": middle, "p99_ms": late} for peer, (middle, late) in latencies.items()}
    table["bulk through one session, lines of 4,000 bytes"] = {
        name: {"mib_s": statistics.median(rates), "ratio": _median_ratio(rates, bench.bulk.get(BASE, []))}
        for name, rates in bench.bulk.items()
    }
    for name, kib in bench.memory.items():
        table[name] = {peer: {"kib": value} for peer, value in kib.items()}
    return table


def _median_ratio(rates: list[float], base: list[float]) -> float | None:
    ratios = [one / other for one, other in zip(rates, base, strict=False)]
    return statistics.median(ratios) if ratios else None


def show(table: dict[str, Any], absent: dict[str, str]) -> None:
    """Print the table for a person."""
    for row, servers in table.items():
        print(f"\n{row}")
        for name, figures in servers.items():
            if "kib" in figures:
                print(f"  {name:<22} {figures['kib']:>9.1f} KiB")
                continue
            if "mib_s" in figures:
                print(f"  {name:<22} {figures['mib_s']:>9.1f} MiB/s {figures['ratio'] or 0:.2f}")
                continue
            if "per_s" not in figures:
                print(f"  {name:<22} {figures['p50_ms']:>9.1f} ms {figures['p99_ms']:>9.1f} ms")
                continue
            ratio = f"{figures['ratio']:.2f}" if figures["ratio"] is not None else ""
            spread = f"({figures['ratio_least']:.2f} to {figures['ratio_most']:.2f})" if ratio else ""
            cpu = f"{figures['cpu_us']:>9,.0f} us CPU"
            print(f"  {name:<22} {figures['per_s']:>9,.0f}/s {ratio:>6} {spread:<16} {cpu}")
    for name, why in absent.items():
        print(f"left out: {name}: {why}")


def main() -> None:
    """Measure, print the table, and save it."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and the table alone: under three minutes")
    parser.add_argument("--parts", action="store_true", help="what the audit log, lines and CRLs cost, and no peers")
    parser.add_argument("--search", metavar="GIB", type=float, help="what the search of so much recorded text costs")
    parser.add_argument("--log", metavar="EVENTS", type=int, help="what a search in a log of so many events costs")
    parser.add_argument("--growth", action="store_true", help="what grows with sessions, users and revocations")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", metavar="FOLDER", type=Path, help="save bench.json and bench.png there")
    arguments = parser.parse_args()
    begun, cores = time.monotonic(), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    with tempfile.TemporaryDirectory(prefix="telnetsd-bench-") as name:
        folder = Path(name)
        if arguments.parts:
            figures: dict[str, Any] = {"parts": measure_parts(Home(folder / "home"))}
        elif arguments.search:
            from bench_search import measure_search

            figures = {"parts": measure_search(folder, int(arguments.search * 2**30))}
        elif arguments.log:
            from bench_verbs import measure_log_search

            figures = {"parts": measure_log_search(Home(folder / "home"), arguments.log)}
        elif arguments.growth:
            from bench_growth import measure_growth

            figures = {"growth": measure_growth(folder, say)}
        else:
            figures = _measure_beside(folder, arguments.quick, cores)
    figures["took_s"] = round(time.monotonic() - begun)
    _give(figures, is_json=arguments.json, folder=arguments.save)


def _measure_beside(folder: Path, is_quick: bool, cores: list[int]) -> dict[str, Any]:
    bench = Bench(folder, is_quick=is_quick)
    bench.run()
    figures: dict[str, Any] = {"table": summarise(bench), "absent": bench.absent}
    os.sched_setaffinity(0, cores)
    figures["workers"] = bench.measure_workers()
    return figures


def _give(figures: dict[str, Any], *, is_json: bool, folder: Path | None) -> None:
    if is_json:
        print(json.dumps(figures, indent=1))
    else:
        if "table" in figures:
            show(figures["table"], figures["absent"])
        for part in ("workers", "parts"):
            for name, value in figures.get(part, {}).items():
                print(f"  {name:<58} {value}")
        if "growth" in figures:
            print(json.dumps(figures["growth"], indent=1))
        print(f"\nmeasured in {figures['took_s']} s; compare figures of one run, never of two")
    if folder is not None:
        from bench_picture import draw

        folder.mkdir(parents=True, exist_ok=True)
        kind = "growth" if "growth" in figures else "bench"
        (folder / f"{kind}.json").write_text(json.dumps(figures, indent=1) + "\n")
        draw(figures, folder / f"{kind}.png")


if __name__ == "__main__":
    main()
