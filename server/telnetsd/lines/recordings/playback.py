"""Reading recordings: which ones exist, what each one shows, and whether the log vouches for its content."""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from telnetsd.audit.file import open_regular
from telnetsd.audit.reading.archive import read_lines, take_snapshot
from telnetsd.audit.reading.row import read_event, text_of
from telnetsd.errors import OperatorError
from telnetsd.events.of_sessions import RecordingClosed
from telnetsd.lines.recordings.recording import OUTPUT, RAW, SUFFIX, VERSION

LINE_MAX_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What the log says about a recording."""

    file: str
    sha256: str
    size: int
    is_whole: bool
    line: str
    user: str
    session: str
    at: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The next output of a recording: the seconds since the previous output, and the bytes."""

    delay_s: float
    data: bytes


class _Terminal(msgspec.Struct):
    cols: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Header(msgspec.Struct):
    version: int
    term: _Terminal


_Event = tuple[Annotated[float, msgspec.Meta(ge=0)], str, str]
_event_decoder: Final[msgspec.json.Decoder[_Event]] = msgspec.json.Decoder(_Event)


def list_vouched(audit_file: Path) -> list[Vouched]:
    """Return every recording that the log vouches for, in the order in which they were closed.

    Raises:
        OperatorError: The log cannot be read.
    """
    events = (read_event(line.content) for line in read_lines(take_snapshot(audit_file)))
    return [_vouched(one) for one in events if text_of(one, "event.action") == RecordingClosed.action]


def find_recording(folder: Path, name: str) -> Path:
    """Return the file of a recording, by its name or the end of its name.

    Raises:
        OperatorError: No recording, or more than one, has that name.
    """
    found = [one for one in sorted(folder.glob(f"*{SUFFIX}")) if one.stem.endswith(name.removesuffix(SUFFIX))]
    if len(found) != 1 or not name:
        raise OperatorError(f"{len(found) or 'no'} recordings end with {name!r}; see: telnetsd recording list")
    return found[0]


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield the output of a recording, byte for byte.

    Raises:
        OperatorError: The file cannot be read, or is not a recording.
    """
    with _opened(path) as lines:
        _read_header(next(lines, b""), path)
        raw: bytes | None = None
        waited_s = 0.0
        for number, line in enumerate(lines, 2):
            delay_s, code, data = _read_event(line, path, number)
            waited_s += delay_s
            if code == RAW:
                raw = _unpack(data, path, number)
            elif code == OUTPUT:
                yield Frame(waited_s, data.encode() if raw is None else raw)
                raw, waited_s = None, 0.0
            else:
                raw = None  # the bytes belonged to typed input


def is_vouched_for(path: Path, vouched: Vouched) -> bool:
    """Tell whether a recording is the one that the log vouches for.

    Raises:
        OperatorError: The file cannot be read.
    """
    digest = sha256()
    with _opened(path) as lines:
        for line in lines:
            digest.update(line)
    return digest.hexdigest() == vouched.sha256


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[bytes]]:
    """Read a recording's lines; a failure to open it becomes an OperatorError with an explanation."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; see: telnetsd recording list") from error
    with file:
        yield iter(lambda: file.readline(LINE_MAX_BYTES), b"")


def _vouched(event: Any) -> Vouched:  # noqa: ANN401
    field = "telnetsd.recording"
    size = text_of(event, f"{field}.bytes")
    return Vouched(
        file=text_of(event, f"{field}.file"),
        sha256=text_of(event, f"{field}.sha256"),
        size=int(size) if size.isdecimal() else 0,
        is_whole=text_of(event, f"{field}.is_whole") == "True",
        line=text_of(event, "telnetsd.line.name"),
        user=text_of(event, "user.name"),
        session=text_of(event, "telnetsd.session.id"),
        at=text_of(event, "@timestamp"),
    )


def _read_header(line: bytes, path: Path) -> None:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} is not a recording: {error}; see: telnetsd recording list") from error
    if header.version != VERSION:
        raise OperatorError(f"{path} is an asciicast of version {header.version}; only {VERSION} is supported")


def _read_event(line: bytes, path: Path, number: int) -> _Event:
    try:
        return _event_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} line {number} is damaged: {error}; run: telnetsd recording verify") from error


def _unpack(data: str, path: Path, number: int) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise OperatorError(f"{path} line {number} is damaged: {error}; run: telnetsd recording verify") from error
