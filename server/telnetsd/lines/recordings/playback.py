"""Reading recordings: which files there are, and what each of them shows."""

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec
import zstandard

from telnetsd.audit.file import open_regular
from telnetsd.errors import OperatorError
from telnetsd.lines.recordings.asciicast import MARKER, OUTPUT, RAW, VERSION, WRITER
from telnetsd.lines.recordings.name import SUFFIX, ZSTD_SUFFIX, plain_name

LINE_MAX_BYTES: Final = 16 * 2**20
LENGTH_MAX_S: Final = 1e9
"""No recording is longer, but a damaged one may say so."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The next output of a recording.

    Attributes:
        delay_s: The seconds since the previous output.
        at_s: The seconds since the recording began.
        data: The bytes.
    """

    delay_s: float
    at_s: float
    data: bytes


class _Terminal(msgspec.Struct):
    cols: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Header(msgspec.Struct):
    version: int
    term: _Terminal
    title: str = ""


Event = tuple[Annotated[float, msgspec.Meta(ge=0)], str, str]
_event_decoder: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


class FrameReader:
    """Turns the lines of a recording into its output.

    Args:
        path: The file, for messages.

    Attributes:
        size: The columns and rows with which it begins.
        writer: Who writes to the line at this moment of the recording; empty if no session does.
    """

    def __init__(self, path: Path) -> None:
        self.writer = ""
        self.size = (80, 24)
        self._path = path
        self._number = 0
        self._raw: bytes | None = None
        self._at_s = self._shown_at_s = 0.0

    def feed(self, line: bytes) -> Frame | None:
        """Process the next whole line, and return the output in it, byte for byte; None if there is none.

        Raises:
            OperatorError: The file is not a recording, or is damaged.
        """
        self._number += 1
        if self._number == 1:
            self._read_header(line)
            return None
        delay_s, code, data = self.read_event(line)
        self._at_s = min(self._at_s + delay_s, LENGTH_MAX_S)
        if code == RAW:
            self._raw = self._unpack(data)
            return None
        if code == MARKER:
            self.writer = data.removeprefix(WRITER) if data.startswith(WRITER) else ""
        raw, self._raw = self._raw, None
        if code != OUTPUT:
            return None  # the bytes belong to typed input
        shown_before_s, self._shown_at_s = self._shown_at_s, self._at_s
        return Frame(self._at_s - shown_before_s, self._at_s, data.encode() if raw is None else raw)

    def _read_header(self, line: bytes) -> None:
        try:
            header = msgspec.json.decode(line, type=_Header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OperatorError(f"{self._path} is not a recording: {error}; see: telnetsd recording list") from error
        if header.version != VERSION:
            raise OperatorError(
                f"{self._path} is an asciicast of version {header.version}; only {VERSION} is supported"
            )
        self.size = (header.term.cols, header.term.rows)
        # The title of a session's recording is LINE: USER.
        self.writer = header.title.partition(": ")[2]

    def read_event(self, line: bytes) -> Event:
        """Return an event: the seconds since the previous one, its code, and its data.

        Raises:
            OperatorError: The file is damaged.
        """
        try:
            return _event_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error

    def _unpack(self, data: str) -> bytes:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> OperatorError:
        return OperatorError(f"{self._path} line {self._number} is damaged: {error}; run: telnetsd recording verify")


def list_recordings(folder: Path) -> list[Path]:
    """Return the recordings in a folder in the order in which they began, compressed or not."""
    # While a file is being compressed there are both: the plain one is complete.
    found = [*folder.glob(f"[!.]*{SUFFIX}{ZSTD_SUFFIX}"), *folder.glob(f"[!.]*{SUFFIX}")]
    return [path for _, path in sorted({plain_name(one.name): one for one in found}.items())]


def find_recording(folder: Path, name: str) -> Path:
    """Return the file of a recording, by its name or the end of its name.

    Raises:
        OperatorError: No recording, or more than one, has that name.
    """
    end = plain_name(name).removesuffix(SUFFIX)
    found = [one for one in list_recordings(folder) if plain_name(one.name).removesuffix(SUFFIX).endswith(end)]
    if len(found) != 1 or not name:
        raise OperatorError(f"{len(found) or 'no'} recordings end with {name!r}; see: telnetsd recording list")
    return found[0]


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield the output of a recording, byte for byte.

    Raises:
        OperatorError: The file cannot be read, or is not a recording.
    """
    reader = FrameReader(path)
    with open_recording(path) as file:
        # An empty file has no header, which is an error of its own.
        for line in lines_of(file) if path.stat().st_size else [b""]:
            frame = reader.feed(line)
            if frame is not None:
                yield frame


@contextmanager
def open_recording(path: Path) -> Iterator[IO[bytes]]:
    """Open a recording, compressed or not.

    Raises:
        OperatorError: The file cannot be read.
    """
    try:
        file = open_regular(path)
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; see: telnetsd recording list") from error
    with file:
        if path.suffix != ZSTD_SUFFIX:
            yield file
            return
        try:
            yield io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
        except zstandard.ZstdError as error:
            raise OperatorError(f"{path} is damaged: {error}; run: telnetsd recording verify") from error


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a recording; a longer one than a recording has comes in parts."""
    return iter(lambda: file.readline(LINE_MAX_BYTES), b"")
