"""Lines to a Unix socket: bytes pass unchanged, to a program on this machine."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.kinds.kind import LineKind, TargetText
from telnetsd.lines.kinds.streams import StreamUpstream, enter_of
from telnetsd.lines.kinds.upstream import READ_BYTES
from telnetsd.telnet.terminal import Terminal

PATH_MAX_BYTES: Final = 107
"""How long the path of a Unix socket may be on Linux (unix(7))."""


@dataclass(frozen=True, slots=True)
class UnixTarget:
    """See Target."""

    path: str
    enter: bytes

    async def open(self, _terminal: Terminal, _environment: Mapping[str, str]) -> StreamUpstream:
        """See Target."""
        return StreamUpstream(*await asyncio.open_unix_connection(self.path, limit=READ_BYTES), self.enter)


def _parse(text: TargetText) -> UnixTarget:
    if not text.rest.startswith("/"):
        raise ValueError("a Unix socket is an absolute path, as in unix:/run/vm/console.sock")
    if len(text.rest.encode()) > PATH_MAX_BYTES:
        raise ValueError(f"the path of a Unix socket has at most {PATH_MAX_BYTES} bytes")
    return UnixTarget(text.rest, enter_of(text))


KIND: Final = LineKind(
    name="unix",
    form="unix:/PATH",
    summary="bytes over a Unix socket, such as the console of a virtual machine",
    parse=_parse,
    keys=frozenset({"newline"}),
)
