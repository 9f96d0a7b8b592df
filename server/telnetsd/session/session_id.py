"""The id of a session: a UUID of version 7 (RFC 9562 section 5.7), which sorts by time."""

import secrets
import time
import uuid
from typing import Final

_VERSION: Final = 0x7
_VARIANT: Final = 0b10


def new_session_id() -> str:
    """Return a new id: 48 bits of Unix time in milliseconds, and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | _VERSION << 76 | secrets.randbits(12) << 64
    return str(uuid.UUID(int=value | _VARIANT << 62 | secrets.randbits(62)))
