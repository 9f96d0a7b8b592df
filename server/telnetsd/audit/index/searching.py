"""Searching the log: what the index rules out is not read, and only a line that may be selected is parsed."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, TypeVar

from telnetsd.audit.index.blocks import Attachment, AttachmentTracker, Login, LoginTracker
from telnetsd.audit.index.index_file import LogIndex
from telnetsd.audit.index.keeping import is_rotated, open_index
from telnetsd.audit.reading.archive import LogPart, Snapshot, read_lines, read_ranges
from telnetsd.audit.reading.row import LoggedEvent, read_event
from telnetsd.audit.reading.selection import Selection
from telnetsd.audit.recall import CertificateRecall
from telnetsd.events.fields import timestamp

_TIME_MARK: Final = b'{"@timestamp":"'
_TIME_CHARS: Final = len("2026-01-31T12:00:00.000000Z")
_PATTERN: Final = frozenset("*?[")
_ESCAPED: Final = frozenset('"\\')
_OF_ATTACHMENTS: Final = (b'"action":"line-connected"', b'"action":"line-disconnected"', b'"action":"session-ended"')
_WITH_CERTIFICATE: Final = b'"x509":'
_OF_LOGINS: Final = b'"action":"session-started"'
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSearch:
    """A search of one log.

    Attributes:
        snapshot: The log.
        log: Its current file, which has no index.
        folder: Where the index is; a file without one is read as a whole.
        on_progress: Called with how many bytes of the files are done.
    """

    snapshot: Snapshot
    log: Path
    folder: Path
    on_progress: Callable[[int], None]

    def lines(self, selection: Selection) -> Iterator[bytes]:
        """Yield the lines that are selected, in the order of the log.

        Raises:
            OperatorError: A file cannot be read.
        """
        if selection.is_everything:
            yield from (line.content for line in read_lines(self.snapshot, self.on_progress))
            return
        if selection.certificate:
            yield from (line for line, _ in self._completed(selection))
            return
        may_match = prefilter(selection)
        for part in self._parts():
            ranges = self._ask(part, lambda index: index.find(selection))
            for line in _every_line(part) if ranges is None else read_ranges(part, ranges):
                if may_match(line) and selection.takes(read_event(line)):
                    yield line

    def completed_events(self, selection: Selection) -> Iterator[LoggedEvent]:
        """Yield the events that are selected, each with its certificate in full.

        Raises:
            OperatorError: A file cannot be read.
        """
        yield from (event for _, event in self._completed(selection))

    def attachments(self) -> list[Attachment]:
        """Return every attachment that the log has.

        Raises:
            OperatorError: A file cannot be read.
        """
        tracker = AttachmentTracker()
        for part in self._parts():
            known = self._ask(part, lambda index: list(index.attachments()))
            for one in known or ():
                tracker.join(one)
            if known is None:
                for line in _every_line(part):
                    if any(mark in line for mark in _OF_ATTACHMENTS):
                        tracker.note(read_event(line))
        return tracker.every()

    def logins(self) -> list[Login]:
        """Return the last login of each user with each certificate.

        Raises:
            OperatorError: A file cannot be read.
        """
        tracker = LoginTracker()
        for part in self._parts():
            known = self._ask(part, lambda index: list(index.logins()))
            for one in known or ():
                tracker.join(one)
            if known is None:
                for line in _every_line(part):
                    if _OF_LOGINS in line:
                        tracker.note(read_event(line))
        return tracker.every()

    def _parts(self) -> Iterator[LogPart]:
        done = 0
        for part in self.snapshot.parts:
            yield part
            done += part.size
            self.on_progress(done)

    def _completed(self, selection: Selection) -> Iterator[tuple[bytes, LoggedEvent]]:
        """Yield the lines that are selected, each with its event and the certificate of that in full.

        Most events have only the fingerprint: the certificate is in an earlier one, which may itself not be selected.
        """
        certificates, may_match = CertificateRecall(), prefilter(selection)
        for line in chain.from_iterable(map(_every_line, self._parts())):
            if _WITH_CERTIFICATE in line or may_match(line):
                event = certificates.complete(read_event(line))
                if selection.takes(event):
                    yield line, event

    def _ask(self, part: LogPart, question: Callable[[LogIndex], _T]) -> _T | None:
        """Ask the index of a file; return None if there is none, or if it is damaged."""
        index = open_index(self.folder, part) if is_rotated(part, self.log) else None
        if index is None:
            return None
        with closing(index):
            try:
                return question(index)
            except sqlite3.Error:
                return None


def prefilter(selection: Selection) -> Callable[[bytes], bool]:
    """Return a function that rules out most lines without parsing them; it never rules out a selected one."""
    patterns = [one for one in (selection.action, selection.reason, selection.line) if _PATTERN.isdisjoint(one)]
    words = ("" if selection.also else selection.user, selection.session, selection.outcome, *patterns)
    needles = [word.encode() for word in words if _is_as_in_json(word)]
    text = selection.text.lower().encode() if _is_as_in_json(selection.text) else b""
    since = timestamp(selection.since).encode() if selection.since is not None else b""
    until = timestamp(selection.until).encode() if selection.until is not None else b"~"
    start, end = len(_TIME_MARK), len(_TIME_MARK) + _TIME_CHARS

    def may_match(line: bytes) -> bool:
        if line.startswith(_TIME_MARK) and not since <= line[start:end] <= until:
            return False
        if not all(needle in line for needle in needles):
            return False
        # Outside ASCII, letters have forms that are the same without case.
        return not text or not line.isascii() or text in line.lower()

    return may_match


def _every_line(part: LogPart) -> Iterator[bytes]:
    return (line.content for line in read_lines(Snapshot((part,), b"")))


def _is_as_in_json(word: str) -> bool:
    return word.isascii() and word.isprintable() and _ESCAPED.isdisjoint(word)
