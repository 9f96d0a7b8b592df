"""The text lines of a recording file, whether it is complete or still grows."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from telnetsd.errors import OperatorError
from telnetsd.lines.recordings.playback import FrameReader, lines_of, open_recording
from telnetsd.lines.search.blocks import TextLine, TextOfRecording

logger = logging.getLogger(__name__)


def read_text(path: Path, on_bytes: Callable[[bytes], object] = lambda _: None) -> Iterator[TextLine]:
    """Yield the lines of text that a recording shows.

    Args:
        path: The recording.
        on_bytes: Called with the content of the file, one event after the other.
    Raises:
        OperatorError: The file cannot be read, or is damaged; the lines before that have been yielded.
    """
    reader, text = FrameReader(path), TextOfRecording()
    with open_recording(path) as file:
        for line in lines_of(file):
            on_bytes(line)
            if not line.endswith(b"\n"):
                break  # the rest of it is being written, or was lost when the server was killed
            frame = reader.feed(line)
            if frame is not None:
                yield from text.feed(frame.data, frame.at_s, reader.writer)
    yield from text.rest()


def read_readable_text(path: Path, on_bytes: Callable[[bytes], object] = lambda _: None) -> Iterator[TextLine]:
    """Yield the lines of text of a recording as `read_text` does; of a damaged one, what comes before the damage."""
    try:
        yield from read_text(path, on_bytes)
    except OperatorError as error:
        logger.warning("only a part of %s can be found: %s", path.name, error)
