"""The chain of the audit log, without I/O: every line carries the hash of the line before it.

- `event.sequence` counts the lines of the log from 1.
- `telnetsd.chain.previous` is the SHA-256 of the whole previous line (without its newline), or 64 zeros.
- `event.hash` is the SHA-256 of its own line as it was before the hash was inserted, so that a line can be checked
  even when no other line follows it yet.
- A checkpoint is a line that is also signed: see `audit.checkpoint`.

The hash and the number are inserted as the first members of `event`, which is the second member of the line. So the
hash can be removed again without parsing and encoding the line again, and no text of a peer can precede it. The link
is inserted first in `telnetsd`, the last member. A signature is inserted as the first member of
`telnetsd.checkpoint`. Those bytes cannot occur inside a text, since JSON escapes its quotes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from telnetsd.events.of_the_server import AuditCheckpoint
from telnetsd.events.part import Fields

SEAL_BYTES: Final = 512
"""The size of the seal: it fits in one sector, so that it is written completely or not at all."""
GENESIS: Final = "0" * 64
_HASHED: Final = re.compile(rb'\A(\{"@timestamp":"[0-9T:.Z-]+","event":\{)"hash":"([0-9a-f]{64})",')
_SIGNATURE_MARK: Final = b'"checkpoint":{'
_SIGNED: Final = re.compile(rb'("checkpoint":\{)"signature":"([A-Za-z0-9+/=]{88})",')
_encode: Final = msgspec.json.Encoder().encode

Sign = Callable[[bytes], str]
"""Signs the bytes that it is given; returns the 64-byte signature in base64."""


class _Chain(msgspec.Struct):
    previous: str


class _Checkpoint(msgspec.Struct):
    key_id: str


class _Telnetsd(msgspec.Struct):
    chain: _Chain
    checkpoint: _Checkpoint | None = None


class _Event(msgspec.Struct):
    sequence: int
    action: str
    reason: str


class _Line(msgspec.Struct):
    event: _Event
    telnetsd: _Telnetsd
    timestamp: str = msgspec.field(name="@timestamp")


_decoder: Final = msgspec.json.Decoder(_Line)


class ChainError(ValueError):
    """A line does not belong to the chain; the message says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the last line's sequence number, and its SHA-256."""

    sequence: int
    sha256: str


EMPTY: Final = Head(0, GENESIS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The place of a line in the chain, as the line states it; its own hash has been checked.

    Attributes:
        head: The end of the chain, if this is its last line.
        previous: The SHA-256 of the previous line, as this line states it.
        at: `@timestamp`.
        action: `event.action`.
        reason: `event.reason`.
        key_id: The key that signed it, as the line states it; empty if the line is not a checkpoint.
    """

    head: Head
    previous: str
    at: str
    action: str
    reason: str
    key_id: str

    @property
    def is_checkpoint(self) -> bool:
        """Whether the line says that it is signed."""
        return self.action == AuditCheckpoint.action


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint split into the bytes that were signed and the signature in base64."""

    content: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An encoded event that has no place in the chain yet: the bytes before, between and after the chain's members.

    Attributes:
        action: `event.action`.
        head: The line up to the members of `event`.
        body: From there up to the members of `telnetsd`, which is the last member of the line.
        tail: Those members, without the braces; may be empty.
    """

    action: str
    head: bytes
    body: bytes
    tail: bytes


def make_draft(fields: Fields) -> Draft:
    """Encode an event; this is most of the cost of writing it.

    Raises:
        TypeError: It has a value that JSON cannot represent.
    """
    rest = dict(fields)
    at, event, telnetsd = rest.pop("@timestamp"), rest.pop("event"), rest.pop("telnetsd", {})
    head = b'{"@timestamp":' + _encode(at) + b',"event":{'
    body = _encode(event)[1:] + b"," + _encode(rest)[1:-1] + b',"telnetsd":{'
    return Draft(event["action"], head, body, _encode(telnetsd)[1:-1])


def seal(draft: Draft, head: Head, sign: Sign | None = None) -> tuple[bytes, Head]:
    """Make an event the next line of the chain.

    Args:
        draft: The event.
        head: The end of the chain.
        sign: Signs the line if it is a checkpoint (it has `telnetsd.checkpoint`).
    Returns: The line with its newline, and the new end of the chain.
    """
    sequence = head.sequence + 1
    link = f'"chain":{{"previous":"{head.sha256}"}}{"," if draft.tail else ""}'.encode()
    behind = f'"sequence":{sequence},'.encode() + draft.body + link + draft.tail + b"}}"
    if sign is not None:
        signature = f'"signature":"{sign(draft.head + behind)}",'.encode()
        behind = behind.replace(_SIGNATURE_MARK, _SIGNATURE_MARK + signature, 1)
    digest = sha256(draft.head + behind).hexdigest().encode()
    line = draft.head + b'"hash":"' + digest + b'",' + behind
    return line + b"\n", Head(sequence, sha256(line).hexdigest())


def read_link(line: bytes) -> Link:
    """Check a line's own hash, and return its place in the chain; `line` is without its newline.

    Raises:
        ChainError: The line is not an event, or it was changed.
    """
    match = _HASHED.match(line)
    if match is None:
        raise ChainError("it is not a line of the audit log")
    if sha256(match[1] + line[match.end() :]).hexdigest().encode() != match[2]:
        raise ChainError("it does not match its hash")
    try:
        read = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChainError("it is not a line of the audit log") from error
    event, telnetsd = read.event, read.telnetsd
    return Link(
        head=Head(event.sequence, sha256(line).hexdigest()),
        previous=telnetsd.chain.previous,
        at=read.timestamp,
        action=event.action,
        reason=event.reason,
        key_id=telnetsd.checkpoint.key_id if telnetsd.checkpoint else "",
    )


def link_of(line: bytes) -> Link | None:
    """Return what `read_link` returns for a line; None when the line is damaged."""
    try:
        return read_link(line)
    except ChainError:
        return None


def take_signature(line: bytes) -> Signed | None:
    """Remove the hash and the signature from a checkpoint's line; None when it has no signature."""
    hashed = _HASHED.match(line)
    if hashed is None:
        return None
    signed = hashed[1] + line[hashed.end() :]
    match = _SIGNED.search(signed)
    if match is None:
        return None
    return Signed(signed[: match.start()] + match[1] + signed[match.end() :], match[2].decode())
