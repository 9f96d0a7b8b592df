"""Verification finds every change of a log, names the first bad line and the kind, and raises no false alarm."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.audit import KEY, assert_intact, event, make_key, make_seal, open_test_log, read_log, verify_log
from telnetsd.audit.chain import make_draft, read_link, seal
from telnetsd.audit.checkpoint import PublicKeys, read_checkpoint
from telnetsd.audit.file import seal_path
from telnetsd.audit.reading.archive import LogLine, read_lines, take_files, take_snapshot
from telnetsd.audit.reading.verification import NOTED_MAX, DamageKind, Expectation, Report, verify
from telnetsd.audit.retention import compress_rotated, find_expired
from telnetsd.audit.trail import make_event
from telnetsd.config.settings import AuditSettings
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import InstallationRestored
from telnetsd.events.of_the_server import AuditCheckpoint, AuditDamaged, AuditPruned, ServerStarted
from telnetsd.events.reason import CheckpointReason, DamageReason, RetentionReason

TESTS = Path(__file__).parents[3]


def pruned(first: int, last: int, sha256: str) -> AuditPruned:
    return AuditPruned(
        reason=RetentionReason.AGE,
        message="forged",
        file="audit-1.jsonl",
        first_sequence=first,
        last_sequence=last,
        last_sha256=sha256,
    )


FORGED = (
    ServerStarted(message="forged"),
    pruned(1, 2, "0" * 64),
    AuditCheckpoint(reason=CheckpointReason.REQUESTED, message="forged", key_id="0" * 64),
)
Files = dict[str, bytes]
"""The files of a log, by name, and their content."""


def make_log(folder: Path, text: str, count: int = 24) -> Files:
    """Make a log of three rotated files and a current one, with checkpoints in between."""
    path = folder / "audit.jsonl"
    log = open_test_log(path, AuditSettings(rotate_bytes=6000, checkpoint_events=7))
    for number in range(count):
        log.append([event(f"{text} {number}")])
    log.close()
    return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_log(tmp_path_factory.mktemp("intact") / "audit", "one")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_log(tmp_path_factory.mktemp("other") / "audit", "two")


def judge(files: Files, folder: Path) -> Report:
    """Write files to a folder, and verify the log that they form."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return verify_log(folder / "audit.jsonl")


def log_names(files: Files) -> list[str]:
    return sorted(name for name in files if name.endswith(".jsonl"))


def lines_of(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


@dataclass
class Mutation:
    """Draws a mutation of one of the files."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    files: Files
    other: Files

    def number(self, most: int) -> int:
        number: int = self.draw(st.integers(0, most))
        return number

    def flip(self, content: bytes) -> bytes:
        place, bit = self.number(len(content) - 1), self.number(7)
        return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]

    def drop_bytes(self, content: bytes) -> bytes:
        begin = self.number(len(content) - 1)
        return content[:begin] + content[begin + 1 + self.number(50) :]

    def insert_bytes(self, content: bytes) -> bytes:
        place = self.number(len(content))
        return content[:place] + bytes([self.number(255)]) + content[place:]

    def drop_lines(self, content: bytes) -> bytes:
        lines = lines_of(content)
        begin = self.number(len(lines) - 1)
        return b"".join(lines[:begin] + lines[begin + 1 + self.number(3) :])

    def repeat_line(self, content: bytes) -> bytes:
        lines = lines_of(content)
        line = lines[self.number(len(lines) - 1)]
        place = self.number(len(lines))
        return b"".join([*lines[:place], line, *lines[place:]])

    def swap_lines(self, content: bytes) -> bytes:
        lines = lines_of(content)
        one, two = self.number(len(lines) - 1), self.number(len(lines) - 1)
        lines[one], lines[two] = lines[two], lines[one]
        return b"".join(lines)

    def truncate(self, content: bytes) -> bytes:
        return content[: self.number(len(content) - 1)]

    def truncate_lines(self, content: bytes) -> bytes:
        lines = lines_of(content)
        return b"".join(lines[: self.number(len(lines) - 1)])

    def splice(self, content: bytes) -> bytes:
        """Replace some lines with lines of another log, signed by the same key."""
        lines = lines_of(content)
        names = log_names(self.other)
        foreign = lines_of(self.other[names[self.number(len(names) - 1)]])
        begin, start = self.number(len(lines)), self.number(len(foreign) - 1)
        return b"".join(lines[:begin] + foreign[start : start + 1 + self.number(8)] + lines[begin + self.number(8) :])

    def append_forged(self, content: bytes) -> bytes:
        """Append lines that follow the last one, as an attacker without a key can."""
        lines = lines_of(content)
        head = read_link(lines[-1][:-1]).head
        forged = self.draw(st.sampled_from(FORGED))
        for _ in range(1 + self.number(2)):
            line, head = seal(make_draft(make_event(forged)), head)
            lines.append(line)
        return b"".join(lines)

    def rewrite(self, content: bytes) -> bytes:
        """Change one event and every hash after it, as an attacker without a key can."""
        lines = lines_of(content)
        return b"".join(rehash(lines, self.number(len(lines) - 1)))


def rehash(lines: list[bytes], place: int) -> list[bytes]:
    """Change the message of a line, and make every later line follow it; signatures stay as they are."""
    changed = lines[:place]
    previous = None
    for line in lines[place:]:
        value = msgspec.json.decode(line)
        value["message"] += "!" if previous is None else ""
        value["telnetsd"]["chain"]["previous"] = previous or value["telnetsd"]["chain"]["previous"]
        value["event"].pop("hash")
        unhashed = msgspec.json.encode(value)
        digest = f'"event":{{"hash":"{sha256(unhashed).hexdigest()}",'.encode()
        changed.append(unhashed.replace(b'"event":{', digest, 1) + b"\n")
        previous = read_link(changed[-1][:-1]).head.sha256
    return changed


MUTATIONS = [
    Mutation.flip,
    Mutation.drop_bytes,
    Mutation.insert_bytes,
    Mutation.drop_lines,
    Mutation.repeat_line,
    Mutation.swap_lines,
    Mutation.truncate,
    Mutation.truncate_lines,
    Mutation.splice,
    Mutation.append_forged,
    Mutation.rewrite,
]


@given(data=st.data())
@settings(max_examples=600)
def test_every_mutation_is_detected(data: st.DataObject, intact: Files, other: Files) -> None:
    name = data.draw(st.sampled_from(log_names(intact)))
    mutate = data.draw(st.sampled_from(MUTATIONS))
    mutated = mutate(Mutation(data.draw, intact, other), intact[name])
    assume(mutated != intact[name])
    # Not among the logs of other tests, which are checked against the schema at the end.
    with tempfile.TemporaryDirectory() as folder:
        report = judge({**intact, name: mutated}, Path(folder))
    assert report.damage is not None
    assert report.damage.message


def test_an_unsealed_retention_event_does_not_excuse_a_missing_file(intact: Files, tmp_path: Path) -> None:
    first, second, *_ = log_names(intact)
    last = read_link(intact[first].splitlines()[-1]).head
    files = {name: content for name, content in intact.items() if name != first}
    head = read_link(files["audit.jsonl"].splitlines()[-1]).head
    forged = pruned(1, last.sequence, last.sha256)
    files["audit.jsonl"] += seal(make_draft(make_event(forged)), head)[0]
    damage = judge(files, tmp_path).damage
    assert damage is not None
    assert second in files
    log = open_test_log(tmp_path / "audit.jsonl")
    log.append([event("the next one")])
    log.close()
    damage = verify_log(tmp_path / "audit.jsonl").damage
    assert damage is not None
    assert damage.kind is DamageKind.REMOVED


@pytest.mark.parametrize("name", ["audit-000000000000.jsonl", "audit.jsonl.1", "audit-backup.jsonl"])
def test_a_copy_of_a_file_counts_once_and_hides_no_change(name: str, intact: Files, tmp_path: Path) -> None:
    current = intact["audit.jsonl"]
    assert judge({**intact, name: current}, tmp_path).damage is None
    older = b"".join(lines_of(current)[:-1])
    assert judge({**intact, name: older}, tmp_path).damage is None
    changed = current.replace(b"one 23", b"two 23")
    assert changed != current
    for files in ({**intact, name: changed}, {**intact, "audit.jsonl": changed, name: current}):
        assert judge(files, tmp_path).damage is not None


def test_a_log_that_rotates_while_it_is_read_is_intact(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path, AuditSettings(rotate_bytes=4096))
    log.append([event("one"), event("two")])
    snapshot = take_snapshot(path)
    for number in range(12):
        log.append([event(f"later {number}")])
    compress_rotated(path)
    log.close()
    report = verify(read_lines(snapshot), Expectation(KEY.public, snapshot.seal, is_whole=True))
    assert report.damage is None
    assert report.events == 3


def test_a_file_removed_while_it_is_read_is_reported_with_a_message(intact: Files, tmp_path: Path) -> None:
    judge(intact, tmp_path)
    snapshot = take_snapshot(tmp_path / "audit.jsonl")
    (tmp_path / log_names(intact)[1]).unlink()
    with pytest.raises(OperatorError, match="it was removed in the meantime; try again"):
        list(read_lines(snapshot))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_files_may_be_compressed_and_a_broken_one_counts_as_damage(
    suffix: str, intact: Files, tmp_path: Path
) -> None:
    first = log_names(intact)[0]
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstandard.compress,
    }
    packed = packers[suffix](intact[first])
    files = {**intact, f"{first}.{suffix}": packed}
    del files[first]
    assert judge(files, tmp_path).damage is None
    broken = packed[: len(packed) // 2] + bytes(8) + packed[len(packed) // 2 + 8 :]
    assert judge({**files, f"{first}.{suffix}": broken}, tmp_path).damage is not None
    assert judge({**files, f"{first}.{suffix}": packed[:-30]}, tmp_path).damage is not None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_an_entry_that_is_not_a_file_is_ignored(make: Callable[[Path], None], intact: Files, tmp_path: Path) -> None:
    assert judge(intact, tmp_path).damage is None
    make(tmp_path / "audit-000000000000.jsonl")
    make(tmp_path / "audit.jsonl.7")
    path = tmp_path / "audit.jsonl"
    assert verify_log(path).damage is None
    assert len(compress_rotated(path)) == len(log_names(intact)) - 1
    assert find_expired(path, AuditSettings(retention_bytes=1), datetime.now(UTC)) is not None


def test_the_name_of_a_file_cannot_control_a_terminal(intact: Files, tmp_path: Path) -> None:
    name = "audit-\x1b]0;owned\x07\nintact.jsonl"
    damage = judge({**intact, name: b"hello\n"}, tmp_path).damage
    assert damage is not None
    assert damage.file == r"audit-\x1b]0;owned\x07\x0aintact.jsonl"


def test_neither_a_forged_file_time_nor_an_empty_huge_file_causes_a_removal(tmp_path: Path) -> None:
    path, now = tmp_path / "audit.jsonl", datetime.now(UTC)
    log = open_test_log(path, AuditSettings(rotate_bytes=4096))
    for number in range(12):
        log.append([event(f"{number}")])
    log.close()
    for file in tmp_path.glob("audit-*.jsonl"):
        os.utime(file, (0, 0))
    (tmp_path / "audit-999999999999.jsonl").touch()
    os.truncate(tmp_path / "audit-999999999999.jsonl", 20 * 2**30)
    assert find_expired(path, AuditSettings(), now) is None
    (tmp_path / "audit-999999999999.jsonl").unlink()
    expired = find_expired(path, AuditSettings(), now + timedelta(days=401))
    assert expired is not None
    assert (expired.reason, expired.first.head.sequence) == (RetentionReason.AGE, 1)


def test_files_after_one_that_another_program_rotated_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    log.append([event("one")])
    path.rename(tmp_path / "audit.jsonl.1")
    log.close()
    log = open_test_log(path, AuditSettings(rotate_bytes=4096))
    for number in range(12):
        log.append([event(f"{number}")])
    log.close()
    assert find_expired(path, AuditSettings(retention_bytes=1), datetime.now(UTC)) is None


def test_an_intact_log_has_no_damage(intact: Files, tmp_path: Path) -> None:
    report = judge(intact, tmp_path)
    assert report.damage is None
    assert report.first_sequence == 1
    assert report.events == report.last_sequence > 24
    assert report.checkpoints > 3
    assert report.key_ids == (KEY.id,)


def test_a_missing_file_of_the_log_is_detected(intact: Files, tmp_path: Path) -> None:
    for name in log_names(intact):
        files = {one: content for one, content in intact.items() if one != name}
        damage = judge(files, tmp_path).damage
        assert damage is not None
        is_last = name == "audit.jsonl"
        assert damage.kind is (DamageKind.TRUNCATED if is_last else DamageKind.REMOVED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of one file: its opening line, and nine events on the lines 2 to 10."""
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path)
    for number in range(2, 11):
        log.append([event(f"event {number}")])
    log.close()
    return path


CASES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], DamageKind, int, str]] = {
    "a changed text": (
        lambda lines: [*lines[:4], lines[4].replace(b"event 5", b"event X"), *lines[5:]],
        DamageKind.CHANGED,
        5,
        "it does not match its hash",
    ),
    "a changed text with its hash computed again": (
        lambda lines: [*lines[:4], *rehash(lines[4:5], 0), *lines[5:]],
        DamageKind.CHANGED,
        5,
        "it was changed: the next line does not match it",
    ),
    "everything after a change computed again": (
        lambda lines: rehash(lines, 4),
        DamageKind.CHANGED,
        10,
        "it is not the one that was sealed",
    ),
    "the opening line changed": (
        lambda lines: rehash(lines, 0),
        DamageKind.CHANGED,
        1,
        "its signature does not match",
    ),
    "a line removed": (
        lambda lines: [*lines[:4], *lines[5:]],
        DamageKind.REMOVED,
        5,
        "number 5 before it is missing",
    ),
    "lines removed": (
        lambda lines: [*lines[:4], *lines[7:]],
        DamageKind.REMOVED,
        5,
        "numbers 5 to 7 before it are missing",
    ),
    "the first lines removed": (
        lambda lines: lines[2:],
        DamageKind.REMOVED,
        1,
        "numbers 1 to 2 before it are missing, and it does not begin a file",
    ),
    "a line repeated": (
        lambda lines: [*lines[:7], lines[3], *lines[7:]],
        DamageKind.INSERTED,
        8,
        "it was inserted: it does not follow the previous line",
    ),
    "a line put in that follows the one before it": (
        lambda lines: [*lines[:5], rehash([lines[5]], 0)[0], *lines[5:]],
        DamageKind.INSERTED,
        6,
        "it was inserted: the next line does not follow it",
    ),
    "text put in": (
        lambda lines: [*lines[:5], b"hello\n", *lines[5:]],
        DamageKind.CHANGED,
        6,
        "it is not a line of the audit log",
    ),
    "two lines swapped": (
        lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
        DamageKind.REORDERED,
        5,
        "it is number 6, and comes before number 5",
    ),
    "a line moved to the end": (
        lambda lines: [*lines[:4], *lines[5:], lines[4]],
        DamageKind.REORDERED,
        5,
        "it is number 6, and comes before number 5",
    ),
    "the end cut off": (
        lambda lines: lines[:7],
        DamageKind.TRUNCATED,
        7,
        "numbers 8 to 10 after it are missing, according to the seal",
    ),
    "the end cut off within a line": (
        lambda lines: [*lines[:9], lines[9][:100]],
        DamageKind.TORN,
        10,
        "it is incomplete: a writer was interrupted",
    ),
    "nothing left": (lambda _: [], DamageKind.TRUNCATED, 0, "it has no lines"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_bad_line_and_the_kind_of_damage_are_named(case: str, path: Path) -> None:
    change, kind, number, words = CASES[case]
    path.write_bytes(b"".join(change(lines_of(path.read_bytes()))))
    damage = verify_log(path).damage
    assert damage is not None
    assert (damage.kind, damage.line) == (kind, number)
    assert damage.message.startswith(words)


def test_a_missing_seal_or_one_of_another_key_proves_nothing(path: Path) -> None:
    kept = seal_path(path).read_bytes()
    seal_path(path).unlink()
    damage = verify_log(path).damage
    assert damage is not None
    assert damage.kind is DamageKind.TRUNCATED
    seal_path(path).write_bytes(make_seal(make_key(3), read_link(path.read_bytes().splitlines()[-1]).head))
    damage = verify_log(path).damage
    assert damage is not None
    assert damage.message == "the seal was not signed by the audit key: nothing proves that the log ends here"
    seal_path(path).write_bytes(kept)
    assert_intact(path)


def test_a_checkpoint_cannot_be_used_as_a_seal(path: Path) -> None:
    log = open_test_log(path)
    line = log.checkpoint(CheckpointReason.REQUESTED)
    log.append([event("hidden")])
    log.close()
    link = read_link(line)
    signature = msgspec.json.decode(line)["telnetsd"]["checkpoint"]["signature"]
    head = {"sequence": link.head.sequence, "sha256": link.head.sha256}
    value = {**head, **{f"next_{key}": one for key, one in head.items()}, "key_id": KEY.id, "signature": signature}
    seal_path(path).write_bytes(msgspec.json.encode(value).ljust(511) + b"\n")
    path.write_bytes(b"".join(lines_of(path.read_bytes())[:-1]))
    assert verify_log(path).damage is not None


def test_lines_signed_by_another_key_verify_only_if_that_key_is_known(path: Path) -> None:
    log = open_test_log(path, key=make_key(9))
    log.append([event("by another")])
    log.close()
    damage = verify_log(path).damage
    assert damage is not None
    both = PublicKeys({**KEY.public.by_id, **make_key(9).public.by_id})
    snapshot = take_snapshot(path)
    assert verify(read_lines(snapshot), Expectation(both, snapshot.seal, is_whole=True)).damage is None


def test_a_rotated_file_alone_is_proved_by_its_first_and_last_line(intact: Files, tmp_path: Path) -> None:
    judge(intact, tmp_path)
    second = tmp_path / log_names(intact)[1]

    def judge_alone() -> Report:
        snapshot = take_files([second])
        return verify(read_lines(snapshot), Expectation(KEY.public, snapshot.seal, is_whole=False))

    report = judge_alone()
    assert report.damage is None
    assert report.is_partial
    lines = lines_of(second.read_bytes())
    for part, kind in ((lines[1:], DamageKind.REMOVED), (lines[:-1], DamageKind.TRUNCATED)):
        second.write_bytes(b"".join(part))
        damage = judge_alone().damage
        assert damage is not None
        assert damage.kind is kind


def test_an_exported_checkpoint_must_be_in_the_log(path: Path, tmp_path: Path) -> None:
    log = open_test_log(path)
    exported = read_checkpoint(log.checkpoint(CheckpointReason.REQUESTED), KEY.public)
    log.append([event("later")])
    log.close()

    def judge_with(checkpoint_of: Path) -> Report:
        snapshot = take_snapshot(checkpoint_of)
        return verify(
            read_lines(snapshot), Expectation(KEY.public, snapshot.seal, is_whole=True, checkpoint=exported)
        )

    assert judge_with(path).damage is None
    # A holder of the key can begin another log and claim that it is this one; the export disproves that.
    for count, kind in ((3, DamageKind.TRUNCATED), (20, DamageKind.CHANGED)):
        folder = tmp_path / f"again-{count}"
        again = open_test_log(folder / "audit.jsonl")
        for number in range(count):
            again.append([event(f"another {number}")])
        again.close()
        assert_intact(folder / "audit.jsonl")
        damage = judge_with(folder / "audit.jsonl").damage
        assert damage is not None
        assert damage.kind is kind


def test_an_endless_line_is_damage_and_is_not_kept_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.audit.reading.archive.LINE_MAX_BYTES", 5000)
    with path.open("ab") as file:
        file.write(b"x" * 20_000)
    damage = verify_log(path).damage
    assert damage is not None
    assert damage.kind is DamageKind.TORN


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=5), st.binary(max_size=600))
def test_verifying_any_bytes_yields_a_report(content: list[tuple[bytes, bool]], seal: bytes) -> None:
    lines = [LogLine(Path("x"), number, text, is_whole) for number, (text, is_whole) in enumerate(content, 1)]
    assert verify(lines, Expectation(KEY.public, seal, is_whole=True)).damage is not None


WRITE_AND_BE_KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from support.audit import event, open_test_log
from telnetsd.config.settings import AuditSettings
from telnetsd.errors import OperatorError

folder, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(7)
acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def write(name):
    log = open_test_log(folder / "audit" / "audit.jsonl", AuditSettings(rotate_bytes=200_000, checkpoint_events=50))
    number = 0
    while True:
        texts = [f"{name}-{number + one}" for one in range(3)]
        log.append([event(text + " " + "x" * 300) for text in texts])
        os.write(acknowledged, "".join(text + "\\n" for text in texts).encode())
        number += 3

def spawn(name):
    child = os.fork()
    if child == 0:
        write(name)
    return child

writers = [spawn(f"w{number}") for number in range(4)]
for kill in range(kills):
    time.sleep(rng.uniform(0, 0.05))
    place = rng.randrange(4)
    os.kill(writers[place], signal.SIGKILL)
    os.waitpid(writers[place], 0)
    writers[place] = spawn(f"r{kill}")
for writer in writers:
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
log = open_test_log(folder / "audit" / "audit.jsonl")
log.append([event("the end")])
"""


def test_four_writers_and_fifty_kills_lose_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE_AND_BE_KILLED, str(tmp_path), "50"],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    path = tmp_path / "audit" / "audit.jsonl"
    report = assert_intact(path)
    events = read_log(path)
    logged = [one["message"].split()[0] for one in events]
    acknowledged = (tmp_path / "acknowledged").read_text().split()
    assert len(acknowledged) > 500
    assert set(acknowledged) <= set(logged)
    assert len(list(path.parent.glob("audit-*.jsonl"))) > 1
    assert report.events == len(events)
    assert not [one for one in events if one["event"]["action"] == "audit-damaged"]


def test_lines_that_say_what_happened_to_the_log_are_listed_up_to_a_limit(tmp_path: Path) -> None:
    damaged = AuditDamaged(reason=DamageReason.SEAL_MISSING, message="no seal")
    restored = InstallationRestored(
        message="restored",
        taken_at="2026-01-01T00:00:00.000000Z",
        last_sequence=1,
        last_sha256="0" * 64,
        sha256="0" * 64,
    )
    log = open_test_log(tmp_path / "audit.jsonl")
    log.append([make_event(restored, {"telnetsd": {"operator": {"name": "x"}}})])
    log.append([make_event(damaged) for _ in range(NOTED_MAX + 3)])
    log.close()
    report = assert_intact(tmp_path / "audit.jsonl")
    assert report.restored == (2,)
    assert report.damaged == tuple(range(3, 3 + NOTED_MAX))
