"""The file and its chain: many writers, crashes, damage, rotation, and a full disk."""

import errno
import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.audit import (
    KEY,
    assert_intact,
    event,
    make_key,
    make_seal,
    messages,
    open_test_log,
    read_log,
    verify_log,
)
from telnetsd.audit.chain import Head, make_draft, read_link, seal
from telnetsd.audit.checkpoint import Seal
from telnetsd.audit.file import seal_path
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.reading.archive import read_lines, take_files
from telnetsd.audit.reading.verification import DamageKind, Expectation, verify
from telnetsd.config.settings import AuditSettings
from telnetsd.config.values import Durability
from telnetsd.events.reason import CheckpointReason

TESTS = Path(__file__).parents[2]


def write(path: Path, *texts: str) -> None:
    log = open_test_log(path)
    log.append([event(text) for text in texts])
    log.close()


def reasons(path: Path) -> list[str]:
    return [one["event"]["reason"] for one in read_log(path)]


def damage_of(path: Path) -> DamageKind | None:
    damage = verify_log(path).damage
    return damage.kind if damage else None


def cut_lines(path: Path, count: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-count]))


def test_events_are_appended_in_order_and_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one"), event("two")])
    log.append([event("three")])
    log.close()
    assert messages(path) == ["one", "two", "three"]
    assert_intact(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


WRITE_MANY = """
import sys
from pathlib import Path
from support.audit import event, open_test_log
log = open_test_log(Path(sys.argv[1]))
for number in range(25):
    log.append([event(f"{number}"), event(f"{number} again")])
"""


def test_four_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    command = [sys.executable, "-c", WRITE_MANY, str(path)]
    writers = [subprocess.Popen(command, cwd=TESTS) for _ in range(4)]
    assert [writer.wait(30) for writer in writers] == [0] * 4
    assert assert_intact(path).events == 201


def test_a_torn_last_line_is_set_aside_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    with path.open("ab") as file:
        file.write(b'{"@timestamp":"2026-')
    assert damage_of(path) is DamageKind.TORN
    write(path, "two")
    recovered = read_log(path)[2]
    assert recovered["event"]["action"] == "audit-recovered"
    assert recovered["event"]["reason"] == "torn-line"
    (aside,) = tmp_path.glob("torn-*.part")
    assert recovered["file"]["name"] == aside.name
    assert aside.read_bytes() == b'{"@timestamp":"2026-'
    assert aside.stat().st_mode & 0o777 == 0o600
    assert_intact(path)


def test_a_file_that_begins_with_a_torn_line_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"@time')
    write(path, "one")
    assert reasons(path) == ["file-opened", "torn-line", "started"]
    assert_intact(path)


def test_a_changed_last_line_is_recorded_and_the_chain_continues(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    path.write_bytes(path.read_bytes().replace(b"one", b"two2"))
    write(path, "three")
    assert reasons(path) == ["file-opened", "started", "last-line-changed", "started"]
    report = verify_log(path)
    assert report.damage is not None
    assert (report.damage.kind, report.damage.line) == (DamageKind.CHANGED, 2)


def test_a_changed_last_line_stops_the_log_when_there_is_no_seal(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    path.write_bytes(path.read_bytes().replace(b"one", b"two2"))
    seal_path(path).unlink()
    log = open_test_log(path)
    with pytest.raises(AuditUnavailableError, match="last line is damaged"):
        log.append([event("three")])
    log.close()


def test_truncated_lines_stay_missing_and_an_event_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one", "two", "three")
    cut_lines(path, 2)
    assert damage_of(path) is DamageKind.TRUNCATED
    write(path, "four")
    found = read_log(path)[2]
    assert found["event"]["action"] == "audit-damaged"
    assert found["event"]["reason"] == "lines-missing"
    assert found["telnetsd"]["audit"] == {"lines": 2}
    assert found["event"]["sequence"] == 5
    assert damage_of(path) is DamageKind.REMOVED


def test_a_log_truncated_under_an_open_writer_continues_its_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one"), event("two")])
    cut_lines(path, 1)
    seal_path(path).unlink()
    log.append([event("three")])
    log.close()
    assert reasons(path) == ["file-opened", "started", "seal-missing", "lines-missing", "started"]
    assert damage_of(path) is DamageKind.REMOVED


FORGED_SEAL = make_seal(KEY, Head(7, "0" * 64)).replace(b":7,", b":2,")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 512, FORGED_SEAL])
def test_an_invalid_seal_is_recorded_and_replaced(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    seal_path(path).write_bytes(content)
    assert verify_log(path).damage is not None
    write(path, "two")
    assert reasons(path)[2] == ("seal-changed" if content else "seal-missing")
    assert_intact(path)


def test_a_seal_of_another_key_is_recorded_as_changed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    seal_path(path).write_bytes(make_seal(make_key(7), Head(2, "0" * 64)))
    assert damage_of(path) is DamageKind.CHANGED
    write(path, "two")
    assert reasons(path)[2] == "seal-changed"


def announce(path: Path, head: Head, following: Head) -> None:
    """Leave the log in the state of a writer that was killed before it sealed what it wrote."""
    seal_path(path).write_bytes(KEY.make_seal(Seal(head, following)))


def heads(path: Path) -> list[Head]:
    return [read_link(line).head for line in path.read_bytes().splitlines()]


def test_lines_that_a_killed_writer_announced_but_did_not_seal_count(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one", "two", "three")
    announce(path, heads(path)[1], heads(path)[3])
    assert assert_intact(path).unsealed == 2
    write(path, "four")
    assert messages(path) == ["one", "two", "three", "four"]
    assert assert_intact(path).unsealed == 0


def test_an_incomplete_batch_of_a_killed_writer_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one", "two", "three")
    announce(path, heads(path)[1], heads(path)[3])
    cut_lines(path, 1)
    assert damage_of(path) is DamageKind.INSERTED
    write(path, "four")
    assert reasons(path) == ["file-opened", "started", "unsealed-lines", "started"]
    (aside,) = tmp_path.glob("torn-*.part")
    assert b'"two"' in aside.read_bytes()
    assert_intact(path)


def test_lines_forged_after_the_seal_never_count(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    with path.open("ab") as file:
        file.write(seal(make_draft(event("forged")), heads(path)[-1])[0])
    assert damage_of(path) is DamageKind.INSERTED
    write(path, "two")
    assert reasons(path) == ["file-opened", "started", "unsealed-lines", "started"]
    assert "forged" not in messages(path)
    assert_intact(path)


def test_a_finding_is_recorded_even_if_the_first_attempt_fails(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    with path.open("ab") as file:
        file.write(b'{"@timestamp":"2026-')
    log = open_test_log(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.write", _no_space)
        with pytest.raises(AuditUnavailableError):
            log.append([event("two")])
    log.append([event("three")])
    log.close()
    assert reasons(path) == ["file-opened", "started", "torn-line", "started"]
    assert_intact(path)


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_replaced_file_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one")])
    size = path.stat().st_size
    path.rename(tmp_path / "audit.jsonl.1")
    write(path, "two")
    write(path, "x" * (size - path.stat().st_size - 600))
    path.write_bytes(path.read_bytes())
    os.truncate(path, path.stat().st_size)
    log._size = path.stat().st_size
    log.append([event("three")])
    log.close()
    assert_intact(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_folder_in_place_of_a_file_is_refused_without_waiting(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "audit.jsonl")
    with pytest.raises(AuditUnavailableError):
        open_test_log(tmp_path / "audit.jsonl").append([event()])
    other = tmp_path / "other" / "audit.jsonl"
    write(other, "one")
    seal_path(other).unlink()
    make(seal_path(other))
    with pytest.raises(AuditUnavailableError):
        write(other, "two")


def test_a_file_that_was_moved_away_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one")])
    path.rename(tmp_path / "audit.jsonl.1")
    log.append([event("two")])
    log.close()
    assert reasons(path) == ["file-opened", "started", "file-opened", "started"]
    assert_intact(path)


def test_a_file_that_was_moved_away_between_writers_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one")
    path.rename(tmp_path / "audit.jsonl.1")
    write(path, "two")
    assert_intact(path)
    (tmp_path / "audit.jsonl.1").unlink()
    assert damage_of(path) is DamageKind.REMOVED


def test_a_file_emptied_under_an_open_writer_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one")])
    shutil.copy(path, tmp_path / "audit.jsonl.1")
    os.truncate(path, 0)
    log.append([event("two")])
    log.close()
    assert reasons(path) == ["file-opened", "started", "file-opened", "started"]
    assert_intact(path)


def test_a_file_deleted_under_an_open_writer_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log, other = open_test_log(path), open_test_log(path)
    log.append([event("one")])
    path.unlink()
    log.append([event("two")])
    other.append([event("three")])
    log.close()
    other.close()
    assert reasons(path) == ["file-opened", "started", "file-opened", "file-deleted", "started", "started"]
    assert (tmp_path / "audit-000000000001.jsonl").stat().st_mode & 0o777 == 0o600
    assert_intact(path)


def test_a_removed_rotated_file_is_not_restored_by_a_writer_that_had_it_open(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log, idle = open_test_log(path, AuditSettings(rotate_bytes=4096)), open_test_log(path)
    while not (rotated := list(tmp_path.glob("audit-*.jsonl"))):
        log.append([event()])
    rotated[0].unlink()
    idle.append([event("again")])
    log.close()
    idle.close()
    assert list(tmp_path.glob("audit-*.jsonl")) == []


def test_files_are_rotated_by_size_and_each_is_signed_where_it_begins_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path, AuditSettings(rotate_bytes=4096))
    for number in range(30):
        log.append([event(f"{number}")])
    log.close()
    rotated = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(rotated) > 2
    for file in rotated:
        lines = [json.loads(line) for line in file.read_bytes().splitlines()]
        assert file.name == f"audit-{lines[0]['event']['sequence']:012d}.jsonl"
        assert (lines[0]["event"]["reason"], lines[-1]["event"]["reason"]) == ("file-opened", "rotation")
        snapshot = take_files([file])
        report = verify(read_lines(snapshot), Expectation(KEY.public, snapshot.seal, is_whole=False))
        assert report.damage is None
        assert report.events == len(lines)
    assert messages(path) == [f"{number}" for number in range(30)]
    assert_intact(path)


def test_a_file_is_rotated_by_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path, AuditSettings(rotate_age_s=3600))
    log.append([event("one")])
    log.append([event("two")])
    assert list(tmp_path.glob("audit-*.jsonl")) == []
    monkeypatch.setattr(log, "_begun_at", datetime.now(UTC) - timedelta(hours=2))
    log.append([event("three")])
    log.close()
    assert len(list(tmp_path.glob("audit-*.jsonl"))) == 1
    assert_intact(path)


def test_a_checkpoint_is_signed_after_a_number_of_events(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path, AuditSettings(checkpoint_events=10))
    for _ in range(20):
        log.append([event()])
    log.append([event()] * 25)
    log.close()
    assert reasons(path).count("checkpoint-events") == 3
    assert_intact(path)


def test_a_checkpoint_is_signed_after_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path, AuditSettings(checkpoint_interval_s=0.1))
    log.append([event()])
    monotonic_start = log._signed_at
    log._signed_at = monotonic_start - 1
    log.append([event()])
    log.append([event()])
    log.close()
    assert reasons(path).count("checkpoint-interval") == 1


def test_nothing_is_signed_twice_unless_an_operator_requests_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event()])
    line = log.checkpoint(CheckpointReason.INTERVAL)
    assert log.checkpoint(CheckpointReason.SERVER_STOPPED) == line
    assert log.checkpoint(CheckpointReason.REQUESTED) != line
    log.close()


def test_a_stopped_writer_does_not_make_others_wait_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.audit.file.LOCK_TIMEOUT_S", 0.2)
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(AuditUnavailableError, match="another process holds its lock, and may be suspended"):
            log.append([event("one")])
    log.append([event("two")])
    log.close()
    assert messages(path) == ["two"]


def test_a_long_last_line_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for text in ("short", "x" * 200_000, "short"):
        write(path, text)
    assert assert_intact(path).events == 4


def test_an_unwritable_log_is_reported_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(AuditUnavailableError, match="cannot write the audit log: .* Is a directory"):
        open_test_log(tmp_path / "audit.jsonl")


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailableError, match="cannot write the audit log"):
        open_test_log(tmp_path / "audit.jsonl")


class Disk:
    """What is left after a power cut: each file as it was when it was last synced."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        monkeypatch.setattr("os.fdatasync", self._keep)

    def _keep(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        shutil.copyfile(path, self._folder / path.name)

    def after_power_cut(self, number: int) -> Path:
        copy = self._folder.with_name(f"cut-{number}")
        shutil.copytree(self._folder, copy)
        return copy / "audit.jsonl"


@pytest.mark.parametrize("durability", list(Durability))
def test_what_was_acknowledged_is_still_in_the_chain_after_a_power_cut(
    durability: Durability, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path / "disk", monkeypatch)
    log = open_test_log(tmp_path / "audit" / "audit.jsonl", AuditSettings(durability=durability))
    for number in range(4):
        log.append([event(f"{number}"), event(f"{number} again")])
        log.sync()
        after = disk.after_power_cut(number)
        write(after, "the power is back")
        assert messages(after)[-3:] == [f"{number}", f"{number} again", "the power is back"]
        assert [one for one in reasons(after) if one.startswith(("unsealed", "lines-", "seal-", "torn"))] == []
        assert_intact(after)
    log.close()


def test_a_log_that_cannot_be_reopened_does_not_keep_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    log, other = open_test_log(folder / "audit.jsonl"), open_test_log(folder / "audit.jsonl")
    folder.rename(tmp_path / "away")
    with pytest.raises(AuditUnavailableError):
        log.append([event("lost")])
    (tmp_path / "away").rename(folder)
    other.append([event("found")])
    log.close()
    other.close()


WRITE_UNTIL_FULL = """
import resource, sys
from pathlib import Path
from support.audit import event, open_test_log
from telnetsd.audit.log import AuditUnavailableError
path = Path(sys.argv[1])
log = open_test_log(path)
log.append([event("one")])
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
try:
    log.append([event("two")])
except AuditUnavailableError as error:
    print(error)
assert path.stat().st_size == size, "what was written of the event was not taken back"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append([event("three")])
"""


def test_an_event_that_does_not_fit_on_the_disk_is_refused_completely_and_the_chain_continues(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    path = tmp_path / "audit.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_FULL, path],
        check=False,
        capture_output=True,
        text=True,
        cwd=TESTS,
    )
    assert done.stderr == ""
    assert "cannot write the audit log" in done.stdout
    assert messages(path) == ["one", "three"]
    assert_intact(path)


def test_changed_lines_before_lines_after_the_seal_are_recorded_and_nothing_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one", "two")
    kept, head = path.read_bytes().splitlines(keepends=True)[:-1], heads(path)[-2]
    changed, head = seal(make_draft(event("changed")), head)
    forged, _ = seal(make_draft(event("forged")), head)
    path.write_bytes(b"".join(kept) + changed + forged)
    write(path, "three")
    assert "last-line-changed" in reasons(path)
    assert list(path.parent.glob("torn-*.part")) == []
    assert damage_of(path) is not None


def test_a_seal_that_is_not_written_completely_is_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one")])
    monkeypatch.setattr("os.pwrite", lambda *_: 7)
    with pytest.raises(AuditUnavailableError, match="No space left"):
        log.append([event("lost")])
    monkeypatch.undo()
    log.append([event("two")])
    log.close()
    assert messages(path) == ["one", "two"]
    assert_intact(path)


def test_a_finding_that_is_made_twice_before_it_can_be_written_is_recorded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, "one", "two")
    cut_lines(path, 1)
    log = open_test_log(path)
    with monkeypatch.context() as broken:
        broken.setattr("os.fdatasync", _device_full)
        for _ in range(2):
            with pytest.raises(AuditUnavailableError):
                log.append([event("lost")])
    log.append([event("three")])
    log.close()
    assert reasons(path).count("lines-missing") == 1


def _device_full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
