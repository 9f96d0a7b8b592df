"""A change as a message from one node of a fleet to all others: signed, and chained to the one before it.

On the wire: an Ed25519 signature, and then the body, MessagePack in Zstandard. The signature covers the compressed
body: nothing is unpacked before it has been verified. A body names the SHA-256 of the message before it, so that all
messages of a fleet are one chain, and a fork or a rollback shows.
"""

import re
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec
import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from telnetsd.errors import TelnetsdError
from telnetsd.state.rows import RowChange

LEVEL: Final = 1
"""What this version understands: a change of a higher level is not applied. It grows with the shared tables."""
MESSAGE_MAX_BYTES: Final = 900_000
"""The longest message; the engine takes 1 MiB, with headers."""
BODY_MAX_BYTES: Final = 16 * 2**20
EVENT_MAX_CHARS: Final = 1024
EVENTS_MAX: Final = 200
"""How many sentences a message has about what it does; a longer change says so in the last one."""
CHANGE_ID: Final = r"\A[0-9a-f]{32}\Z"
_CANONICAL_TIME: Final = r"\A20[2-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\+00:00\Z"
_PURPOSE: Final = b"telnetsd fleet change v1\n"
_SIGNATURE_BYTES: Final = 64


class MessageError(TelnetsdError):
    """A message that is not what a node of this version sends: a sentence for the log."""


class MessageTooLongError(MessageError):
    """A change does not fit into a message."""


class ChangeKind(StrEnum):
    """What a change does: this decides which nodes may make it, and it is a part of the message's subject."""

    GIVE = "give"
    """Anything."""
    TAKE = "take"
    """Only takes access away."""
    REQUEST = "request"
    """Only concerns enrolment requests."""


class SharedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of the home folder that all nodes share; `content` None: it is deleted."""

    path: str
    content: bytes | None


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change.

    Attributes:
        level: The lowest level of a node that understands it.
        fleet: The name of the fleet.
        id: Unique (32 hexadecimal digits).
        node: Who made it.
        kind: What it does.
        by: Who made it on that node, for people.
        at: When, by that node's clock (ISO 8601, UTC, whole seconds); it decides nothing.
        previous: The SHA-256 of the message before it; empty for the first, and for a notice.
        after: The position of the last change that its node had.
        rows: The rows that it changes.
        files: The files that it changes.
        events: What it did, one sentence an event.
        audit: Where the log of that node ended when it was recorded there: sequence number and SHA-256.
    """

    v: int = 1
    level: int = LEVEL
    fleet: str
    id: Annotated[str, msgspec.Meta(pattern=CHANGE_ID)]
    node: str
    kind: ChangeKind
    by: Annotated[str, msgspec.Meta(max_length=EVENT_MAX_CHARS)]
    at: Annotated[str, msgspec.Meta(pattern=_CANONICAL_TIME)]
    previous: str
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    rows: list[RowChange]
    files: list[SharedFile] = []
    events: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=EVENT_MAX_CHARS)]], msgspec.Meta(max_length=EVENTS_MAX)
    ] = []
    audit: tuple[int, str] = (0, "")


class _Envelope(msgspec.Struct):
    """What a reader of any version can read of a body."""

    level: int
    node: str
    id: str


_decoder: Final = msgspec.msgpack.Decoder(ChangeBody)
_envelope_decoder: Final = msgspec.msgpack.Decoder(_Envelope)


class LevelError(MessageError):
    """A change needs a newer version."""


def encode_change(body: ChangeBody, key: Ed25519PrivateKey) -> bytes:
    """Return the message of a change.

    Raises:
        MessageTooLongError: It does not fit.
    """
    content = msgspec.msgpack.encode(body)
    packed = zstandard.compress(content) if len(content) <= BODY_MAX_BYTES else content
    if len(packed) + _SIGNATURE_BYTES > MESSAGE_MAX_BYTES:
        raise MessageTooLongError(f"a change of {len(packed):,} bytes; {MESSAGE_MAX_BYTES:,} fit into a message")
    return key.sign(_PURPOSE + packed) + packed


def verify_change(message: bytes, key: Ed25519PublicKey) -> ChangeBody:
    """Return the change in a message of a node, whose signature is verified first.

    Raises:
        LevelError: The signature is valid, and the change needs a newer version.
        MessageError: The signature is not valid, or what it covers is not a change.
    """
    signature, packed = message[:_SIGNATURE_BYTES], message[_SIGNATURE_BYTES:]
    try:
        key.verify(signature, _PURPOSE + packed)
    except InvalidSignature:
        raise MessageError("its signature is not valid") from None
    return _unpack(packed)


def unverified_change(message: bytes) -> ChangeBody:
    """Return the change in a message before its signature has been verified: to find out whose it should be.

    Raises:
        MessageError: It is not a change, or it needs a newer version.
    """
    return _unpack(message[_SIGNATURE_BYTES:])


def _unpack(packed: bytes) -> ChangeBody:
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 < size <= BODY_MAX_BYTES:
            raise MessageError(f"its body says that it has {size:,} bytes; at most {BODY_MAX_BYTES:,} are read")
        content = zstandard.decompress(packed, max_output_size=BODY_MAX_BYTES)
    except zstandard.ZstdError:
        raise MessageError("its body is not compressed as it should be") from None
    try:
        body = _decoder.decode(content)
    except (msgspec.MsgspecError, RecursionError) as error:
        if (level := _level_of(content)) > LEVEL:
            raise LevelError(f"it is of level {level}; this version understands {LEVEL}") from None
        raise MessageError(f"its body cannot be read: {error}") from None
    if body.level > LEVEL:
        raise LevelError(f"it is of level {body.level}; this version understands {LEVEL}")
    return body


def _level_of(content: bytes) -> int:
    try:
        return _envelope_decoder.decode(content).level
    except (msgspec.MsgspecError, RecursionError):
        return 0


def sentences(events: list[str]) -> list[str]:
    """Return what a message says about a change: as many sentences as fit, and how many do not."""
    kept = [one[:EVENT_MAX_CHARS] for one in events[:EVENTS_MAX]]
    if len(events) > EVENTS_MAX:
        kept[-1] = f"and {len(events) - EVENTS_MAX + 1} more"
    return kept


def is_canonical_time(text: object) -> bool:
    """Tell whether a text is a time as the tables have it: UTC, in whole seconds, in this century."""
    if not isinstance(text, str) or re.search(_CANONICAL_TIME, text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def message_sha256(message: bytes) -> str:
    """Return the SHA-256 of a message (hexadecimal), which the next one names."""
    return sha256(message).hexdigest()
