"""What lines have shown is found, in the index and beside it, and the index can be rebuilt at any time."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telnetsd.audit.compression import compress
from telnetsd.errors import OperatorError
from telnetsd.lines.recordings.asciicast import INPUT, OUTPUT
from telnetsd.lines.recordings.recording import Recording
from telnetsd.lines.search.indexing import Progress, index_recordings, list_index_files
from telnetsd.lines.search.searching import Hit, Wanted, require_pattern, search
from telnetsd.telnet.terminal import Terminal

BEGIN = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Folder:
    """A home folder's recordings and index."""

    def __init__(self, root: Path) -> None:
        self.recordings, self.index = root / "recordings", root / "index"

    def begin(self, line: str, at: datetime = BEGIN, end: str = "line") -> Recording:
        path = self.recordings / f"{at:%Y%m%dT%H%M%S.%f}-{line}-{end}.cast"
        return Recording(path, line if end == "line" else f"{line}: bob", Terminal())

    def record(self, line: str, *shown: str, at: datetime = BEGIN, writer: str = "", end: str = "line") -> Path:
        recording = self.begin(line, at, end)
        if writer:
            recording.note_writer(writer)
        for one in shown:
            recording.note(OUTPUT, one.encode())
        recording.close()
        return recording.path

    def make_index(self, *, is_rebuilt: bool = False, is_checked: bool = True) -> Progress:
        reports: list[Progress] = []
        done = index_recordings(
            self.recordings, self.index, is_checked=is_checked, is_rebuilt=is_rebuilt, report=reports.append
        )
        assert reports[-1] == done
        return done

    def find(self, pattern: str, **wanted: object) -> list[Hit]:
        reports: list[datetime] = []
        return list(search(self.recordings, self.index, Wanted(pattern=pattern, **wanted), reports.append))  # type: ignore[arg-type]

    def texts(self, pattern: str, **wanted: object) -> list[str]:
        return [hit.text for hit in self.find(pattern, **wanted)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("is_indexed", [False, True])
def test_text_is_found_with_its_line_user_and_place(folder: Folder, is_indexed: bool) -> None:
    folder.record("sw1", "hello\r\n\x1b[31mKernel Panic\x1b[0m: not syncing\r\n", writer="bob")
    if is_indexed:
        folder.make_index()

    (hit,) = folder.find("kernel panic")

    assert (hit.line, hit.user, hit.text) == ("sw1", "bob", "Kernel Panic: not syncing")
    assert hit.recording == "20261101T120000.000000-sw1-line.cast"
    assert hit.at == BEGIN + timedelta(seconds=hit.offset_s)


def test_text_in_an_open_recording_is_found_beside_the_index(folder: Folder) -> None:
    folder.record("sw1", "panic one\r\n")
    folder.make_index()
    growing = folder.begin("sw1", BEGIN + timedelta(hours=1))
    growing.note(OUTPUT, b"panic two\r\n")

    assert folder.make_index().recordings == 0
    assert folder.texts("panic") == ["panic two", "panic one"]
    growing.close()
    assert folder.make_index().recordings == 1


def test_the_newest_is_found_first_across_recordings_and_days(folder: Folder) -> None:
    for number in (3, 1, 4, 0, 2):
        folder.record(f"sw{number}", f"panic {number}\r\n", at=BEGIN + timedelta(hours=9 * number))
        if number == 4:
            folder.make_index()

    assert folder.texts("panic") == [f"panic {number}" for number in (4, 3, 2, 1, 0)]
    assert folder.texts("panic", limit=2) == ["panic 4", "panic 3"]


def test_a_search_can_be_limited_to_a_line_a_user_and_a_time(folder: Folder) -> None:
    folder.record("sw1", "panic a\r\n", writer="bob")
    folder.record("sw2", "panic b\r\n", writer="alice", at=BEGIN + timedelta(hours=1))
    folder.record("rt1", "panic c\r\n", at=BEGIN + timedelta(hours=2))
    for _ in range(2):
        assert folder.texts("panic", line="sw*") == ["panic b", "panic a"]
        assert folder.texts("panic", user="bob") == ["panic a"]
        assert folder.texts("panic", since=BEGIN + timedelta(minutes=30)) == ["panic c", "panic b"]
        assert folder.texts("panic", until=BEGIN + timedelta(minutes=30)) == ["panic a"]
        folder.make_index()


def test_the_writer_of_a_session_without_markers_is_in_its_title(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n", end="0123abcd")

    assert [hit.user for hit in folder.find("panic")] == ["bob"]


def test_typed_input_is_never_found(folder: Folder) -> None:
    recording = folder.begin("sw1")
    recording.note(INPUT, b"hunter2-geheim\r")
    recording.note(OUTPUT, b"Password: \r\n")
    recording.close()
    folder.make_index()

    assert folder.find("hunter2") == []
    assert not [path for path in folder.index.iterdir() if b"hunter2" in path.read_bytes()]


def test_a_progress_bar_is_found_as_it_looked_in_the_end(folder: Folder) -> None:
    folder.record("sw1", "copying 10%\rcopying 50%\rcopying 100%\r\n")

    assert folder.texts("copying") == ["copying 100%"]


def test_a_compressed_recording_is_not_indexed_again(folder: Folder) -> None:
    path = folder.record("sw1", "panic\r\n")
    assert folder.make_index().recordings == 1
    compress(path)

    assert folder.make_index().recordings == 0
    assert len(folder.find("panic")) == 1


def test_a_recording_that_was_compressed_first_is_indexed(folder: Folder) -> None:
    compress(folder.record("sw1", "panic\r\n"))

    assert folder.make_index().recordings == 1
    assert len(folder.find("panic")) == 1


def test_a_removed_recording_is_not_found_and_its_index_goes_with_the_last_one(folder: Folder) -> None:
    first = folder.record("sw1", "panic one\r\n")
    second = folder.record("sw2", "panic two\r\n")
    folder.make_index()
    first.unlink()
    assert folder.texts("panic") == ["panic two"]
    second.unlink()

    folder.make_index()

    assert list_index_files(folder.index) == []


def test_a_damaged_index_is_reported_and_made_anew(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    folder.make_index()
    (path,) = list_index_files(folder.index)
    path.write_bytes(path.read_bytes()[:100] + os.urandom(20_000))

    with pytest.raises(OperatorError, match="is damaged; run: telnetsd recording index"):
        folder.find("panic")
    folder.make_index()

    assert folder.texts("panic") == ["panic"]


def test_damage_in_the_middle_of_the_index_is_detected_when_it_is_checked(folder: Folder) -> None:
    folder.record("sw1", *(f"panic number {number}\r\n" for number in range(5000)))
    folder.make_index()
    (path,) = list_index_files(folder.index)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    path.write_bytes(content)

    assert folder.make_index(is_checked=True).recordings == 1
    assert folder.make_index(is_checked=True).recordings == 0


def test_the_index_can_be_made_anew(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    folder.make_index()

    assert folder.make_index(is_rebuilt=True).recordings == 1


def test_a_damaged_recording_is_found_up_to_the_damage(folder: Folder) -> None:
    path = folder.record("sw1", "panic one\r\n", "panic two\r\n")
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:-1]) + b"[not json]\n")

    assert folder.texts("panic") == ["panic one"]
    folder.make_index()
    assert folder.texts("panic") == ["panic one"]


def test_the_index_is_for_nobody_else(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    folder.make_index()

    assert folder.index.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.index.iterdir()} == {0o600}


@pytest.mark.parametrize("pattern", ["", "ab", "x" * 201])
def test_a_pattern_that_is_too_short_or_too_long_is_refused(pattern: str) -> None:
    with pytest.raises(OperatorError, match="3 to 200 characters"):
        require_pattern(pattern)


def test_the_text_of_a_removed_recording_is_gone_from_the_index(folder: Folder) -> None:
    gone = folder.record("sw1", "the old password was Hunter2xyz\r\n")
    folder.record("sw2", "panic\r\n")
    folder.make_index()
    gone.unlink()

    folder.make_index()

    (path,) = list_index_files(folder.index)
    with closing(sqlite3.connect(path)) as database:
        assert [bytes(blob) for (blob,) in database.execute("SELECT lines FROM texts")] != []
        texts = [zstandard.decompress(blob) for (blob,) in database.execute("SELECT lines FROM texts")]
        found = database.execute("SELECT rowid FROM shown WHERE shown MATCH '\"hun\"'").fetchall()
    assert not [text for text in texts if b"Hunter2xyz" in text]
    assert found == []
    assert folder.texts("panic") == ["panic"]


def test_hits_of_recordings_that_overlap_are_in_order_and_no_page_leaves_one_out(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0]
    monkeypatch.setattr("telnetsd.lines.recordings.recording.time.monotonic_ns", lambda: now[0] * 10**9)
    for line, begun_s, offsets in (("a", 0, (0, 50, 55)), ("b", 30, (0, 1))):
        now[0] = 0
        recording = folder.begin(line, BEGIN + timedelta(seconds=begun_s))
        for offset in offsets:
            now[0] = offset
            recording.note(OUTPUT, f"panic {line}{offset}\r\n".encode())
        recording.close()
    folder.make_index()

    assert folder.texts("panic") == ["panic a55", "panic a50", "panic b1", "panic b0", "panic a0"]
    assert folder.texts("panic", limit=2) == ["panic a55", "panic a50"]


def test_a_recording_that_is_compressed_while_it_is_due_is_indexed_the_next_time(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.record("sw1", "panic\r\n")

    def compress_first(found: Path) -> bool:
        compress(path)
        del found
        return False

    monkeypatch.setattr("telnetsd.lines.search.indexing._is_growing", compress_first)
    folder.make_index()
    monkeypatch.undo()

    assert folder.make_index().recordings == 1
    assert folder.texts("panic") == ["panic"]


def test_a_recording_without_a_header_still_grows(folder: Folder) -> None:
    folder.recordings.mkdir()
    (folder.recordings / "20261101T120000.000000-sw1-line.cast").touch()

    assert folder.make_index().recordings == 0


def test_an_absurd_time_in_one_recording_stops_no_search(folder: Folder) -> None:
    path = folder.record("sw1", "panic one\r\n")
    path.write_text(path.read_text() + '[1e300, "o", "panic two\\r\\n"]\n')

    for _ in range(2):
        assert folder.texts("panic") == ["panic two", "panic one"]
        folder.make_index()


def test_a_search_since_the_beginning_of_time_finds_everything(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    folder.make_index()

    assert folder.texts("panic", since=datetime(1, 1, 1, tzinfo=UTC)) == ["panic"]


def test_an_index_that_cannot_be_written_is_not_taken_for_a_damaged_one(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.record("sw1", "panic one\r\n")
    folder.make_index()
    folder.record("sw2", "panic two\r\n", at=BEGIN + timedelta(hours=1))
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("telnetsd.lines.search.index_file.IndexFile.add_block", fail)
    with pytest.raises(OSError, match="disk is full"):
        folder.make_index()
    monkeypatch.undo()

    assert folder.make_index().recordings == 1
    assert folder.texts("panic") == ["panic two", "panic one"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_an_index_that_root_makes_belongs_to_the_owner_of_the_recordings(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    os.chown(folder.recordings, 65534, 65534)

    folder.make_index()

    assert {path.stat().st_uid for path in (folder.index, *folder.index.iterdir())} == {65534}


def test_an_index_with_a_damaged_block_of_a_removed_recording_is_rebuilt(folder: Folder) -> None:
    gone = folder.record("sw1", "old panic\r\n")
    folder.record("sw2", "panic\r\n")
    folder.make_index()
    (path,) = list_index_files(folder.index)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE texts SET lines = x'00'")
    gone.unlink()

    assert folder.make_index().recordings == 1
    assert folder.texts("panic") == ["panic"]


def test_an_index_whose_making_was_interrupted_is_made_anew(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    folder.make_index()
    (path,) = list_index_files(folder.index)
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recordings(id INTEGER)")

    assert folder.make_index().recordings == 1
    assert folder.texts("panic") == ["panic"]


def test_a_long_line_is_not_taken_for_the_beginning_of_the_next_one(folder: Folder) -> None:
    for length in (4090, 65_530):
        folder.record("sw1", "x" * length + "needle\r\n", "harmless line\r\n")
        assert len(folder.find("needle")) == 1
        next(folder.recordings.iterdir()).unlink()


def test_a_damaged_block_is_reported(folder: Folder) -> None:
    folder.record("sw1", "panic\r\n")
    folder.make_index()
    (path,) = list_index_files(folder.index)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE texts SET lines = x'00'")

    with pytest.raises(OperatorError, match="is damaged; run: telnetsd recording index"):
        folder.find("panic")


def test_a_match_where_output_without_a_line_end_is_cut_is_found(folder: Folder) -> None:
    for before in (65_530, 65_536, 65_540, 131_070):
        folder.record("sw1", *["." * 1000] * (before // 1000), "." * (before % 1000), "the needle", ".....\r\n")
        assert folder.find("the needle", limit=1), before
        next(folder.recordings.iterdir()).unlink()


@pytest.mark.parametrize(
    ("shown", "pattern"),
    [
        ("\u03a3\u0399\u0393\u039c\u0391\u03a3 X", "\u03c3\u03b9\u03b3\u03bc\u03b1\u03c3"),
        ("Stra\u00dfe", "STRASSE"),
        ("300 \u212a", "300 k"),
    ],
)
def test_case_makes_no_difference_in_other_scripts(folder: Folder, shown: str, pattern: str) -> None:
    folder.record("sw1", f"{shown}\r\n")
    for _ in range(2):
        assert folder.texts(pattern) == [shown]
        folder.make_index()


TEXT = st.text(st.sampled_from('abcA"*% \u00c4\u00e4\u6f22\U0001f600'), min_size=3, max_size=12).filter(
    lambda text: text == text.strip() and text.isprintable()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(TEXT, min_size=1, max_size=4), TEXT, st.booleans())
def test_exactly_what_a_plain_search_would_find_is_found(
    tmp_path_factory: pytest.TempPathFactory, shown: Sequence[str], pattern: str, is_indexed: bool
) -> None:
    folder = Folder(tmp_path_factory.mktemp("found"))
    folder.record("sw1", "".join(f"{text}\r\n" for text in shown))
    if is_indexed:
        folder.make_index()

    assert folder.texts(pattern) == [text for text in reversed(shown) if pattern.casefold() in text.casefold()]


def test_offsets_are_those_of_the_recording(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**12, 1_500_000_000))
    monkeypatch.setattr("telnetsd.lines.recordings.recording.time.monotonic_ns", lambda: next(clock))
    folder.record("sw1", "one one\r\n", "two two\r\n")
    folder.make_index()

    assert [hit.offset_s for hit in folder.find("two two")] == [3.0]
