"""What the audit log says about recordings: which ones it vouches for, and which ones retention has removed."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from telnetsd.audit.index.searching import LogSearch
from telnetsd.audit.reading.archive import read_lines, take_snapshot
from telnetsd.audit.reading.row import LoggedEvent, read_event, text_of
from telnetsd.audit.reading.selection import Selection
from telnetsd.events.of_sessions import RecordingClosed, RecordingRemoved
from telnetsd.lines.recordings.playback import lines_of, open_recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What the log says about a recording; `user` and `session` are empty for that of a kept-open line."""

    file: str
    sha256: str
    size: int
    is_whole: bool
    line: str
    user: str
    session: str
    at: str
    is_removed: bool


def list_vouched(audit_file: Path) -> list[Vouched]:
    """Return every recording that the log vouches for, in the order in which they were closed.

    Raises:
        OperatorError: The log cannot be read.
    """
    closed: list[LoggedEvent] = []
    removed = set()
    for line in read_lines(take_snapshot(audit_file)):
        event = read_event(line.content) if b'"recording-' in line.content else {}
        match text_of(event, "event.action"):
            case RecordingClosed.action:
                closed.append(event)
            case RecordingRemoved.action:
                removed.add(text_of(event, "telnetsd.recording.file"))
    return [_vouched(one, removed) for one in closed]


def find_vouched(audit_file: Path, index_folder: Path, name: str) -> Vouched | None:
    """Return what the log says about one recording, found by the log's index; None if it does not vouch for it yet.

    Raises:
        OperatorError: The log cannot be read.
    """
    search = LogSearch(
        snapshot=take_snapshot(audit_file), log=audit_file, folder=index_folder, on_progress=lambda _: None
    )
    for line in search.lines(Selection(action=RecordingClosed.action)):
        event = read_event(line)
        if text_of(event, "telnetsd.recording.file") == name:
            return _vouched(event, set())
    return None


def is_vouched_for(path: Path, vouched: Vouched) -> bool:
    """Tell whether a recording is the one that the log vouches for.

    Raises:
        OperatorError: The file cannot be read.
    """
    digest = sha256()
    with open_recording(path) as file:
        for line in lines_of(file):
            digest.update(line)
    return digest.hexdigest() == vouched.sha256


def _vouched(event: LoggedEvent, removed: set[str]) -> Vouched:
    field = "telnetsd.recording"
    size, file = text_of(event, f"{field}.bytes"), text_of(event, f"{field}.file")
    return Vouched(
        file=file,
        sha256=text_of(event, f"{field}.sha256"),
        size=int(size) if size.isdecimal() else 0,
        is_whole=text_of(event, f"{field}.is_whole") == "True",
        line=text_of(event, "telnetsd.line.name"),
        user=text_of(event, "user.name"),
        session=text_of(event, "telnetsd.session.id"),
        at=text_of(event, "@timestamp"),
        is_removed=file in removed,
    )
