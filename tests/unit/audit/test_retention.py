"""Compressing and removing rotated files: what is damaged or incomplete stays."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.audit import event, open_test_log
from telnetsd.audit.retention import compress_rotated, find_expired
from telnetsd.config.settings import AuditSettings
from telnetsd.errors import OperatorError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log in several files, none of them compressed."""
    path = tmp_path / "audit.jsonl"
    log = open_test_log(path, AuditSettings(rotate_bytes=4096))
    for number in range(12):
        log.append([event(f"{number}")])
    log.close()
    return path


def files(path: Path) -> list[Path]:
    return sorted(path.parent.glob("audit-*"))


def test_what_an_interrupted_compression_left_is_removed(path: Path) -> None:
    unfinished = path.with_name(f".{path.stem}-000000000001.jsonl.zst.4711.part")
    unfinished.touch()
    assert len(compress_rotated(path)) == len(files(path))
    assert not unfinished.exists()


def test_a_compressed_copy_that_differs_does_not_replace_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(path)
    monkeypatch.setattr("telnetsd.audit.compression._digest", lambda _: os.urandom(32))
    with pytest.raises(OSError, match="the compressed copy differs"):
        compress_rotated(path)
    assert files(path) == before


def test_a_damaged_file_is_not_removed(path: Path) -> None:
    oldest = files(path)[0]
    oldest.write_bytes(b"".join([*oldest.read_bytes().splitlines(keepends=True)[:-1], b"damaged\n"]))
    with pytest.raises(OperatorError, match="damaged, so it is kept"):
        find_expired(path, AuditSettings(retention_bytes=1), datetime.now(UTC))
