"""The chain of the audit log, without I/O: every line carries the hash of the line before it.

- `event.sequence` counts the lines of the log from 1.
- `telnetsd.chain.previous` is the SHA-256 of the whole line before (without its newline), or 64 zeros.
- `event.hash` is the SHA-256 of its own line as it was before the hash was put in, so that a line can be checked even
  when nothing follows it yet.

The hash goes in as the first member of `event`, which is the second member of the line; so it can be taken out again
without parsing and encoding anew, and no text of a peer can stand before it.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from telnetsd.audit.event import Fields, merge

GENESIS: Final = "0" * 64
_MARK: Final = b'"event":{'
_HASHED: Final = re.compile(rb'\A(\{"@timestamp":"[0-9T:.Z-]+","event":\{)"hash":"([0-9a-f]{64})",')
_encoder: Final = msgspec.json.Encoder()


class _Chain(msgspec.Struct):
    previous: str


class _Telnetsd(msgspec.Struct):
    chain: _Chain


class _Event(msgspec.Struct):
    sequence: int


class _Link(msgspec.Struct):
    event: _Event
    telnetsd: _Telnetsd


_decoder: Final = msgspec.json.Decoder(_Link)


class ChainError(ValueError):
    """A line is not one of the chain; the message says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the last line's sequence number, and its SHA-256."""

    sequence: int
    sha256: str


EMPTY: Final = Head(0, GENESIS)


def seal(fields: Fields, head: Head) -> tuple[bytes, Head]:
    """Encode an event as the next line of the chain.

    Args:
        fields: `@timestamp` first and `event` second.
        head: The end of the chain.
    Returns: The line with its newline, and the new end of the chain.
    """
    sequence = head.sequence + 1
    event = {**fields["event"], "sequence": sequence}
    linked = merge(fields, {"event": event, "telnetsd": {"chain": {"previous": head.sha256}}})
    unhashed = _encoder.encode(linked)
    digest = sha256(unhashed).hexdigest().encode()
    line = unhashed.replace(_MARK, _MARK + b'"hash":"' + digest + b'",', 1)
    return line + b"\n", Head(sequence, sha256(line).hexdigest())


def read_head(line: bytes) -> Head:
    """Return the end of a chain whose last line (without its newline) this is.

    Raises:
        ChainError: The line is no event, or was changed.
    """
    match = _HASHED.match(line)
    if match is None:
        raise ChainError("not a line of the audit log")
    if sha256(match[1] + line[match.end() :]).hexdigest().encode() != match[2]:
        raise ChainError("the line was changed")
    try:
        link = _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ChainError("not a line of the audit log") from error
    return Head(link.event.sequence, sha256(line).hexdigest())


def previous_of(line: bytes) -> str:
    """Return the SHA-256 of the line before, as the line (without its newline) says it.

    Raises:
        ChainError: The line is no event.
    """
    try:
        return _decoder.decode(line).telnetsd.chain.previous
    except msgspec.DecodeError as error:
        raise ChainError("not a line of the audit log") from error
