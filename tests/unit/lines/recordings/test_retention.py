"""Retention of recordings: the oldest of a line first, by age and by size, and never the newest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from telnetsd.config.settings import LineSettings
from telnetsd.lines.recordings.retention import find_expired

AT = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)


def make(folder: Path, line: str, days: int, end: str = "line.cast.zst", size: int = 8192) -> str:
    path = folder / f"{AT - timedelta(days=days):%Y%m%dT%H%M%S.%f}-{line}-{end}"
    path.write_bytes(b"x" * size)
    return path.name


def expired(folder: Path, *, days: int = 0, size: int = 0) -> list[tuple[str, str]]:
    lines = [
        LineSettings(name=name, target="tcp://a:1", recording_retention_days=days, recording_retention_bytes=size)
        for name in ("switch", "switch-1")
    ]
    return [(one.path.name, one.reason.value) for one in find_expired(folder, lines, AT)]


def test_old_recordings_are_removed_but_the_newest_of_a_line_stays(tmp_path: Path) -> None:
    old, session = make(tmp_path, "switch", 30), make(tmp_path, "switch", 20, "0123abcd.cast")
    make(tmp_path, "switch", 5)
    make(tmp_path, "switch-1", 40)
    (tmp_path / "something-else.cast").write_text("")
    assert expired(tmp_path, days=10) == [(old, "retention-days"), (session, "retention-days")]
    assert expired(tmp_path) == []


def test_recordings_beyond_the_size_are_removed_the_oldest_first(tmp_path: Path) -> None:
    names = [make(tmp_path, "switch", days) for days in (4, 3, 2, 1)]
    found = expired(tmp_path, size=2 * 8192)
    assert found == [(name, "retention-bytes") for name in names[:2]]
