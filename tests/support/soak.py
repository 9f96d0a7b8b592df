"""A server under every kind of load at once: logins, commands, lines, revocations, reloads and kills at random."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from support.audit import read_log
from support.client import Client, connect_as
from support.command_line import telnetsd
from support.lines import Terminal, line
from support.machine import SLOWNESS
from support.processes import children, workers_of
from support.server import RunningServer, action_of
from telnetsd.files.home import Home

USERS = ("alice", "bob", "ed", "bob", "ed", None)
LINE = line("cat", "exec:cat", shared=True, roles=["user", "operator"])
PATIENCE_S = 10.0 * SLOWNESS
_GONE = (OSError, AssertionError, UnicodeDecodeError)
"""What a client sees when its worker was killed, or when its server is not yet available."""


@dataclass(slots=True)
class Seen:
    """What the clients saw; ports are those of sessions whose prompt was shown, commands those with an answer."""

    prompts: set[int] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    longest_gap_s: float = 0.0


class Clients:
    """Users that connect, work and disconnect, each in a thread, until the block ends."""

    def __init__(self, server: RunningServer, seed: int) -> None:
        self._server = server
        self._over = threading.Event()
        self.seen = Seen()
        self._threads = [
            threading.Thread(target=self._come_and_go, args=(user, random.Random(seed + number)))
            for number, user in enumerate(USERS)
        ]

    def __enter__(self) -> Seen:
        for thread in self._threads:
            thread.start()
        return self.seen

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _come_and_go(self, user: str | None, dice: random.Random) -> None:
        lost_since: float | None = None
        while not self._over.is_set():
            try:
                with connect_as(self._server, user) as client:
                    client.tls.settimeout(PATIENCE_S)
                    client.read_until()
                    if lost_since is not None:
                        self.seen.longest_gap_s = max(self.seen.longest_gap_s, time.monotonic() - lost_since)
                        lost_since = None
                    self.seen.prompts.add(client.port)
                    self._work(client, user, dice)
            except _GONE:
                self.seen.lost += 1
                lost_since = lost_since or time.monotonic()

    def _work(self, client: Client, user: str | None, dice: random.Random) -> None:
        for _ in range(dice.randint(1, 10)):
            # No user types without a pause, and the test is not about the greatest load that the machine can bear.
            self._over.wait(dice.uniform(0, 0.15))
            client.command("whoami")
            self.seen.answers[client.port] += 1
        if user is not None and dice.random() < 0.3:
            on_line = Terminal(client)
            on_line.connect("cat")
            on_line.send(b"hello\r")
            on_line.until(b"hello")
            on_line.leave()
        if dice.random() < 0.7:
            client.send(b"quit\r\n")
            client.read_to_end()


def _kill_one(pids: list[int], dice: random.Random) -> None:
    for pid in dice.sample(pids, min(1, len(pids))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _revoke(server: RunningServer) -> None:
    telnetsd(server.home, "user", "revoke", "bob", "--reason", "certificateHold")
    telnetsd(server.home, "user", "restore", "bob")


def _kick(server: RunningServer, dice: random.Random) -> None:
    rows = telnetsd(server.home, "session", "list").stdout.splitlines()[1:]
    if rows:
        telnetsd(server.home, "session", "kick", dice.choice(rows).split()[0])


def trouble(server: RunningServer, dice: random.Random) -> None:
    """Cause one disturbance, which must affect only the sessions that it hits."""
    troubles: tuple[Callable[[], object], ...] = (
        lambda: _kill_one(workers_of(server), dice),
        lambda: _kill_one(workers_of(server), dice),
        lambda: _kill_one(children(server.process.pid), dice),
        lambda: server.process.send_signal(signal.SIGHUP),
        lambda: telnetsd(server.home, "reload"),
        lambda: _revoke(server),
        lambda: _kick(server, dice),
    )
    dice.choice(troubles)()


def unaccounted(home: Home, seen: Seen) -> list[str]:
    """Report what is missing from the log, or is in it twice."""
    started, ended, commands = Counter[str](), Counter[str](), Counter[int]()
    on_lines, off_lines = Counter[str](), Counter[str]()
    ports: set[int] = set()
    lost: set[str] = set()
    for event in read_log(home.audit_file):
        session_id = event.get("telnetsd", {}).get("session", {}).get("id", "")
        match action_of(event):
            case "session-started":
                started[session_id] += 1
                ports.add(event["source"]["port"])
            case "session-ended":
                ended[session_id] += 1
                if event["event"]["reason"] == "worker-lost":
                    lost.add(session_id)
            case "line-connected":
                on_lines[session_id] += 1
            case "line-disconnected":
                off_lines[session_id] += 1
            case "command-executed":
                commands[event["source"]["port"]] += 1
    problems = [f"session {one} has {ended[one]} ends" for one in started if ended[one] != 1]
    problems += [f"session {one} ended without a start" for one in ended if one not in started]
    # A killed worker may have been about to report that one of its sessions is on a line.
    problems += [
        f"session {one} was {on_lines[one]} times on a line, and {off_lines[one]} times off it"
        for one in started
        if on_lines[one] != off_lines[one] and one not in lost
    ]
    problems += [f"the session from port {one} has no start" for one in seen.prompts - ports]
    problems += [
        f"port {port}: {count} answers, {commands[port]} commands on the log"
        for port, count in seen.answers.items()
        if commands[port] < count
    ]
    return problems


def soak(server: RunningServer, seconds: float, seed: int) -> Seen:
    """Let clients work for a while under disturbances, and return what they saw."""
    dice = random.Random(seed)
    with Clients(server, seed) as seen:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(dice.uniform(0.3, 1.2))
            trouble(server, dice)
    return seen
