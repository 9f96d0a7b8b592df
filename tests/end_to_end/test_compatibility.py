"""A home folder of an earlier version is served, verified and searched as it is.

The clock stands at the time of that version, so that its certificates stay valid.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.machine import DEADLINE_S, FAKETIME
from support.old_homes import MADE_AT, make_home_of_0_1_0
from support.schema import judge_file
from support.server import RunningServer
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

CLOCK = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"@{MADE_AT}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}


@pytest.fixture
def old_home(tmp_path: Path) -> Home:
    return make_home_of_0_1_0(tmp_path / "home")


@pytest.fixture
def old_server(old_home: Home) -> Iterator[RunningServer]:
    server = RunningServer(old_home, before=None, stdout=None, workers=1, **CLOCK)
    yield server
    if server.process.poll() is None:
        server.stop()


def run(home: Home, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "telnetsd", "--home", str(home.root), *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, **CLOCK},
    )


def session(server: RunningServer, user: str, *lines: str) -> subprocess.CompletedProcess[str]:
    typed = "".join(f"{line}\n" for line in (*lines, "quit"))
    return run(server.home, "connect", f"localhost:{server.port}", "--user", user, typed=typed)


def test_a_configuration_that_sets_every_key_of_0_1_0_is_accepted(old_home: Home) -> None:
    checked = run(old_home, "check")
    assert checked.returncode == 0, checked.stdout
    assert "error" not in checked.stdout


def test_the_log_of_0_1_0_is_intact_and_its_events_are_found(old_home: Home) -> None:
    verified = run(old_home, "audit", "verify")
    assert (verified.returncode, verified.stdout.splitlines()[:2]) == (
        0,
        ["intact", "  lines 1 to 43 are intact, in 6 files"],
    )
    found = run(old_home, "audit", "search", "--user", "alice", "--action", "line-*")
    assert [word for word in ("line-connected", "line-disconnected") if word not in found.stdout] == []
    assert "switch-1" in run(old_home, "recording", "list").stdout
    assert run(old_home, "recording", "verify").returncode == 0


def test_a_home_of_0_1_0_is_served_with_its_users_and_its_log_is_continued(old_server: RunningServer) -> None:
    home = old_server.home
    alice = session(old_server, "alice", "echo after the upgrade", "ping", "lines")
    assert alice.stdout.startswith("you are alice (operator; class 1)"), alice.stderr
    assert "after the upgrade" in alice.stdout
    assert "pong" in alice.stdout
    assert "switch-1" in alice.stdout
    assert "you are carol (auditor;" in session(old_server, "carol").stdout
    bob = session(old_server, "bob")
    assert bob.returncode == 255
    assert "revoked on 2026-11-30" in bob.stdout + bob.stderr
    assert run(home, "user", "add", "dave").returncode == 0
    assert "you are dave (user;" in session(old_server, "dave").stdout
    assert old_server.stop() == ""
    assert run(home, "audit", "verify").stdout.startswith("intact\n  lines 1 to ")
    executed = run(home, "audit", "search", "--user", "alice", "--action", "command-executed").stdout
    assert [text for text in ("  connect switch-1", "  echo after the upgrade") if text not in executed] == []
    assert "CN=bob" in run(home, "audit", "search", "--action", "session-refused").stdout
    assert list(judge_file(home.audit_file)) == []
