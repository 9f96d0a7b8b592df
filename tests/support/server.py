"""A real server in a process of its own, on a real home folder."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from support.machine import DEADLINE_S
from telnetsd.files.home import Home

T = TypeVar("T")
Event = dict[str, Any]
WORKERS = int(os.environ.get("TELNETSD_TEST_WORKERS", "1"))
"""How many workers a server has in tests that do not set it; all of those tests hold for several workers as well."""
ELSEWHERE = "127.0.0.77"
"""The source address of a bystander: limits under test do not count it, and tests do not look for it."""
MEASURING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
"""Environment variables that make a new process measure its coverage."""


class RunningServer:
    """`telnetsd serve` on a port that the system chose; ready once it says that it listens."""

    def __init__(
        self,
        home: Home,
        *,
        before: Callable[[], None] | None = None,
        wrapper: Sequence[str] = (),
        stdout: int | None = None,
        workers: int = WORKERS,
        listen: str = "127.0.0.1:0",
        **environment: str,
    ) -> None:
        self.home = home
        serve = [sys.executable, "-m", "telnetsd", "serve", "--home", str(home.root), "--listen", listen]
        if workers != 1:
            serve += ["--workers", str(workers)]
        self.process = subprocess.Popen(
            [*wrapper, *serve],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            preexec_fn=before,  # noqa: PLW1509 -- limits of the child, set before it has threads
        )
        assert self.process.stderr is not None
        line, self._said_early = self.process.stderr.readline(), ""
        while line.startswith(("WARNING:", "warning: the limit of")):
            # If it takes longer to listen, what cannot be reached or recorded is reported before that.
            self._said_early += line
            line = self.process.stderr.readline()
        match = re.match(r"listening on 127\.0\.0\.1:(\d+)(, .*)?$", line)
        if match is None:
            self.process.kill()
            raise AssertionError(f"the server said: {line}{self.process.stderr.read()}")
        self.port = int(match[1])

    def stop(self) -> str:
        """End the server as an operator does, and return what else it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        # A second one, so that open sessions get no more time; two signals of one kind could be merged into one.
        self.process.send_signal(signal.SIGINT)
        _, rest = self.process.communicate(timeout=DEADLINE_S)
        return self._said_early + rest.removesuffix("stopped\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)

    def events(self) -> list[Event]:
        return read_events(self.home)

    def wait_for(self, predicate: Callable[[Event], bool]) -> Event:
        """Return the first event of the log for which the predicate holds, once it is there."""
        return wait_for_event(self.home, predicate)

    def session_from(self, port: int, action: str = "session-started") -> Event:
        return self.wait_for(lambda event: is_from(event, port) and action_of(event) == action)

    def actions_from(self, port: int) -> list[str]:
        return [action_of(event) for event in self.events_from(port)]

    def events_from(self, port: int) -> list[Event]:
        return [event for event in self.events() if is_from(event, port)]

    def denials_from(self, port: int) -> list[Event]:
        return [event for event in self.events_from(port) if action_of(event) == "command-denied"]


def read_events(home: Home) -> list[Event]:
    """Return every event of the current file; `support.audit.read_log` also reads rotated files."""
    if not home.audit_file.exists():
        return []
    return [json.loads(line) for line in home.audit_file.read_bytes().split(b"\n")[:-1]]


def wait_for_event(home: Home, predicate: Callable[[Event], bool]) -> Event:
    return wait_until(lambda: next((event for event in read_events(home) if predicate(event)), None), "an event")


def wait_until(look: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {deadline_s} s")


def get(event: Event, path: str) -> Any:
    value: Any = event
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def is_from(event: Event, port: int) -> bool:
    return bool(get(event, "source.port") == port and get(event, "source.ip") != ELSEWHERE)


def action_of(event: Event) -> str:
    return str(event["event"]["action"])


def all_leaves(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, dict):
        for one in value.values():
            yield from all_leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from all_leaves(one)
    elif isinstance(value, str):
        yield value
