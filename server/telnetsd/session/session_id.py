"""The id of a session: a UUID of version 7 (RFC 9562 section 5.7), which sorts by time."""

import os
import time
from typing import Final

_VERSION: Final = 0x7
_VARIANT: Final = 0b10
_RANDOM_BYTES: Final = 10


def new_session_id() -> str:
    """Return a new id: 48 bits of Unix time in milliseconds, and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    random = int.from_bytes(os.urandom(_RANDOM_BYTES))
    head = milliseconds << 16 | _VERSION << 12 | random >> 64 & (1 << 12) - 1
    text = f"{head << 64 | _VARIANT << 62 | random & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
