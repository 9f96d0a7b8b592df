"""Lines to a TCP port: bytes pass unchanged."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.kinds.kind import LineKind, TargetText, parse_host_port
from telnetsd.lines.kinds.streams import StreamUpstream, enter_of
from telnetsd.lines.kinds.upstream import READ_BYTES
from telnetsd.telnet.terminal import Terminal


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """See Target."""

    host: str
    port: int
    enter: bytes

    async def open(self, _terminal: Terminal, _environment: Mapping[str, str]) -> StreamUpstream:
        """See Target."""
        return StreamUpstream(*await asyncio.open_connection(self.host, self.port, limit=READ_BYTES), self.enter)


def _parse(text: TargetText) -> TcpTarget:
    return TcpTarget(*parse_host_port(text), enter_of(text))


KIND: Final = LineKind(
    name="tcp",
    form="tcp://HOST:PORT",
    summary="bytes over TCP, unchanged",
    parse=_parse,
    keys=frozenset({"newline"}),
)
