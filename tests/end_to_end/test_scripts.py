"""scripts/run on a fresh copy of the checkout: from nothing to alice logged in, and the output of a second start."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from support.client import Client
from support.machine import DEADLINE_S
from support.server import read_events
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that git tracks, with the environment that this test runs in: nothing is downloaded again."""
    root = tmp_path / "checkout"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for file in filter(None, map(bytes.decode, files)):
        if (ROOT / file).exists():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, root / file)
    (root / ".venv").symlink_to(ROOT / ".venv")
    digest = sha256((root / "pyproject.toml").read_bytes()).hexdigest()[:16]
    (ROOT / ".venv" / f"installed-run-{digest}").touch()
    return root


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(checkout: Path, port: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["scripts/run", "--listen", f"127.0.0.1:{port}"], cwd=checkout, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def running(checkout: Path, port: int) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with start(checkout, port) as process:
        assert process.stderr is not None
        said = ""
        while "^C ends the server" not in said:
            line = process.stderr.readline()
            assert line, f"scripts/run ended; it said {said}"
            said += line
        yield process, said
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)


def test_scripts_run_makes_a_home_prints_how_to_connect_and_reports_a_running_server(
    running: tuple["subprocess.Popen[str]", str], checkout: Path, port: int
) -> None:
    _, said = running
    assert f"listening on 127.0.0.1:{port}" in said
    home = Home(checkout)
    for name, roles in (("alice", "operator"), ("bob", "user")):
        files = (home.users_folder / f"{name}.pem", home.users_folder / f"{name}.key")
        with Client(port, home.ca_certificate, files) as client:
            assert client.read_until().startswith(f"you are {name} ({roles}; class 1)")
    for line in re.findall(r"^    (\.venv\S+ connect .*|\.venv\S+ audit tail) ?-?f?$", said, re.MULTILINE):
        done = subprocess.run(line.split(), cwd=checkout, input="quit\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert {"alice", "bob"} <= {event.get("user", {}).get("name") for event in read_events(home)}
    with start(checkout, port) as second:
        assert second.stderr is not None
        complaint = second.stderr.read()
        assert second.wait(DEADLINE_S) == 1
    assert complaint.startswith("error: a server is already running on this home folder: process ")
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True, text=True)
    assert "ca.key" not in status.stdout


def test_scripts_run_leaves_no_server_behind(running: tuple["subprocess.Popen[str]", str], checkout: Path) -> None:
    process, _ = running
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)
    assert [event["event"]["reason"] for event in read_events(Home(checkout))][-2:] == ["signal", "server-stopped"]
