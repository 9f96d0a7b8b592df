"""Backup and restore as an operator does them: a server that goes on, and clients that stay refused."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.audit import assert_intact
from support.client import connect_as
from support.command_line import done, refused, telnetsd
from support.server import RunningServer, action_of, get
from telnetsd.audit.key import load_audit_key
from telnetsd.files.home import Home


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("correct horse\n")
    return path


def test_a_certificate_that_was_revoked_after_the_backup_is_still_refused_after_a_restore(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path, passphrase: Path
) -> None:
    server, backup = start(), tmp_path / "b.tar.zst"
    with connect_as(server, "bob") as client, connect_as(server, "ed") as other:
        client.read_until()
        other.read_until()
        output = done(home, "backup", backup, "--with-keys", "--password-file", passphrase)
        assert "private files, such as keys, encrypted with the passphrase" in output
        assert client.command("echo goes on") == "goes on"
        done(home, "user", "revoke", "bob")
        client.read_to_end()
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    server.stop()
    restored = Home(tmp_path / "new")
    output = done(
        restored, "restore", backup, "--password-file", passphrase, "--log", home.audit_file.parent,
        "--key", home.audit_public_keys,
    )  # fmt: skip
    assert ": 1 revocation\n" in output
    running = RunningServer(restored)
    try:
        with connect_as(running, "bob") as client:
            assert "refused: your certificate (CN=bob) was revoked on" in client.read_to_end()
        with connect_as(running, "ed") as client:
            assert client.read_until().startswith("you are ed (user")
        running.wait_for(lambda one: get(one, "event.reason") == "certificate-revoked")
    finally:
        assert running.stop() == ""
    assert_intact(restored.audit_file, load_audit_key(restored))


def test_without_a_log_the_operator_is_told_that_revocations_are_lost(home: Home, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar.zst"
    output = done(home, "backup", backup)
    assert "without 9 private files, such as keys; to include them: --with-keys" in output
    lines = done(Home(tmp_path / "new"), "restore", backup).splitlines()
    assert any(line.startswith("  no later log was used: ") for line in lines)
    assert "    also revocations and removals; repeat them, or restore again with --log DIR" in lines
    assert "    certs/ca.key" in lines
    assert "    certs/server.key" in lines
    assert not any("users/" in line for line in lines)
    assert all(len(line) <= 80 for line in lines if "no new CRL" not in line and str(tmp_path) not in line)


def test_a_running_server_is_not_restored_over(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    server, backup = start(), tmp_path / "b.tar.zst"
    done(home, "backup", backup)
    assert "is not empty: it has " in refused(home, "restore", backup)
    assert "a server is already running on this home folder" in refused(home, "restore", backup, "--force")
    with connect_as(server, "bob") as client:
        client.read_until()
        assert client.command("echo here") == "here"
    assert "installation-restored" not in [action_of(one) for one in server.events()]


def test_a_backup_that_cannot_be_recorded_is_not_made(home: Home, tmp_path: Path) -> None:
    home.audit_key.unlink()
    assert "no private key at certs/audit.key" in refused(home, "backup", tmp_path / "b.tar.zst")
    assert [one.name for one in tmp_path.iterdir() if "b.tar" in one.name] == []


def test_an_existing_file_is_not_replaced_by_a_backup(home: Home, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    assert "exists; choose another name" in refused(home, "backup", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "mine"
    assert "No such file or directory" in refused(home, "backup", tmp_path / "no" / "b")


def test_the_passphrase_of_keys_is_asked_for_only_where_it_is_used(
    home: Home, tmp_path: Path, passphrase: Path
) -> None:
    ended = telnetsd(home, "backup", tmp_path / "b", "--password-file", passphrase)
    assert ended.returncode == 2
    assert "add --with-keys" in ended.stderr
    done(home, "backup", tmp_path / "b", "--with-keys", "--password-file", passphrase)
    message = refused(Home(tmp_path / "new"), "restore", tmp_path / "b")
    assert message == f"error: {tmp_path}/b is encrypted; give its password with --password-file FILE"
    passphrase.write_text("wrong\n")
    message = refused(Home(tmp_path / "new"), "restore", tmp_path / "b", "--password-file", passphrase)
    assert message == "error: the passphrase does not open the keys of this backup; try another one"
    assert not (tmp_path / "new" / "state.db").exists()


def test_any_tar_lists_a_backup(home: Home, tmp_path: Path) -> None:
    done(home, "backup", tmp_path / "b.tar.zst")
    listed = subprocess.run(
        ["tar", "--zstd", "-tf", tmp_path / "b.tar.zst"], capture_output=True, text=True, check=True
    )
    assert listed.stdout.splitlines()[0] == "state.db"
    assert listed.stdout.splitlines()[-1] == "manifest.sig"


def test_recordings_are_included_on_request(home: Home, tmp_path: Path) -> None:
    home.recordings_folder.mkdir(parents=True)
    (home.recordings_folder / "x.cast").write_text("{}")
    (home.root / "certs" / "trust" / "link.pem").symlink_to(home.ca_certificate)
    os.mkfifo(home.root / "certs" / "trust" / "fifo")
    assert "without recordings; to include them: --with-recordings" in done(home, "backup", tmp_path / "a")
    done(home, "backup", tmp_path / "b", "--with-recordings")
    restored = Home(tmp_path / "new")
    done(restored, "restore", tmp_path / "b")
    assert (restored.recordings_folder / "x.cast").read_text() == "{}"
    link = restored.root / "certs" / "trust" / "link.pem"
    assert link.read_bytes() == home.ca_certificate.read_bytes()
    assert not link.is_symlink()
