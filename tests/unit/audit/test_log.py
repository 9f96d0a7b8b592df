"""The file and its chain: many writers, crashes, damage, and a disk that is full."""

import resource
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from telnetsd.audit.chain import EMPTY, GENESIS, ChainError, Head, previous_of, read_head, seal
from telnetsd.audit.event import Action, Fields
from telnetsd.audit.log import AuditLog, AuditUnavailableError
from telnetsd.audit.record import make_event


def event(text: str = "hello") -> Fields:
    return make_event(Action.SERVER_STARTED, text)


def lines_of(path: Path) -> list[bytes]:
    content = path.read_bytes()
    assert content.endswith(b"\n")
    return content.split(b"\n")[:-1]


def assert_is_chain(path: Path) -> list[bytes]:
    """Check what an auditor would: sequence, own hash, and the hash of the line before, of every line."""
    lines, head = lines_of(path), EMPTY
    for line in lines:
        assert previous_of(line) == head.sha256
        sequence = head.sequence + 1
        head = read_head(line)
        assert head.sequence == sequence
    return lines


def test_a_sealed_line_is_one_line_with_the_hashes_that_it_claims() -> None:
    line, head = seal(event('quote " and } and \\'), EMPTY)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    decoded = msgspec.json.decode(line)
    assert decoded["event"]["sequence"] == 1
    assert decoded["telnetsd"]["chain"]["previous"] == GENESIS
    unhashed = line[:-1].replace(f'"hash":"{decoded["event"]["hash"]}",'.encode(), b"", 1)
    assert decoded["event"]["hash"] == sha256(unhashed).hexdigest()
    assert head == Head(1, sha256(line[:-1]).hexdigest()) == read_head(line[:-1])


def test_text_that_imitates_the_hash_cannot_take_its_place() -> None:
    line, head = seal(event('{"@timestamp":"1","event":{"hash":"' + "0" * 64 + '","event":{'), EMPTY)
    assert read_head(line[:-1]) == head


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"null", b"\xff", b'{"@timestamp":"2026-01-01T00:00:00.000000Z","event":{}}']
)
def test_a_line_that_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ChainError):
        read_head(line)
    with pytest.raises(ChainError):
        previous_of(line)


def test_a_line_that_is_hashed_well_and_is_no_event_is_refused() -> None:
    unhashed = b'{"@timestamp":"2026-01-01T00:00:00.000000Z","event":{"sequence":1}}'
    digest = sha256(unhashed).hexdigest().encode()
    with pytest.raises(ChainError):
        read_head(unhashed.replace(b'"event":{', b'"event":{"hash":"' + digest + b'",'))


def test_any_changed_byte_is_seen() -> None:
    line = seal(event(), EMPTY)[0][:-1]
    for position in range(len(line)):
        changed = bytearray(line)
        changed[position] ^= 1
        with pytest.raises(ChainError):
            read_head(bytes(changed))


def test_events_are_appended_in_order_and_the_file_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    log = AuditLog(path)
    log.append([event("one"), event("two")])
    log.append([event("three")])
    log.close()
    assert [msgspec.json.decode(line)["message"] for line in assert_is_chain(path)] == ["one", "two", "three"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


WRITE_MANY = """
import sys
from pathlib import Path
from test_log import AuditLog, event
log = AuditLog(Path(sys.argv[1]))
for number in range(25):
    log.append([event(f"{number}"), event(f"{number} again")])
"""


def test_four_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    command = [sys.executable, "-c", WRITE_MANY, str(path)]
    writers = [subprocess.Popen(command, cwd=Path(__file__).parent) for _ in range(4)]
    assert [writer.wait(30) for writer in writers] == [0] * 4
    assert len(assert_is_chain(path)) == 200


def test_a_torn_last_line_is_set_aside_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.append([event("one")])
    log.close()
    with path.open("ab") as file:
        file.write(b'{"@timestamp":"2026-')
    log = AuditLog(path)
    log.append([event("two")])
    log.close()
    events = [msgspec.json.decode(line) for line in assert_is_chain(path)]
    assert [one["event"]["action"] for one in events] == ["server-started", "audit-recovered", "server-started"]
    assert events[1]["event"]["reason"] == "torn-line"
    (aside,) = tmp_path.glob("torn-*.part")
    assert aside.read_bytes() == b'{"@timestamp":"2026-'
    assert aside.stat().st_mode & 0o777 == 0o600


def test_a_file_that_begins_with_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"@time')
    log = AuditLog(path)
    log.append([event("one")])
    log.close()
    assert len(assert_is_chain(path)) == 2


def test_a_last_line_that_was_changed_stops_the_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.append([event("one")])
    path.write_bytes(path.read_bytes().replace(b"one", b"two2"))
    with pytest.raises(AuditUnavailableError, match="last line is damaged"):
        log.append([event("three")])
    log.close()


def test_a_file_that_was_moved_away_is_followed_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.append([event("one")])
    path.rename(tmp_path / "old.jsonl")
    log.append([event("two")])
    log.close()
    assert len(assert_is_chain(path)) == 1
    assert len(assert_is_chain(tmp_path / "old.jsonl")) == 1


def test_a_long_line_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for text in ("short", "x" * 200_000, "short"):
        log = AuditLog(path)
        log.append([event(text)])
        log.close()
    assert len(assert_is_chain(path)) == 3


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(AuditUnavailableError, match="cannot write the audit log: .* Is a directory"):
        AuditLog(tmp_path / "audit.jsonl")


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailableError, match="cannot write the audit log"):
        AuditLog(tmp_path / "audit.jsonl")


def test_events_are_synced_to_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process cannot show this, and no test can pull the plug: so the order of the calls is looked at."""
    synced: list[int] = []
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    monkeypatch.setattr("os.fdatasync", lambda _: synced.append(path.stat().st_size))
    log.append([event("one")])
    assert synced == [path.stat().st_size]
    log.append([event("two"), event("three")])
    assert synced[1:] == [path.stat().st_size]
    log.close()


def test_a_log_that_cannot_be_opened_again_does_not_keep_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    log, other = AuditLog(folder / "audit.jsonl"), AuditLog(folder / "audit.jsonl")
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
from test_log import AuditLog, AuditUnavailableError, event
path = Path(sys.argv[1])
log = AuditLog(path)
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


def test_what_does_not_fit_on_the_disk_is_refused_whole_and_the_chain_goes_on(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    path = tmp_path / "audit.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_FULL, path],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert done.stderr == ""
    assert "cannot write the audit log" in done.stdout
    assert [msgspec.json.decode(line)["message"] for line in assert_is_chain(path)] == ["one", "three"]
