"""Faults of the audit log: what the client reads, what the log says, and what verify finds."""

import fcntl
import grp
import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.audit import assert_intact, read_log
from support.client import Client, connect_as
from support.command_line import telnetsd
from support.machine import DEADLINE_S, FAKETIME
from support.server import Event, RunningServer, action_of, get, wait_until
from telnetsd.audit.key import load_audit_key
from telnetsd.audit.reading.verification import Report
from telnetsd.files.home import Home

REFUSED = "refused: the audit log cannot be written, and nothing may run unrecorded; try again later"
TOLD = "*** the audit log cannot be written: logins and commands are refused until it can"
TOLD_OF_END = b"*** the audit log can be written again\r\n"


def verify(home: Home) -> Report:
    return assert_intact(home.audit_file, load_audit_key(home))


def find_all(home: Home, action: str, reason: str = "") -> list[Event]:
    found = [one for one in read_log(home.audit_file) if action_of(one) == action]
    return [one for one in found if not reason or one["event"]["reason"] == reason]


def test_after_kill_9_the_log_is_intact(start: Callable[..., RunningServer], home: Home) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        client.command("echo the last words")
        server.kill()
    assert "echo the last words" in [get(one, "telnetsd.command.line") for one in read_log(home.audit_file)]
    verify(home)
    start().stop()
    verify(home)


def test_a_server_that_is_paused_and_resumed_continues_where_it_was(
    start: Callable[..., RunningServer], home: Home
) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        server.process.send_signal(signal.SIGSTOP)
        client.send(b"echo while you slept\r\n")
        server.process.send_signal(signal.SIGCONT)
        assert "while you slept" in client.read_until()
    server.stop()
    verify(home)


HOLD_THE_LOCK = """
import fcntl, os, signal, sys
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_stopped_writer_that_holds_the_lock_delays_no_session(
    start: Callable[..., RunningServer], home: Home
) -> None:
    server = start("[limits]\nlines_per_s = 100\nlines_burst = 10\n")
    with connect_as(server, "bob") as client:
        client.read_until()
        with subprocess.Popen(
            [sys.executable, "-c", HOLD_THE_LOCK, str(home.audit_file)], stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            # A client that types too fast is slowed down. It is not disconnected because that event cannot be
            # recorded.
            client.send(b"\r\n" * 20 + b"echo here\r\n")
            assert TOLD in client.read_until(f"{REFUSED}\r\n".encode())
            client.read_until()
            with connect_as(server, "ed") as late:
                assert late.read_to_end() == f"{REFUSED}\r\n"
            holder.kill()
        client.read_until(TOLD_OF_END)
        client.read_until()
        assert client.command("echo again") == "again"
    server.stop()
    (recovered,) = find_all(home, "audit-recovered", "writable-again")
    # The command and the login were refused and never happened; their number is in the log (with that of a reload).
    assert recovered["telnetsd"]["audit"]["lost"] >= 2
    assert [get(one, "user.name") for one in find_all(home, "session-started")] == ["bob"]
    assert [get(one, "telnetsd.command.line") for one in find_all(home, "command-executed")] == ["echo again"]
    verify(home)


def in_its_own_mounts(folder: Path, size: str) -> list[str]:
    """Return a command prefix that mounts a small private filesystem on a folder, with the folder's contents."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    kept = folder.with_name("kept")
    mount = f'cp -a "{folder}" "{kept}" && mount -t tmpfs -o size={size},mode=700 tmpfs "{folder}"'
    mount += f' && cp -a "{kept}/." "{folder}" && exec "$@"'
    return [*unshare, "sh", "-c", mount, "sh"]


def fill_disk(filler: Path) -> None:
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    # The first write takes the remaining space, and the second one finds none.
    os.write(descriptor, b"x" * 2**20)
    with pytest.raises(OSError, match="No space left"):
        os.write(descriptor, b"x" * 2**20)
    os.close(descriptor)


def test_commands_and_logins_are_refused_while_the_disk_is_full_and_no_event_is_lost(
    start: Callable[..., RunningServer], home: Home
) -> None:
    server = start(wrapper=in_its_own_mounts(home.audit_file.parent, "256k"))
    seen = Path(f"/proc/{server.process.pid}/root{home.audit_file.parent}")
    filler = seen / "filler"
    with connect_as(server, "bob") as client, connect_as(server, "ed") as other:
        client.read_until()
        other.read_until()
        fill_disk(filler)
        answers = [client.command("echo here") for _ in range(12)]
        # The rest of the last page can still be written.
        refused = [answer for answer in answers if answer != "here"]
        assert TOLD in refused[0]
        assert refused[0].endswith(REFUSED)
        assert set(refused[1:]) == {REFUSED}
        other.read_until(f"{TOLD}\r\n".encode())
        with connect_as(server, "alice") as late:
            assert late.read_to_end() == f"{REFUSED}\r\n"
        other.tls.close()
        wait_until(lambda: '"user":"ed"' not in telnetsd(home, "session", "list", "--json").stdout, "the end of ed")
        # The list loses a session before its end is written; what is refused next was tried with it, or after it.
        assert client.command("echo here") == REFUSED
        filler.unlink()
        client.read_until(TOLD_OF_END)
        client.read_until()
        assert client.command("echo again") == "again"
        log = seen / "audit.jsonl"
        report = assert_intact(log, load_audit_key(home))
        assert report.damage is None
        events = read_log(log)
    executed = [one for one in events if action_of(one) == "command-executed"]
    assert len(executed) == answers.count("here") + 1
    (recovered,) = [one for one in events if one["event"]["reason"] == "writable-again"]
    assert recovered["telnetsd"]["audit"]["lost"] >= len(refused) + 2
    # The end of ed's session could not be refused: it is logged late, with the time at which it happened.
    assert recovered["telnetsd"]["audit"]["late"] == 1
    (ended,) = [one for one in events if action_of(one) == "session-ended"]
    assert ended["user"]["name"] == "ed"
    assert ended["@timestamp"] < recovered["@timestamp"]


def test_with_continue_sessions_go_on_and_their_events_are_written_late(
    start: Callable[..., RunningServer], home: Home
) -> None:
    server = start('[audit]\non_audit_failure = "continue"\n')
    with connect_as(server, "bob") as client:
        client.read_until()
        with home.audit_file.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            answer = client.command("echo one")
            assert answer.endswith("one")
            assert "*** the audit log cannot be written: what is done here is recorded later, or not at all" in answer
            with connect_as(server, "ed") as late:
                greeting = late.read_until()
                assert greeting.startswith("you are ed")
                assert "*** the audit log cannot be written" in greeting
            assert client.command("echo two") == "two"
        client.read_until(TOLD_OF_END)
        client.read_until()
        with connect_as(server, "ed") as after:
            assert "***" not in after.read_until()
    assert server.stop().count("ERROR: cannot write the audit log") == 1
    lines = [get(one, "telnetsd.command.line") for one in find_all(home, "command-executed")]
    assert lines == ["echo one", "echo two"]
    (recovered,) = find_all(home, "audit-recovered", "writable-again")
    assert recovered["telnetsd"]["audit"]["lost"] == 0
    verify(home)


def test_a_read_only_filesystem_is_reported_and_nothing_is_changed(home: Home) -> None:
    folder = home.audit_file.parent
    read_only = [*in_its_own_mounts(folder, "64k")[:-3], "-c"]
    script = f'mount -t tmpfs -o ro tmpfs "{folder}" && exec "$@"'
    command = [*read_only, script, "sh", sys.executable, "-m", "telnetsd", "--home", str(home.root)]
    for words in (["user", "add", "carol"], ["serve", "--listen", "127.0.0.1:0"]):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        assert done.returncode == 1
        assert re.fullmatch(r"error: .*Read-only file system; .*\n", done.stderr)
    assert telnetsd(home, "user", "show", "carol").returncode == 1
    assert not (home.users_folder / "carol.pem").exists()
    verify(home)


def test_a_deleted_log_is_restored_and_no_event_is_lost(start: Callable[..., RunningServer], home: Home) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        client.command("echo before")
        home.audit_file.unlink()
        assert client.command("echo behind") == "behind"
    server.stop()
    lines = [get(one, "telnetsd.command.line") for one in find_all(home, "command-executed")]
    assert lines == ["echo before", "echo behind"]
    assert len(find_all(home, "audit-recovered", "file-deleted")) == 1
    verify(home)


def logrotate(home: Home, tmp_path: Path, how: str) -> None:
    config = tmp_path / "logrotate.conf"
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    config.write_text(f"{home.audit_file} {{\n rotate 5\n {how}\n su {user} {group}\n}}\n")
    config.chmod(0o600)
    subprocess.run(
        ["/usr/sbin/logrotate", "--force", "--state", tmp_path / "logrotate.state", config],
        check=True,
        timeout=DEADLINE_S,
    )


@pytest.mark.parametrize("how", ["create", "create\n compress", "copytruncate", "nocreate"])
def test_a_log_that_logrotate_rotates_is_continued(
    how: str, start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        for number in range(3):
            assert client.command(f"echo {number}") == f"{number}"
            logrotate(home, tmp_path, how)
        assert client.command("echo 3") == "3"
    server.stop()
    lines = [get(one, "telnetsd.command.line") for one in find_all(home, "command-executed")]
    assert lines == [f"echo {number}" for number in range(4)]
    assert find_all(home, "audit-damaged") == []
    verify(home)


def test_a_clock_change_is_not_reported_as_damage(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    # Nothing else may write meanwhile: this way of setting a clock breaks waiting for a lock.
    assert telnetsd(home, "ca", "crl").returncode == 0
    clock = tmp_path / "clock"
    clock.write_text("+0")
    preload = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    server = start("[audit]\ncheckpoint_events = 2\n", **preload, FAKETIME_DONT_FAKE_MONOTONIC="1", workers=1)

    def let_in() -> Client | None:
        # At startup, the server itself reads its files under a lock, and a login has to wait for it.
        client = connect_as(server, "bob")
        try:
            client.read_until()
        except AssertionError:
            client.tls.close()
            return None
        return client

    with wait_until(let_in, "a session") as client:
        for step in ("+0", "-3h", "+2h", "+8d", "-1h"):
            clock.write_text(step)
            assert client.command(f"echo {step}") == step
    server.stop()
    times = [one["@timestamp"] for one in find_all(home, "command-executed")]
    assert len(times) == 5
    assert times != sorted(times)
    # The clock passed the age at which a file is closed.
    assert len(list(home.audit_file.parent.glob("audit-*.jsonl*"))) >= 1
    verify(home)


def test_of_two_servers_that_start_at_once_one_serves_and_the_log_is_intact(home: Home) -> None:
    command = [sys.executable, "-m", "telnetsd", "serve", "--home", str(home.root), "--listen", "127.0.0.1:0"]
    servers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    firsts = [server.stderr.readline() for server in servers if server.stderr]
    assert sorted(line.split(" ", 1)[0] for line in firsts) == ["error:", "listening"]
    assert any("a server is already running on this home folder" in line for line in firsts)
    for server in servers:
        server.terminate()
        server.communicate(timeout=DEADLINE_S)
    assert len(find_all(home, "server-started")) == 1
    verify(home)


def test_a_failed_rotation_delays_no_session(start: Callable[..., RunningServer], home: Home) -> None:
    # Nothing else may open the log meanwhile: opening it restores the folder's mode.
    assert telnetsd(home, "ca", "crl").returncode == 0
    server = start("[audit]\nrotate_bytes = 8192\ncompress = false\n", before=_obey_modes)
    folder = home.audit_file.parent
    with connect_as(server, "bob") as client:
        client.read_until()
        folder.chmod(0o500)
        for _ in range(12):
            assert client.command("echo here") == "here"
        folder.chmod(0o700)
    assert "WARNING: the audit log cannot be rotated" in server.stop()
    verify(home)


def _obey_modes() -> None:
    """Make file modes apply to root as well, in a child process."""
    import ctypes

    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def test_rotated_files_are_compressed_and_old_ones_removed_with_an_event(
    start: Callable[..., RunningServer], home: Home
) -> None:
    folder = home.audit_file.parent
    server = start("[audit]\nrotate_bytes = 4096\ncompress = false\n")
    with connect_as(server, "bob") as client:
        client.read_until()
        for number in range(20):
            assert client.command(f"echo {number}") == f"{number}"
    server.stop()
    rotated = sorted(folder.glob("audit-*.jsonl"))
    assert len(rotated) > 3
    server = start("[audit]\nretention_bytes = 3000\n")
    wait_until(lambda: len(list(folder.glob("audit-*.jsonl.zst"))) < len(rotated) - 1, "the removal of old files")
    server.stop()
    assert not list(folder.glob("audit-*.jsonl"))
    pruned = find_all(home, "audit-pruned")
    assert {one["event"]["reason"] for one in pruned} == {"retention-bytes"}
    report = verify(home)
    assert report.pruned == pruned[-1]["telnetsd"]["audit"]["last_sequence"]
