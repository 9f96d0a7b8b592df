"""A recording has every byte, whatever its value and however it arrived; its digest is that of its file."""

import hashlib
import resource
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.recordings.asciicast import INPUT, OUTPUT
from telnetsd.lines.recordings.playback import read_frames
from telnetsd.lines.recordings.recording import Recording
from telnetsd.telnet.terminal import Terminal

PIECES = [b"text", "größer ✓\ufffd".encode(), b"\xff", b"x\xe2\x82", b"\xf0\x9f", b"\x98\x80", b"\xac", b"AB"]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=12))
def test_a_recording_has_every_byte(pieces: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.cast"
        recording = Recording(path, "title", Terminal())
        for piece in pieces:
            recording.note(OUTPUT, piece)
        recorded = recording.close()
        assert recorded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert recorded.is_whole
        assert b"".join(frame.data for frame in read_frames(path)) == b"".join(pieces)


def test_recorded_input_is_not_mistaken_for_output(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "one.cast", "title", Terminal())
    recording.note(INPUT, b"\xff")
    recording.note(OUTPUT, b"shown")
    recording.close()
    assert [frame.data for frame in read_frames(tmp_path / "one.cast")] == [b"shown"]


def test_when_the_disk_is_full_the_digest_is_that_of_the_written_part(tmp_path: Path) -> None:
    path = tmp_path / "one.cast"
    recording = Recording(path, "title", Terminal())
    former, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            recording.note(OUTPUT, b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    recorded = recording.close()
    assert recorded.size == path.stat().st_size == 500
    assert recorded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not recorded.is_whole
