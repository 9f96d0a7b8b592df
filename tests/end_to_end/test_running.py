"""docs/running.md as a script: every command on the page is run, on a server like the one that it describes.

The paths are the real ones, in a mount namespace of the test's own. `systemctl` is a short program there that starts
and stops the real server, since no test machine has systemd as its first process.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.homes import add
from support.machine import DEADLINE_S
from support.server import action_of, read_events
from telnetsd.administration.installation.generation import server_names
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

PAGE = Path(__file__).resolve().parents[2] / "docs" / "running.md"
SECTION = re.compile(r"^## (?P<title>.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent
ROLES = '[listener]\nlisten = "127.0.0.1:0"\n[roles.contractor]\ncommands = ["help", "quit"]\n'

ADMIN = f"""#!/bin/sh
exec {BIN}/telnetsd --home /var/lib/telnetsd "$@"
"""
SYSTEMCTL = f"""#!/bin/sh
stop() {{ if [ -e /run/telnetsd.pid ]; then kill "$(cat /run/telnetsd.pid)"; wait_for_end; fi; }}
wait_for_end() {{ while [ -e "/proc/$(cat /run/telnetsd.pid)/fd/0" ]; do sleep 0.05; done; rm /run/telnetsd.pid; }}
start() {{
    {BIN}/telnetsd --home /var/lib/telnetsd serve 2>/run/telnetsd.log </dev/null >/dev/null &
    echo $! >/run/telnetsd.pid
    until grep -q '^listening' /run/telnetsd.log; do kill -0 "$(cat /run/telnetsd.pid)" || exit 1; sleep 0.05; done
}}
case "$1" in
stop | disable) stop ;;
start | enable) start ;;
restart) stop; start ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """Folders that are /var/lib/telnetsd, /var/backups, /mnt, /run and /usr/local/sbin for the commands."""

    root: Path

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    @property
    def backups(self) -> Path:
        return self.root / "backups" / "telnetsd"

    def run(self, commands: str) -> str:
        """Run commands as a shell does, with a server that runs at their beginning; none may fail."""
        places = {
            "lib": "/var/lib",
            "home": "/var/lib/telnetsd",
            "backups": "/var/backups",
            "mnt": "/mnt",
            "sbin": "/usr/local/sbin",
            "run": "/run",
        }
        mounts = "".join(f'mount --bind "{self.root / own}" {real} && ' for own, real in places.items())
        script = f"{mounts} cd /mnt; set -eux; systemctl start telnetsd\n{commands}\nsystemctl stop telnetsd\n"
        unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        finished = subprocess.run(
            [*unshare, "sh", "-c", script],
            env={"PATH": "/usr/local/sbin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/mnt", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=4 * DEADLINE_S,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "Traceback" not in finished.stdout + finished.stderr
        return finished.stdout


def sections() -> Iterator[tuple[str, str]]:
    parts = SECTION.split(PAGE.read_text())
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        yield title, "".join(found["commands"] for found in BLOCK.finditer(text))


PAGES = dict(sections())


@pytest.fixture
def machine(home: Home, tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    for name in ("lib/telnetsd", "backups/telnetsd", "mnt", "sbin", "run"):
        (tmp_path / name).mkdir(parents=True)
    for name, content in (("telnetsd-admin", ADMIN), ("systemctl", SYSTEMCTL)):
        path = tmp_path / "sbin" / name
        path.write_text(content)
        path.chmod(0o755)
    home.config_file.write_text(ROLES)
    (tmp_path / "mnt" / "passphrase").write_text("correct horse\n")
    return made


def users(machine: Machine) -> str:
    return machine.run("telnetsd-admin user list")


def actions(machine: Machine) -> list[str]:
    return [action_of(one) for one in read_events(machine.home)]


def test_every_command_of_the_page_is_in_a_section_that_is_run() -> None:
    blocks = len(BLOCK.findall(PAGE.read_text()))
    assert blocks == sum(len(BLOCK.findall(text)) for text in SECTION.split(PAGE.read_text())[2::2]) > 15
    here = Path(__file__).read_text()
    assert [title for title in PAGES if f'PAGES["{title}"]' not in here] == []


def test_back_up(machine: Machine) -> None:
    output = machine.run(PAGES["Back up"])
    assert "state.db\n" in output
    assert {one.name.split(".")[0] == "keys" for one in machine.backups.iterdir()} == {True, False}
    assert actions(machine).count("installation-backed-up") == 2


def test_restore_on_the_same_machine_and_after_a_disk_failed(machine: Machine) -> None:
    machine.run(PAGES["Back up"] + "cp -a /var/lib/telnetsd/audit /mnt/audit\n")
    # The second half of the section restores the disk of another day: its log is at /mnt/audit.
    machine.run("telnetsd-admin user remove ed")
    first, second = PAGES["Restore"].split("systemctl start telnetsd\n", 1)
    machine.run(f"{first}systemctl start telnetsd\n")
    assert "ed " not in users(machine)
    machine.run("rm -r /mnt/audit; cp -a /var/lib/telnetsd/audit /mnt/audit\n" + second)
    assert "ed " not in users(machine)
    assert actions(machine).count("installation-restored") == 2


def test_move_to_another_machine(machine: Machine) -> None:
    old, new = PAGES["Move to another machine"].split("telnetsd-admin restore", 1)
    machine.run(old + "systemctl start telnetsd\n")
    output = machine.run(f"systemctl stop telnetsd; rm -r /var/lib/telnetsd/*\ntelnetsd-admin restore{new}")
    assert "restored /var/lib/telnetsd from the backup of" in output
    assert "console.example" in server_names(machine.home)


def test_upgrade_and_downgrade(machine: Machine) -> None:
    machine.run(PAGES["Upgrade"])
    machine.run("telnetsd-admin user revoke bob\n" + PAGES["Downgrade"])
    assert re.search(r"^bob .* revoked", users(machine), re.MULTILINE)


def test_a_lost_ca_key(machine: Machine) -> None:
    machine.run("rm /var/lib/telnetsd/certs/ca.key\n" + PAGES["A lost CA key"])
    assert {"ca-rotated", "ca-retired", "certificate-renewed"} <= set(actions(machine))


def test_a_lost_audit_key(machine: Machine) -> None:
    machine.run("rm /var/lib/telnetsd/certs/audit.key\n" + PAGES["A lost audit key"])
    assert "audit-key-changed" in actions(machine)


def test_a_second_device_and_a_lost_one(machine: Machine) -> None:
    machine.run(PAGES["A second device"] + PAGES["A lost device"])
    assert user_files(machine.home, "alice", "phone").key.exists()
    (revoked,) = [one for one in read_events(machine.home) if action_of(one) == "certificate-revoked"]
    assert revoked["telnetsd"]["certificate"]["revocation_reason"] == "keyCompromise"


def test_leavers(machine: Machine) -> None:
    for name in ("carol", "dave"):
        add(machine.home, name)
    add(machine.home, "con", "contractor")
    machine.run(PAGES["Leavers"])
    revoked = {one["user"]["target"]["name"] for one in read_events(machine.home) if "revocation_reason" in str(one)}
    assert revoked == {"bob", "carol", "dave", "con"}


def test_clock_trouble(machine: Machine) -> None:
    assert "alice" in machine.run(PAGES["Clock trouble"])
