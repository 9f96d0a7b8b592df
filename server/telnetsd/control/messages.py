"""What is said on the operator's socket: one JSON object a line each way."""

from typing import Final

import msgspec

WATCH: Final = "session-watch"


REQUEST_MAX_BYTES: Final = 65536


TIMEOUT_S: Final = 60.0


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command line asks for; `id` is the end of a session's id, where the verb needs one."""

    verb: str
    id: str = ""
