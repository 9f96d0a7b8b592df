"""The server keeps the index of the recordings up to date, also when recordings were only removed."""

from pathlib import Path

from telnetsd.daemon.index_keeping import IndexKeeper
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
    keeper = IndexKeeper(home)
    await _keep_up(keeper)
    assert len(list(home.index_folder.glob("*.index"))) == 1
    recording.path.unlink()

    await _keep_up(keeper)

    assert list(home.index_folder.glob("*.index")) == []
