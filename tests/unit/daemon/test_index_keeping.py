"""The server keeps its indexes up to date, also when recordings were only removed."""

from contextlib import closing
from pathlib import Path

from support.audit import event, open_test_log
from telnetsd.config.settings import AuditSettings
from telnetsd.daemon.index_keeping import AUDIT_LOG, RECORDINGS, IndexKeeper
from telnetsd.files.home import Home
from telnetsd.lines.recordings.asciicast import OUTPUT
from telnetsd.lines.recordings.recording import Recording
from telnetsd.telnet.terminal import Terminal


async def _keep_up(keeper: IndexKeeper) -> None:
    """Let the keeper do what is due, and wait for its process."""
    await keeper.keep_up()
    if keeper._indexing is not None:
        await keeper._indexing


async def test_the_text_of_recordings_that_were_removed_leaves_the_index(tmp_path: Path) -> None:
    home = Home(tmp_path)
    recording = Recording(home.recordings_folder / "20261101T120000.000000-sw1-line.cast", "sw1", Terminal())
    recording.note(OUTPUT, b"the old password was geheim\r\n")
    recording.close()
    keeper = IndexKeeper(home, RECORDINGS)
    await _keep_up(keeper)
    assert len(list(home.index_folder.glob("*.index"))) == 1
    recording.path.unlink()

    await _keep_up(keeper)

    assert list(home.index_folder.glob("*.index")) == []


async def test_a_rotated_file_of_the_audit_log_is_indexed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = AuditSettings(rotate_bytes=2000, rotate_age_s=0)
    with closing(open_test_log(home.audit_file, settings)) as log:
        for number in range(10):
            log.append([event(f"number {number}")])

    await _keep_up(IndexKeeper(home, AUDIT_LOG))

    rotated = [path.name for path in home.audit_file.parent.glob("audit-*")]
    assert sorted(path.name for path in home.log_index_folder.glob("*.index")) == [
        f"{one}.index" for one in sorted(rotated)
    ]
    assert rotated
