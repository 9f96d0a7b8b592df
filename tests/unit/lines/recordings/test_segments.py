"""A recording in segments: nothing ends it, each segment is vouched for, and a failure is reported."""

import asyncio
from pathlib import Path

import pytest

from telnetsd.lines.recordings.asciicast import OUTPUT
from telnetsd.lines.recordings.playback import read_frames
from telnetsd.lines.recordings.recording import Recorded, Recording
from telnetsd.lines.recordings.segments import SegmentedRecording
from telnetsd.telnet.terminal import Terminal


class Segments:
    """A recording, its files, and what the log vouches for."""

    def __init__(self, folder: Path, *, max_bytes: int = 1_000_000, max_age_s: float = 1000.0) -> None:
        self.folder = folder
        self.begun: list[Recording] = []
        self.vouched: list[Recorded] = []
        self.recording = SegmentedRecording(
            self.begin, Terminal(), max_bytes=max_bytes, max_age_s=max_age_s, vouch=self.vouch
        )

    def begin(self, terminal: Terminal) -> Recording:
        self.begun.append(Recording(self.folder / f"{len(self.begun)}.cast", f"{terminal.columns}", terminal))
        return self.begun[-1]

    async def vouch(self, recorded: Recorded) -> None:
        self.vouched.append(recorded)

    def shown(self) -> bytes:
        return b"".join(frame.data for one in self.begun for frame in read_frames(one.path))


async def test_a_full_segment_is_followed_by_another_one_and_nothing_is_lost(tmp_path: Path) -> None:
    made = Segments(tmp_path, max_bytes=500)
    for number in range(100):
        made.recording.note(OUTPUT, f"line {number} ü\r\n".encode())
    await made.recording.close()
    assert len(made.begun) > 3
    assert {one.file for one in made.vouched} == {one.path.name for one in made.begun}
    assert all(one.is_whole for one in made.vouched)
    assert made.shown() == b"".join(f"line {number} ü\r\n".encode() for number in range(100))


async def test_an_old_segment_is_closed_even_if_the_line_is_quiet_but_not_if_it_is_empty(tmp_path: Path) -> None:
    made = Segments(tmp_path, max_age_s=0.0)
    made.recording.check_clocks()
    assert len(made.begun) == 1
    made.recording.note(OUTPUT, b"shown")
    made.recording.check_clocks()
    assert len(made.begun) == 2
    await made.recording.close()
    assert made.shown() == b"shown"


async def test_a_segment_begins_with_the_last_size_of_the_screen(tmp_path: Path) -> None:
    made = Segments(tmp_path, max_age_s=0.0)
    made.recording.note_resize(Terminal(columns=132))
    made.recording.note(OUTPUT, b"shown")
    assert '"cols":132' in made.begun[-1].path.read_text()
    await made.recording.close()


async def test_a_character_that_is_split_between_segments_keeps_its_bytes(tmp_path: Path) -> None:
    made = Segments(tmp_path, max_age_s=0.0)
    made.recording.note(OUTPUT, b"gr\xc3")
    made.recording.note(OUTPUT, b"\xb6\xc3\x9fer")
    await made.recording.close()
    assert made.shown() == "größer".encode()


async def test_what_was_recorded_is_synced_within_a_second_and_a_failure_of_that_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, synced = Segments(tmp_path), asyncio.Event()
    loop = asyncio.get_running_loop()

    def sync() -> None:
        loop.call_soon_threadsafe(synced.set)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(made.begun[0], "sync", sync)
    monkeypatch.setattr(made.recording, "_synced_at", loop.time() - 1)
    made.recording.check_clocks()
    assert not synced.is_set(), "nothing was recorded yet"
    made.recording.note(OUTPUT, b"shown")
    made.recording.check_clocks()
    await synced.wait()
    with pytest.raises(OSError, match="Input/output error"):
        await checked_for_ever(made.recording)
    await made.recording.close()


async def checked_for_ever(recording: SegmentedRecording) -> None:
    while True:
        recording.check_clocks()
        await asyncio.sleep(0)


async def test_a_segment_that_cannot_be_closed_does_not_prevent_the_others_from_being_vouched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = Segments(tmp_path, max_age_s=0.0)

    close_really = made.begun[0].close

    def close() -> Recorded:
        close_really()
        raise OSError(28, "No space left on device")

    made.recording.note(OUTPUT, b"first")
    monkeypatch.setattr(made.begun[0], "close", close)
    made.recording.note(OUTPUT, b"second")
    await made.recording.close()
    assert [one.file for one in made.vouched] == ["1.cast"]
    assert "0.cast cannot be closed, so the log does not vouch for it" in caplog.text
